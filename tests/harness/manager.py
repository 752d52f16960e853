# SPDX-License-Identifier: GPL-2.0-or-later
"""A service manager's part in sd_notify(3): a store of descriptors that outlives the daemon."""

import array
import os
import select
import socket
import threading

PASSED_FDS = 3


class Manager:
    """
    Listens at NOTIFY_SOCKET; wrapper() starts a daemon with what is in the store.

    A thread takes what comes, as a manager does: a queue of ten messages, the default of the kernel,
    would hold up who sends more.
    """

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.states = []  # READY=1 and the like
        self.store = []  # [name, descriptor], as they came
        self.lock = threading.Lock()
        self.end_fd, self.closed_fd = os.pipe()
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self):
        while self.end_fd not in select.select([self.socket, self.end_fd], [], [])[0]:
            self.heed()

    def _take(self):
        text, controls, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(4 * 16))
        fds = array.array("i")
        for level, kind, data in controls:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data)
        fields = dict(line.split("=", 1) for line in text.decode().splitlines())
        name = fields.get("FDNAME")
        if fields.get("FDSTORE") == "1":
            self.store += [[name, fd] for fd in fds]
        elif fields.get("FDSTOREREMOVE") == "1":
            self.forget(name)
        else:
            self.states.append(text.decode())

    def heed(self):
        """Takes what has been sent until now."""
        with self.lock:
            while select.select([self.socket], [], [], 0)[0]:
                self._take()
        return self

    def names(self):
        return sorted(name for name, _ in self.heed().store)

    def forget(self, name):
        for entry in [entry for entry in self.store if entry[0] == name]:
            self.store.remove(entry)
            os.close(entry[1])

    def wrapper(self):
        """A command that runs another one with the store, and with what a manager says of it."""
        names = ":".join(name for name, _ in self.heed().store)
        numbers = [str(fd) for _, fd in self.store]
        return ["/usr/bin/python3", __file__, self.path, names, ",".join(numbers)], \
            [fd for _, fd in self.store]

    def close(self):
        os.close(self.closed_fd)
        self.thread.join()
        os.close(self.end_fd)
        self.heed().socket.close()
        for _, fd in self.store:
            os.close(fd)


def become(path, names, numbers, command):
    fds = [int(n) for n in numbers.split(",") if n]
    # Out of the way of the numbers that they are to have; the daemon's own --ready-fd goes first.
    ready = command.index("--ready-fd") + 1
    moved = [os.dup(fd) for fd in [int(command[ready]), *fds]]
    high = [fd_above(fd, 2000) for fd in moved]
    for i, fd in enumerate(high[1:]):
        os.dup2(fd, PASSED_FDS + i)
    command[ready] = str(PASSED_FDS + len(fds))
    os.dup2(high[0], PASSED_FDS + len(fds))
    os.closerange(PASSED_FDS + len(fds) + 1, 65536)
    environment = dict(os.environ, NOTIFY_SOCKET=path)
    if fds:
        environment |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(fds)),
                        "LISTEN_FDNAMES": names}
    os.execve(command[0], command, environment)


def fd_above(fd, least):
    import fcntl
    return fcntl.fcntl(fd, fcntl.F_DUPFD, least)


if __name__ == "__main__":
    import sys
    become(*sys.argv[1:4], sys.argv[4:])
