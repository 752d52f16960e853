# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker that was taken over can write anything into the memory that the next one reads."""

import os
import random

import pytest

from daemon import kill_and_wait, memfd_of, wait_until

N_ROUNDS = 4
N_WRITES = 400
KINDS = (b"\0", b"\xff", b"\x7f\xff\xff\xff\xff\xff\xff\xff", None)


def data_of(fd):
    """The parts of the file that have memory: (offset, end)."""
    end, size = 0, os.fstat(fd).st_size
    while True:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end
        if end >= size:
            return


def spoil(fd, dice):
    """What is written is often what lengths and positions are least expected to be."""
    parts = list(data_of(fd))
    for _ in range(N_WRITES):
        start, end = dice.choice(parts)
        garbage = dice.choice(KINDS) or dice.randbytes(8)
        os.pwrite(fd, garbage * dice.choice((1, 1, 8)), dice.randrange(start, end - 64))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [[], ["--no-resend"]], ids=["resend", "journal"])
def test_next_worker_serves(new_daemon, new_guest, options, seed):
    dice = random.Random(seed)
    daemon = new_daemon(options=options).start()
    guest = new_guest("web1")
    for name in "web1", "web2", "web3":
        daemon.record(name, match={"cgroup": guest.cgroup.path if name == "web1" else f"/{name}"},
                      config={f"user.{i}": "x" * 50 for i in range(20)})
    daemon.record("own", match={"mount": True})
    guest.attach_tree(daemon)
    daemon.may_lose_workers = True
    keeper_pid = daemon.keeper_pid
    fds = [os.open(memfd_of(keeper_pid, name), os.O_RDWR)
           for name in ("devlxdfs", "devlxdfs-requests")]
    try:
        for n in range(N_ROUNDS):
            guest.run(["sh", "-c", "timeout 0.1 cat /dev/lxd/events >/dev/null"], check=False)
            for fd in fds:
                spoil(fd, dice)
            kill_and_wait(daemon.worker_pid)
            daemon.record("web1", match={"cgroup": guest.cgroup.path},
                          config={"user.role": f"{n}"})
            assert guest.curl("/1.0/config/user.role") == (200, f"{n}")
            # What a descriptor or a name stood for may be lost with that memory; what is asked for anew is right.
            wait_until(lambda: guest.run(["cat", "/dev/lxd/config/user.role"],
                                         check=False).stdout == f"{n}", "its value in the tree")
            assert daemon.process.poll() is None and daemon.keeper_pid == keeper_pid
    finally:
        for fd in fds:
            os.close(fd)
