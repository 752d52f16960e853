# SPDX-License-Identifier: GPL-2.0-or-later
"""Watchers in guests are told, by inotify(7), of keys that come, change and go."""

import os
import select
import signal
import time

import pytest

from daemon import POKER_NAME, children_of, kill_and_wait, name_of, wait_until
from holder import hold
from inside import Inside
from watcher import PATH_UNIT, Watch, mask_of, watch

CONFIG = "/dev/lxd/config"
X, Y = f"{CONFIG}/user.x", f"{CONFIG}/user.y"
# What libuv, so Node's fs.watch(), asks for.
LIBUV = mask_of("ATTRIB", "CREATE", "MODIFY", "DELETE", "DELETE_SELF", "MOVE_SELF", "MOVED_FROM",
                "MOVED_TO")


def pokes(daemon, what="pokes"):
    return daemon.admin("GET", "/1.0/status")[1]["tree"][what]


@pytest.fixture
def guest(daemon, new_guest):
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.x": "old"})
    return guest.attach_tree(daemon)


def change(daemon, guest, **config):
    daemon.guest_record(guest, {f"user.{key}": value for key, value in config.items()})


def lines_of(child, n, seconds=20):
    """The next n lines of what it writes."""
    lines, deadline = b"", time.monotonic() + seconds
    while lines.count(b"\n") < n:
        left = deadline - time.monotonic()
        assert left > 0 and select.select([child.stdout], [], [], left)[0], lines
        lines += os.read(child.stdout.fileno(), 1 << 16)
    return lines.decode().splitlines()


def test_inotifywait(daemon, guest):
    """The tool that shell scripts use, of a directory and of a file in it."""
    child = guest.popen(["inotifywait", "-m", "--format", "%w%f %e", CONFIG, X])
    while "Watches established" not in child.stderr.readline():
        continue
    change(daemon, guest, x="new")
    assert lines_of(child, 6) == [
        f"{CONFIG}/user.x OPEN", f"{X} OPEN", f"{CONFIG}/user.x MODIFY", f"{X} MODIFY",
        f"{CONFIG}/user.x CLOSE_WRITE,CLOSE", f"{X} CLOSE_WRITE,CLOSE"]
    # One after the other: of what comes and goes at once only the end may be seen.
    change(daemon, guest, x="new", y="1")
    assert lines_of(child, 1) == [f"{CONFIG}/user.y CREATE"]
    change(daemon, guest, x="new")
    assert lines_of(child, 1) == [f"{CONFIG}/user.y DELETE"]
    change(daemon, guest)
    assert lines_of(child, 1) == [f"{CONFIG}/user.x DELETE"]


def test_file_that_goes(daemon, guest):
    watcher = watch(guest, mask_of("DELETE_SELF", "MODIFY"), X)
    change(daemon, guest)
    assert watcher.take(2) == [[X, "DELETE_SELF", ""], [X, "IGNORED", ""]]
    change(daemon, guest, x="old")
    assert guest.run(["stat", "-c", "%h %s", X]).stdout == "1 3\n"


def test_path_unit(daemon, guest):
    """Watches the file anew after each time; misses nothing, whether the key is there or not."""
    unit = Watch(guest, PATH_UNIT, X)
    assert unit.next() == ["old"]
    for value in "a", "bb", "ccc":
        change(daemon, guest, x=value)
        assert unit.next() == [value]
    change(daemon, guest)
    assert unit.next() == [None]
    change(daemon, guest, x="back")
    assert unit.next() == ["back"]


def test_libuv(daemon, guest):
    """Each change of each key is at least one event of its name, and the values are there to read."""
    watcher = watch(guest, LIBUV, CONFIG)
    inside = Inside(guest)
    change(daemon, guest, x="a", y="b")
    assert watcher.take(2) == [[CONFIG, "MODIFY", "user.x"], [CONFIG, "CREATE", "user.y"]]
    assert [inside("read('config/user.x')"), inside("read('config/user.y')")] == [b"a", b"b"]
    change(daemon, guest, y="bb")
    assert watcher.take(2) == [[CONFIG, "DELETE", "user.x"], [CONFIG, "MODIFY", "user.y"]]
    assert inside("os.listdir('config')") == ["user.y"]
    assert inside.error("os.stat('config/user.x')") == "ENOENT"
    assert inside("os.stat('config/user.y').st_size") == 2


def test_devices(daemon, guest):
    """A device's keys, and what tells of all of them."""
    nic = {"type": "nic", "mtu": "1500"}
    daemon.guest_record(guest, {}, devices={"eth0": nic})
    device = "/dev/lxd/devices/eth0"
    watcher = watch(guest, mask_of("CREATE", "CLOSE_WRITE", "DELETE"), "/dev/lxd", device)
    daemon.guest_record(guest, {}, devices={"eth0": {**nic, "mtu": "9000", "parent": "br0"}})
    assert sorted(watcher.take(3)) == [
        ["/dev/lxd", "CLOSE_WRITE", "devices.json"], [device, "CLOSE_WRITE", "mtu"],
        [device, "CREATE", "parent"]]
    daemon.guest_record(guest, {})  # the directory itself is not removed for watchers
    assert watcher.next() == ["/dev/lxd", "CLOSE_WRITE", "devices.json"]


def test_switched_off_and_on(daemon, guest):
    watcher = watch(guest, LIBUV, CONFIG)
    change(daemon, guest, x="new")
    assert watcher.next() == [CONFIG, "MODIFY", "user.x"]
    daemon.guest_record(guest, {"user.x": "new", "security.devlxd": "false"})
    assert watcher.next() == [CONFIG, "DELETE", "user.x"]
    assert guest.run(["cat", X], check=False).returncode == 1
    change(daemon, guest, x="new")
    assert watcher.next() == [CONFIG, "CREATE", "user.x"]
    assert guest.run(["cat", X]).stdout == "new"


def test_record_goes_and_comes(daemon, guest):
    watcher = watch(guest, LIBUV, CONFIG)
    os.remove(daemon.record_path("web1"))
    assert daemon.admin("POST", "/1.0/instances/web1/load")[0] == 404
    assert watcher.next() == [CONFIG, "DELETE", "user.x"]
    change(daemon, guest, x="back")
    assert watcher.next() == [CONFIG, "CREATE", "user.x"]
    assert guest.run(["cat", X]).stdout == "back"


def test_nobody_looks(daemon, guest):
    """What the kernel remembers nothing of, nobody watches."""
    for value in "a", "b":
        change(daemon, guest, x=value)
        change(daemon, guest, x=value, y=value)
    assert pokes(daemon) == 0


READER = r"""
import os, select, sys
os.chdir("/dev/lxd/config")
n = 0
print("reading", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    with open("user.x") as file:
        value = file.read()
    size = os.stat("user.x").st_size
    assert value.startswith("value "), value
    assert size >= 7, size
    assert "user.x" in os.listdir(".")
    n += 1
print(n, flush=True)
"""


def test_readers_under_changes(daemon, guest):
    change(daemon, guest, x="value 0")
    watcher = watch(guest, LIBUV, CONFIG)
    reader = guest.start_python(READER)
    assert reader.stdout.readline() == "reading\n"
    for i in range(1, 201):
        change(daemon, guest, x=f"value {i}", **({"y": "1"} if i % 2 else {}))
    out, _ = reader.communicate("stop\n", timeout=60)
    assert reader.returncode == 0 and int(out) > 0
    names = set()
    while names != {"CREATE", "DELETE", "MODIFY"}:
        names.add(watcher.next()[1])
    wait_until(lambda: pokes(daemon) >= 400 - pokes(daemon, "pokes_dropped"), "all pokes")
    inside = Inside(guest)
    assert inside("read('config/user.x')") == b"value 200"
    assert inside("os.stat('config/user.x').st_size") == len("value 200")
    assert inside("os.listdir('config')") == ["user.x"]


ATTEMPTS = r"""
import errno, json, os, select, sys
os.chdir("/dev/lxd/config")
def attempts():
    yield lambda: os.mknod("user.new", 0o100400)
    yield lambda: os.mknod("user.y", 0o100400)
    yield lambda: os.unlink("user.x")
    yield lambda: os.unlink("user.y")
    yield lambda: os.open("user.x", os.O_WRONLY)
    yield lambda: os.open("user.y", os.O_WRONLY)
    yield lambda: os.truncate("user.x", 1)
    yield lambda: os.rmdir("../devices")
found = set()
print("trying", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for attempt in attempts():
        try:
            attempt()
            found.add("done")
        except OSError as e:
            found.add(errno.errorcode[e.errno])
print(json.dumps(sorted(found)), flush=True)
"""


def test_guests_change_nothing_meanwhile(daemon, guest):
    watcher = watch(guest, LIBUV, CONFIG)
    attacker = guest.start_python(ATTEMPTS)
    assert attacker.stdout.readline() == "trying\n"
    for i in range(100):
        change(daemon, guest, x=f"value {i}", **({"y": "1"} if i % 2 else {}))
    watcher.take(100)
    out, _ = attacker.communicate("stop\n", timeout=60)
    assert "EROFS" in out and "done" not in out
    assert set(out.strip()[2:-2].split('", "')) <= {"EROFS", "ENOENT", "EEXIST"}


def test_held_directory(daemon, new_guest, guest):
    """A guest that holds its directory is told nothing; others are, and nobody waits."""
    other = new_guest("web2")
    daemon.guest_record(other, {"user.x": "old"})
    other.attach_tree(daemon)
    watchers = [watch(each, LIBUV, CONFIG) for each in (guest, other)]
    holder = hold(guest, CONFIG)
    for i in range(10):
        for each in guest, other:
            start = time.monotonic()
            change(daemon, each, x=f"new {i}", **{f"key{i}": "1"})
            assert time.monotonic() - start < 2
        assert "user.x" in [event[2] for event in watchers[1].take(2 if i == 0 else 3)]
    holder.stdin.close()
    while watchers[0].next() != [CONFIG, "CREATE", "user.key9"]:
        continue


def test_many_hold_their_directories(daemon, new_guest, guest):
    """More than there are threads at first."""
    watcher = watch(guest, LIBUV, CONFIG)
    for i in range(8):
        hostile = new_guest(f"hostile{i}")
        change(daemon, hostile, x="old")
        hold(hostile.attach_tree(daemon), CONFIG)
        change(daemon, hostile, y="1")
    change(daemon, guest, x="new")
    assert watcher.next() == [CONFIG, "MODIFY", "user.x"]


def test_poker_dies(daemon, guest):
    """What was asked of it may be lost, the next change is not."""
    watcher = watch(guest, LIBUV, CONFIG)
    for i in range(3):
        old = daemon.poker_pid
        kill_and_wait(old)
        wait_until(lambda: [pid for pid in children_of(daemon.keeper_pid)
                            if name_of(pid) == POKER_NAME] not in ([], [old]), "another poker")
        change(daemon, guest, x=f"new {i}")
        assert watcher.next() == [CONFIG, "MODIFY", "user.x"]
    assert daemon.log().count("the process that pokes watchers died") == 3


def test_worker_dies(daemon, guest):
    watcher = watch(guest, LIBUV, CONFIG)
    for i in range(3):
        daemon.kill_worker()
        change(daemon, guest, x=f"new {i}")
        assert watcher.next() == [CONFIG, "MODIFY", "user.x"]
        assert guest.run(["cat", X]).stdout == f"new {i}"


def test_change_while_no_worker_serves(daemon, guest):
    """The next one compares with what the last has told: the directory's watchers are told."""
    change(daemon, guest, x="old", y="1")
    watcher = watch(guest, LIBUV, CONFIG)
    guest.run(["cat", X, Y])
    worker = os.pidfd_open(daemon.worker_pid)
    daemon.may_lose_workers = True
    signal.pidfd_send_signal(worker, signal.SIGSTOP)
    process, daemon.process = daemon.process, None  # so that nothing is waited for
    change(daemon, guest, x="new", z="1")
    daemon.process = process
    signal.pidfd_send_signal(worker, signal.SIGKILL)
    os.close(worker)
    assert sorted(watcher.take(3)) == [[CONFIG, "CREATE", "user.z"], [CONFIG, "DELETE", "user.y"],
                                       [CONFIG, "MODIFY", "user.x"]]
    assert guest.run(["cat", X]).stdout == "new"
    assert guest.run(["ls", CONFIG]).stdout.split() == ["user.x", "user.z"]


def test_foreground_worker(new_daemon, new_guest):
    daemon = new_daemon(options=["--foreground-worker"]).start()
    guest = new_guest("web1")
    change(daemon, guest, x="old")
    watcher = watch(guest.attach_tree(daemon), LIBUV, CONFIG)
    change(daemon, guest, x="new")
    assert watcher.next() == [CONFIG, "MODIFY", "user.x"]
