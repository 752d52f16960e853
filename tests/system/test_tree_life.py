# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree's beginning and end: mounted, served by one worker after another, taken down."""

import ctypes
import json
import os
import select
import signal
import stat
import time

import pytest

from daemon import (START_SECONDS, HELPER_NAME, NO_WORKERS, children_of, kill_and_wait, name_of,
                    wait_until)
from here import TAKE_OVERS

libc = ctypes.CDLL(None, use_errno=True)
MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8


def mounts_below(directory):
    """The types of what is mounted there or below; the daemon's mount namespace is ours."""
    found = []
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            fields, _, tail = line.partition(" - ")
            point = fields.split()[4].replace(r"\040", " ")
            if (point + "/").startswith(directory + "/"):
                found.append(tail.split()[0])
    return found


def runs_of(daemon):
    return mounts_below(daemon.dirs["run"])


def serves(daemon, guest):
    """Gives the guest its directory anew and looks at all that it is for."""
    guest.attach_tree(daemon)
    assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"
    assert guest.curl("/1.0/config/user.role") == (200, "frontend")
    assert runs_of(daemon) == ["fuse.devlxdfs"]


@pytest.fixture
def guest(new_daemon, new_guest):
    return new_guest("web1")


def started(daemon, guest, **options):
    daemon.start(**options)
    daemon.guest_record(guest, {"user.role": "frontend"})
    return daemon


# Sits in its directory with all kinds of things open; prints errno names of using them when told.
SITTER = r"""
import errno, json, os, sys
os.chdir("/dev/lxd/config")
directory = os.open("..", os.O_RDONLY)
state = os.open("../state", os.O_RDWR)
def attempt(action):
    try:
        return repr(action())
    except OSError as e:
        return errno.errorcode[e.errno]
print("in", flush=True)
for line in sys.stdin:
    print(json.dumps([
        attempt(lambda: os.open("user.role", os.O_RDONLY)),
        attempt(lambda: os.stat("../name")),
        attempt(lambda: os.read(state, 1)),
        attempt(lambda: os.listdir(directory)),
    ]), flush=True)
"""


def sit(guest):
    sitter = guest.start_python(SITTER)
    assert sitter.stdout.readline() == "in\n"
    return sitter


def tell(child, line=""):
    child.stdin.write(line + "\n")
    child.stdin.flush()
    return child.stdout.readline().strip()


def dead(sitter):
    return set(json.loads(tell(sitter))) <= {"ENOTCONN", "ECONNABORTED"}


# --- the end

@pytest.mark.parametrize("options", [[], ["--foreground-worker"]], ids=["keeper", "foreground"])
def test_stop_with_guests_inside(new_daemon, guest, options):
    daemon = started(new_daemon(options=options), guest)
    serves(daemon, guest)
    sitter = sit(guest)
    log = daemon.log()
    start = time.monotonic()
    daemon.stop()  # checks the exit status
    assert time.monotonic() - start < 5, "it was waited for"
    assert "killing it" not in daemon.log()[len(log):]
    assert runs_of(daemon) == []
    assert dead(sitter)
    serves(started(daemon, guest), guest)
    assert dead(sitter)  # where it sits nothing comes back


def test_stop_while_no_worker_serves(new_daemon, guest):
    """A guest waits in the middle of a call for a worker that is stopped, in every sense."""
    daemon = started(new_daemon(), guest)
    serves(daemon, guest)
    worker = os.pidfd_open(daemon.worker_pid)
    signal.pidfd_send_signal(worker, signal.SIGSTOP)
    waiting = guest.popen(["cat", "/dev/lxd/config/user.none"])
    process, daemon.process = daemon.process, None
    process.terminate()
    assert process.wait(START_SECONDS) == 0
    os.close(worker)
    assert waiting.communicate(timeout=60)[1].strip().endswith(
        ("Transport endpoint is not connected", "Software caused connection abort"))
    assert runs_of(daemon) == []
    serves(daemon.start(), guest)


def kill_all(daemon):
    """Keeper, worker and helper end with -9, and nobody cleans up."""
    process, daemon.process = daemon.process, None
    pidfds = [os.pidfd_open(pid) for pid in children_of(process.pid)]
    process.kill()
    process.wait()
    for pidfd in pidfds:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], START_SECONDS)[0]
        os.close(pidfd)


def test_start_over_dead_mounts(new_daemon, guest):
    daemon = started(new_daemon(), guest)
    serves(daemon, guest)
    sitter = sit(guest)
    kill_all(daemon)
    assert runs_of(daemon) == ["fuse.devlxdfs"]
    with pytest.raises(OSError, match="not connected|abort"):
        os.listdir(daemon.tree())
    assert dead(sitter)
    assert "an earlier daemon ended" not in daemon.log()
    serves(daemon.start(), guest)
    assert "an earlier daemon ended and left" in daemon.log()


def test_start_over_stacked_dead_mounts(new_daemon, guest):
    """All that is ours goes, whatever a series of accidents has left there."""
    daemon = new_daemon()
    path = daemon.tree()
    os.makedirs(path)
    for _ in range(3):
        fuse = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={fuse},rootmode=40711,user_id=0,group_id=0"
        assert libc.mount(b"devlxdfs", path.encode(), b"fuse.devlxdfs", MS_NOSUID_NODEV_NOEXEC,
                          options.encode()) == 0
        os.close(fuse)
    assert runs_of(daemon) == ["fuse.devlxdfs"] * 3
    serves(started(daemon, guest), guest)
    daemon.stop()
    assert runs_of(daemon) == []


def test_no_fuse_takes_down_what_is_left(new_daemon, guest):
    daemon = started(new_daemon(), guest)
    kill_all(daemon)
    daemon.options = ["--no-fuse"]
    daemon.start()
    assert runs_of(daemon) == []


# --- a full disk

HOLDER = r"""
import errno, os, sys
fd = os.open("/dev/lxd/config/user.role", os.O_RDONLY)
print("held", flush=True)
for line in sys.stdin:
    try:
        print(os.pread(fd, 100, 0).decode(), flush=True)
    except OSError as e:
        print(errno.errorcode[e.errno], flush=True)
"""


def test_no_room_in_run(new_daemon, new_guest, guest):
    """Nobody who has a directory notices; who has none gets it when there is room again."""
    daemon = new_daemon()
    os.mkdir(daemon.dirs["run"])
    assert libc.mount(b"tmpfs", daemon.dirs["run"].encode(), b"tmpfs", 0, b"size=1m,mode=755") == 0
    started(daemon, guest)
    guest.attach_tree(daemon)
    holder = guest.start_python(HOLDER)
    assert holder.stdout.readline() == "held\n"
    filler = os.path.join(daemon.dirs["run"], "filler")
    with open(filler, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    daemon.guest_record(guest, {"user.role": "backend"})
    assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "backend"
    assert tell(holder) == "frontend"
    daemon.kill_worker()
    assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "backend"
    assert tell(holder) == "ESTALE"  # what was kept for it was the dead worker's alone
    late = new_guest("web2")
    daemon.guest_record(late, {"user.role": "late"})
    assert not os.path.exists(daemon.tree("web2"))
    assert "cannot write published/web2.json" in daemon.log()
    os.unlink(filler)
    late.attach_tree(daemon)
    assert late.run(["cat", "/dev/lxd/config/user.role"]).stdout == "late"


# --- where it is

def test_long_path_with_a_space(new_daemon, guest, tmp_path):
    """Longer than a socket's address can be."""
    daemon = new_daemon()
    daemon.dirs["run"] = str(tmp_path / "with a space" / ("x" * 120))
    os.makedirs(daemon.dirs["run"])
    short = tmp_path / "run"  # for us, who must connect there
    short.symlink_to(daemon.dirs["run"])
    daemon.sock, daemon.admin_sock = f"{short}/sock", f"{short}/admin.sock"
    serves(started(daemon, guest), guest)
    assert guest.attach(daemon).curl("/1.0/config/user.role") == (200, "frontend")
    kill_all(daemon)
    serves(daemon.start(), guest)
    daemon.stop()
    assert runs_of(daemon) == []


def test_two_daemons(new_daemon, new_guest):
    """Each has its tree and its guests, and one's end is not the other's."""
    daemons, guests = [new_daemon(), new_daemon()], [new_guest("web1"), new_guest("web1")]
    for daemon, guest in zip(daemons, guests):
        serves(started(daemon, guest), guest)
    done = guests[0].run(["cat", "/dev/lxd/config/user.role"])
    assert done.stdout == "frontend"
    guests[0].mount(daemons[1].tree("web1"), "/tmp/other")
    assert guests[0].run(["cat", "/tmp/other/config/user.role"], check=False).returncode == 1
    daemons[1].stop()
    assert runs_of(daemons[0]) == ["fuse.devlxdfs"] and runs_of(daemons[1]) == []
    serves(daemons[0], guests[0])


# --- without

def test_no_fuse(new_daemon, guest):
    daemon = started(new_daemon(options=["--no-fuse"]), guest)
    assert runs_of(daemon) == []
    assert guest.attach(daemon).curl("/1.0/config/user.role") == (200, "frontend")
    daemon.kill_worker()
    assert guest.curl("/1.0/config/user.role") == (200, "frontend")
    assert all(name_of(pid) not in NO_WORKERS for pid in children_of(daemon.keeper_pid))


def own_dev(node):
    """A command that runs another with a /dev of its own, in which @node may make /dev/fuse."""
    return ["unshare", "--mount", "sh", "-c",
            "mount -t tmpfs -o mode=755,nodev tmpfs /mnt && : >/mnt/null && "
            "mount --bind /dev/null /mnt/null && mount --move /mnt /dev && "
            f"{node} && exec \"$@\"", "sh"]


@pytest.mark.parametrize("wrapper, message", [
    (own_dev("true"), "cannot open /dev/fuse: No such file or directory"),
    (own_dev("mknod /dev/fuse c 10 229"), "cannot open /dev/fuse: Permission denied"),
    (["setpriv", "--bounding-set=-sys_admin"], "tree\": Operation not permitted"),
], ids=["missing", "forbidden", "no mounting"])
def test_no_device(new_daemon, guest, wrapper, message):
    daemon = new_daemon(wrapper=wrapper)
    process, ready = daemon.spawn()
    assert process.wait(START_SECONDS) == 1 and os.read(ready, 1) == b""
    os.close(ready)
    assert message in daemon.log() and "--no-fuse" in daemon.log()
    daemon.options = ["--no-fuse"]
    started(daemon, guest)
    assert guest.attach(daemon).curl("/1.0/config/user.role") == (200, "frontend")


# --- worker after worker

def test_foreground_worker(new_daemon, guest):
    """This process serves; its child cleans up, also when nobody can tell it to."""
    daemon = started(new_daemon(options=["--foreground-worker"]), guest)
    serves(daemon, guest)
    sitter = sit(guest)
    process, daemon.process = daemon.process, None
    process.kill()
    process.wait()
    wait_until(lambda: runs_of(daemon) == [], "the mount to go")
    assert dead(sitter)
    daemon.check_log()
    serves(daemon.start(), guest)


# Reads, lists and stats without end or pity; says each second what came of it.
READER = r"""
import json, os, select, sys, threading
os.chdir("/dev/lxd")
large = os.open("config/user.large", os.O_RDONLY)
errors = []
stop = threading.Event()
def read():
    with open("config/user.role") as file:
        return file.read() == "frontend"
def list():
    return sorted(os.listdir("config")) == ["user.large", "user.role"]
def stat():
    return os.stat("config/user.role").st_size == 8
def state():
    with open("state") as file:
        return file.read() == "Started\n"
def miss():
    return not os.path.exists("config/user.none")
def whole():
    # Of an old descriptor, and not from the page cache.
    os.posix_fadvise(large, 0, 0, os.POSIX_FADV_DONTNEED)
    return os.pread(large, 1 << 20, 0) == b"0123456789" * 30000
def go_on(action):
    while not stop.is_set():
        try:
            if not action():
                errors.append("wrong: " + action.__name__)
            counts[action.__name__] += 1
        except OSError as e:
            errors.append(action.__name__ + ": " + e.strerror)
actions = (read, list, stat, state, miss, whole)
counts = {action.__name__: 0 for action in actions}
threads = [threading.Thread(target=go_on, args=(action,)) for action in actions]
for thread in threads:
    thread.start()
while not select.select([sys.stdin], [], [], 1)[0]:
    print(json.dumps([[*counts.values()], errors[:5]]), flush=True)
stop.set()
for thread in threads:
    thread.join()
"""


def inodes(guest):
    return guest.run(["sh", "-c", "cd /dev/lxd; find . | sort | xargs ls -di"]).stdout


@TAKE_OVERS
def test_workers_die_under_readers(new_daemon, guest, options):
    """No error at all, nothing wrong; calls wait for the next worker. Names keep their inodes."""
    daemon = started(new_daemon(options=options), guest)
    config = {"user.role": "frontend", "user.large": "0123456789" * 30000}
    daemon.guest_record(guest, config)
    serves(daemon, guest)
    before = inodes(guest)
    reader = guest.start_python(READER)

    def have_got_on():
        nonlocal counts
        now, errors = json.loads(reader.stdout.readline())
        assert errors == []
        if not all(n > m + 1 for n, m in zip(now, counts)):
            return False
        counts = now
        return True

    counts = [0] * 6
    for _ in range(10):
        wait_until(have_got_on, "every reader to get on", START_SECONDS)
        daemon.kill_worker()
    wait_until(have_got_on, "every reader to get on", START_SECONDS)
    reader.communicate("stop\n")
    # What changes and changes back is what it was: the kernel asked two workers for it.
    daemon.guest_record(guest, {**config, "user.role": "backend"})
    assert inodes(guest) != before
    daemon.kill_worker()
    daemon.guest_record(guest, config)
    assert inodes(guest) == before


def test_helper_dies(new_daemon, guest):
    """The next one is at hand when a socket is wanted; the one that is bound stays."""
    daemon = started(new_daemon(), guest)
    serves(daemon, guest)
    for n in range(3):
        old = daemon.helper_pid
        kill_and_wait(old)
        wait_until(lambda: [pid for pid in children_of(daemon.keeper_pid)
                            if name_of(pid) == HELPER_NAME] not in ([], [old]), "another helper")
        serves(daemon, guest)
        daemon.record(f"own{n}", config={"user.role": "own"}, match={"mount": True})
        wait_until(lambda: os.path.lexists(daemon.tree(f"own{n}", "sock")), "its socket")
        assert stat.S_ISSOCK(os.lstat(daemon.tree(f"own{n}", "sock")).st_mode)
    assert daemon.log().count("the helper died") == 3
