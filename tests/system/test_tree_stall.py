# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that holds the lock of its own directory: nobody but itself may have to wait for it."""

import os
import signal
import time

from daemon import wait_until
from holder import hold


def timed(action):
    started = time.monotonic()
    result = action()
    return result, time.monotonic() - started


def load(daemon, guest):
    status, answer = daemon.admin("POST", f"/1.0/instances/{guest.name}/load")
    assert status == 200, answer
    return answer


def two_guests(daemon, new_guest):
    guests = [new_guest("web1"), new_guest("web2")]
    for guest in guests:
        daemon.guest_record(guest, {"user.x": "old"})
        guest.attach_tree(daemon)
        assert guest.run(["cat", "/dev/lxd/config/user.x"]).stdout == "old"
    return guests


def test_held_keys(daemon, new_guest):
    """Changed values go on, for others, for the host, and for the guest itself."""
    guest, other = two_guests(daemon, new_guest)
    hold(guest, "/dev/lxd/config")
    for i in range(5):
        for each in guest, other:
            _, seconds = timed(lambda: daemon.guest_record(each, {"user.x": f"new {i}"}))
            assert seconds < 2
            assert each.run(["cat", "/dev/lxd/config/user.x"], timeout=10).stdout == f"new {i}"


def test_held_directory(daemon, new_guest):
    """What needs the lock is given up on after a second, and said; the next instance does not wait."""
    guest, other = two_guests(daemon, new_guest)
    holder = hold(guest, "/dev/lxd")
    for value in "false", "true", "false":
        daemon.guest_record(guest, {"user.x": "new", "security.devlxd.socket": value})
        answer, seconds = timed(lambda: load(daemon, guest))
        assert seconds < 2
        assert answer["stalled"] == ["web1"]
        _, seconds = timed(lambda: daemon.guest_record(other, {"user.x": value}))
        assert seconds < 2
        assert other.run(["cat", "/dev/lxd/config/user.x"], timeout=10).stdout == value
    assert daemon.admin("GET", "/1.0/status")[1]["tree"]["stalled"] == 1
    holder.stdin.close()
    wait_until(lambda: load(daemon, guest)["stalled"] == [], "the guest to let go")
    assert guest.run(["test", "-e", "/dev/lxd/sock"], check=False).returncode == 1


def test_worker_dies_while_a_guest_holds_it(daemon, new_guest):
    """A thread of it cannot end then, nor can it; the next one does not wait for that."""
    guest, other = two_guests(daemon, new_guest)
    holder = hold(guest, "/dev/lxd")
    daemon.guest_record(guest, {"user.x": "old", "security.devlxd.socket": "false"})
    daemon.may_lose_workers = True
    os.kill(daemon.worker_pid, signal.SIGKILL)
    for each in other, guest:
        assert each.run(["cat", "/dev/lxd/config/user.x"], timeout=20).stdout == "old"
    daemon.guest_record(other, {"user.x": "new"})
    assert other.run(["cat", "/dev/lxd/config/user.x"]).stdout == "new"
    holder.stdin.close()
    holder.wait()
