# SPDX-License-Identifier: GPL-2.0-or-later
"""A program in a guest that prints lines for ever: what it has printed, with a bound on the waiting."""

import json
import os
import select
import signal
import time

from daemon import children_of, wait_until

PATIENCE_SECONDS = 30


class Reader:
    """Runs argv in the guest, in /dev/lxd; text of a shell is run by sh."""

    def __init__(self, guest, argv, **options):
        if isinstance(argv, str):
            argv = ["sh", "-c", "cd /dev/lxd && " + argv]
        self.child = guest.popen(argv, text=False, **options)
        self.bytes = b""

    def _more(self, deadline):
        fd = self.child.stdout.fileno()
        ready = select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]
        assert ready, f"nothing more within {PATIENCE_SECONDS} s behind {self.bytes[-300:]}"
        more = os.read(fd, 65536)
        self.bytes += more
        return more

    def lines(self, n):
        """The next n lines."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.bytes.count(b"\n") < n:
            assert self._more(deadline), f"ended behind {self.bytes[-300:]}: {self.error()}"
        *found, self.bytes = self.bytes.split(b"\n", n)
        return [line.decode() for line in found]

    def events(self, n):
        return [json.loads(line) for line in self.lines(n)]

    def until(self, text):
        """All lines up to the first that has text."""
        found = []
        while not found or text not in found[-1]:
            found += self.lines(1)
        return found

    def rest(self):
        """What it prints before it ends by itself."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._more(deadline):
            pass
        self.child.wait(PATIENCE_SECONDS)
        found, self.bytes = self.bytes, b""
        return found.decode()

    def error(self):
        return self.child.stderr.read() if self.child.stderr else ""

    @property
    def pid(self):
        """Of the program itself; the child is who entered the guest for it, and ends as it does."""
        pid = self.child.pid
        wait_until(lambda: children_of(pid), "the program")
        return children_of(pid)[0]

    def end(self, number=signal.SIGTERM):
        """Kills it and returns its status."""
        os.kill(self.pid, number)
        return self.child.wait(PATIENCE_SECONDS)
