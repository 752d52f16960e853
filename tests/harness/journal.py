# SPDX-License-Identifier: GPL-2.0-or-later
"""journald's part in its native protocol: what programs log at its socket."""

import contextlib
import os
import socket

PATH = "/run/systemd/journal/socket"


class Journal:
    """At the place of the real one, so /run must be this test's own. Entries come from start to close()."""

    def __init__(self):
        os.makedirs(os.path.dirname(PATH), exist_ok=True)
        if os.path.lexists(PATH):
            os.unlink(PATH)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(PATH)
        os.chmod(PATH, 0o666)
        self.socket.setblocking(False)

    def take(self):
        """The entries since the last time, each a dictionary of its fields."""
        entries = []
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except BlockingIOError:
                return entries
            entries.append(dict(line.split("=", 1) for line in text.splitlines()))

    def messages(self):
        return [entry["MESSAGE"] for entry in self.take()]

    @contextlib.contextmanager
    def full(self):
        """Nothing more goes in, for whoever waits and whoever does not."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    sender.sendto(b"MESSAGE=filler\n", PATH)
            yield
        self.take()

    def close(self):
        self.socket.close()
        os.unlink(PATH)
