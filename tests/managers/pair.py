# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon and two containers of one manager, for all tests of a file that ask about one way."""

import contextlib
import json

from daemon import Daemon
from here import BUILD


class Pair(contextlib.ExitStack):
    """.daemon, .one and .two: containers web1 and web2, which run, with their directories."""

    def __init__(self, lab, manager, kind, way):
        super().__init__()
        self.way = way
        self.daemon = Daemon(BUILD, lab.daemon_directory(kind in manager.SHARED_KINDS))
        with contextlib.ExitStack() as undo:
            undo.push(self)
            self._start(lab, manager, kind)
            undo.pop_all()

    def _start(self, lab, manager, kind):
        self.callback(self._stop)
        self.daemon.start()
        self.one, self.two = (self._make(lab, manager, kind, name) for name in ("web1", "web2"))
        # Where one could look for what is the other's, if it were given it.
        self.one.mounts.append((self.daemon.tree("web2"), "/dev/other"))
        for container in self.one, self.two:
            self.up(container)

    def _make(self, lab, manager, kind, name):
        container = manager(lab, name, kind, self.way)
        self.callback(container.close)
        self.record(container, {"user.role": f"role of {name}"})
        if self.way != "attach":
            container.mounts.append((self.daemon.tree(name), "/dev/lxd"))
        return container

    def up(self, container):
        container.up()
        if self.way == "attach":
            self.daemon.ctl("attach", container.name, "--pid", str(container.pid))

    def record(self, container, config):
        record = {"name": container.name, "config": config, **container.record()}
        self.daemon.ctl("apply", "-", input=json.dumps(record))

    def listed(self, name):
        """What `list` says of it."""
        return next(item for item in json.loads(self.daemon.ctl("list", "-f", "json"))
                    if item["name"] == name)

    def _stop(self):
        print(self.daemon.log()[-4000:])
        self.daemon.stop()
