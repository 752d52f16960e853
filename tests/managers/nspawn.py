# SPDX-License-Identifier: GPL-2.0-or-later
"""systemd-nspawn without systemd: in a cgroup as its unit would have, or in that of who starts it.

It divides the cgroup that it finds itself in into supervisor/ and payload/; containers that one
shell starts share them.
"""

import subprocess

from container import SAY_READY, Container
from daemon import children_of, wait_until
from guest import Cgroup
from lab import FIRST_MAPPED_ID, N_MAPPED_IDS


# Where nspawn has enabled controllers for children, only those may have processes.
ENTER_UNIT = '''{ echo 0 >"$0/cgroup.procs"; } 2>/dev/null || echo 0 >"$0/supervisor/cgroup.procs"
exec "$@"'''


class Nspawn(Container):
    WAYS = ("cgroup", "mount", "attach")

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.root = self.lab.root(self.root_uid)
        self.unit = Cgroup(f"/{self.id}.service" if self.way == "cgroup"
                           else f"/{self.lab.prefix}-shell")

    def cgroup_path(self):
        return f"{self.unit.path}/payload"

    def start(self):
        words = ["/bin/sh", "-c", ENTER_UNIT, self.unit.dir, "systemd-nspawn", "--quiet",
                 "--register=no", "--keep-unit", "--as-pid2", "--console=pipe", "--private-network",
                 "-D", self.root, "-M", self.name, *self.options]
        if self.kind == "mapped":
            words += [f"--private-users={FIRST_MAPPED_ID}:{N_MAPPED_IDS}"]
        for source, target in self.mounts:
            words += [f"--bind={source}:{target}"]
        self.child = subprocess.Popen([*words, *SAY_READY], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE)
        self._await_ready(self.child)
        # The first process in there is nspawn's own; the guest's is what it started.
        wait_until(lambda: len(children_of(self.child.pid)) == 1, "one child")
        self.pid = children_of(self.child.pid)[0]

    def stop(self):
        self._kill_first(self.child)

    def close(self):
        super().close()
        if self.way == "cgroup":
            self.unit.remove()
