# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon and a guest that stand for a whole file of tests, so that each of them costs no guest."""

import contextlib

from daemon import Daemon
from guest import Guest
from here import BUILD
from inside import Inside


class Standing(contextlib.ExitStack):
    """.daemon, and .guest "web1" with its directory at /dev/lxd; a test writes the record it needs."""

    def __init__(self, directory, mapped):
        super().__init__()
        self.daemon = Daemon(BUILD, directory)
        self.daemon.settings(location="rack7")
        self.callback(self._stop)
        self.daemon.start()
        self.guest = Guest(BUILD, "web1", mapped)
        self.callback(self.guest.close)
        self.make_record()
        self.guest.attach_tree(self.daemon)
        self.inside = Inside(self.guest)
        self.user = Inside(self.guest, uid=1000)

    def make_record(self):
        """The first one, before the guest is given its directory."""
        self.record({"user.role": "frontend"})

    def record(self, config=None, **members):
        """When this returns the guest sees what the record says."""
        self.daemon.guest_record(self.guest, config, **members)

    def host(self, *names):
        """A path in the guest's directory as the host sees it."""
        return self.daemon.tree(self.guest.name, *names)

    def _stop(self):
        print(self.daemon.log()[-4000:])
        self.daemon.stop()
