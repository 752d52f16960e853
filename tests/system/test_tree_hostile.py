# SPDX-License-Identifier: GPL-2.0-or-later
"""What one guest does to its directory no other guest notices: its neighbour reads all the time,
and the daemon ends up no larger. LONG=1 makes the race go on for a minute instead of seconds."""

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest

from daemon import START_SECONDS, descriptors_of, memory_of, wait_until
from guest import Cgroup
from here import IS_INSTRUMENTED

RACE_SECONDS = 60 if os.environ.get("LONG") == "1" else 8
N_PIDFDS = 64  # of callers, that the daemon keeps for next time
GROWTH = 8 << 20  # bytes that are no leak: the largest change, and its events, are in memory at once

# Reads, lists and looks until told to stop; how often, and what was wrong.
NEIGHBOUR = r"""
import json, os, select, sys
n, wrong = 0, []
print("go", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        with open("/dev/lxd/config/user.name") as file:
            found = [file.read(), sorted(os.listdir("/dev/lxd/config")),
                     os.path.exists("/dev/lxd/config/user.none")]
        if found != ["neighbour", ["user.name"], False]:
            wrong.append(found)
    except OSError as e:
        wrong.append(e.strerror)
    n += 1
print(json.dumps([n, wrong[:3]]))
"""

# What a guest can do to all that is there, by many threads and processes, until it is killed.
STORM = r"""
import os, threading
def storm(first):
    turn = first
    while True:
        turn += 1
        if turn == first + 10:
            print("storms", flush=True)
        try:
            if turn % 5 == 0:
                os.listdir("/dev/lxd/config")
            elif turn % 5 == 1:
                os.write(os.open("/dev/lxd/state", os.O_WRONLY | os.O_TRUNC), b"Ready")
            elif turn % 5 == 2:
                os.stat(f"/dev/lxd/config/user.none{turn % 100}")
            elif turn % 5 == 3:
                os.pread(os.open(f"/dev/lxd/config/user.key{turn % 50}", os.O_RDONLY), 9999, 0)
            else:
                os.listdir("/dev/lxd")
            if turn % 100 == 0:
                os.closerange(3, 1000)
        except OSError:
            os.closerange(3, 1000)
for _ in range(2):
    os.fork()
for first in range(8):
    threading.Thread(target=storm, args=(first,)).start()
"""


def key_values(n, round=0, size=100):
    """Values that tell their key and round, as often as fits: any mixture shows."""
    return {f"user.key{i}": f"{i}.{round}:" * (size // 8) for i in range(n)}


@pytest.fixture
def neighbour(daemon, new_guest):
    guest = new_guest("neighbour")
    daemon.guest_record(guest, {"user.name": "neighbour"})
    return guest.attach_tree(daemon)


@pytest.fixture
def attacker(daemon, new_guest):
    guest = new_guest("attacker", mapped=True)
    daemon.guest_record(guest, key_values(50))
    return guest.attach_tree(daemon)


@pytest.fixture
def unharmed(daemon, neighbour):
    """A context: the neighbour is served during it, and the daemon is no larger after it."""

    @contextlib.contextmanager
    def watch():
        worker = daemon.worker_pid
        descriptors, memory = descriptors_of(worker), memory_of(worker)["Anonymous"]
        client = neighbour.start_python(NEIGHBOUR)
        assert client.stdout.readline() == "go\n"
        yield
        n, wrong = json.loads(client.communicate("stop\n", START_SECONDS)[0])
        assert n > 0 and wrong == []
        assert daemon.worker_pid == worker
        assert descriptors_of(worker) <= descriptors + N_PIDFDS
        if not IS_INSTRUMENTED:  # a sanitizer keeps what was freed
            assert memory_of(worker)["Anonymous"] - memory < GROWTH

    return watch


def tree_status(daemon):
    return daemon.admin("GET", "/1.0/status")[1]["tree"]


def start_storm(guest):
    """Another in a cgroup of its own, which must be removed."""
    cgroup = Cgroup(guest.cgroup.path + "/storm")
    storm = guest.start_python(STORM, cgroup=cgroup)
    assert storm.stdout.readline() == "storms\n"
    return cgroup


def test_killed_in_the_middle_again_and_again(daemon, attacker, unharmed):
    start_storm(attacker).remove()
    with unharmed():
        for n in range(30):
            storm = start_storm(attacker)
            daemon.guest_record(attacker, key_values(50, n))
            storm.remove()
        assert attacker.run(["cat", "/dev/lxd/config/user.key1"]).stdout == \
            key_values(2, 29)["user.key1"]

    # What it had open when that was replaced is closed, and what it only looked up is forgotten.
    def nothing_is_kept():
        nonlocal n
        n += 1
        daemon.guest_record(attacker, key_values(50, n))
        return tree_status(daemon)["kept_bytes"] == 0

    wait_until(nothing_is_kept, "kept contents to be dropped")


HOLDER = r"""
import errno, json, os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
for line in sys.stdin:
    if line == "open\n":
        number = len(held)
        for i in range(100):
            held.append((i, os.open(f"/dev/lxd/config/user.key{i}", os.O_RDONLY)))
        print(len(held), flush=True)
found = {"whole": 0, "ESTALE": 0, "wrong": []}
for n, (i, fd) in enumerate(held):
    try:
        value = os.pread(fd, 1 << 20, 0).decode()
        good = value == f"{i}.{n // 100}:" * (SIZE // 8) and os.fstat(fd).st_size == len(value)
        found["whole"] += good
        if not good:
            found["wrong"].append([n, value[:20]])
    except OSError as e:
        found[errno.errorcode[e.errno]] += 1
print(json.dumps(found))
"""


def test_ten_thousand_descriptors(daemon, attacker, unharmed):
    """Of a hundred keys in a hundred versions: each gives its own version whole, or ESTALE."""
    size = 1600  # 16 MB in all
    daemon.guest_record(attacker, key_values(100, 0, size))
    attacker.run(["sh", "-c", "cat /dev/lxd/config/*"])
    with unharmed():
        holder = attacker.start_python(HOLDER.replace("SIZE", str(size)))
        for n in range(100):
            holder.stdin.write("open\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == f"{(n + 1) * 100}\n"
            daemon.guest_record(attacker, key_values(100, n + 1, size))
            assert tree_status(daemon)["kept_bytes"] <= 1 << 20
        assert tree_status(daemon)["kept_bytes"] > 1 << 19
        found = json.loads(holder.communicate()[0])
        assert found["wrong"] == [] and found["whole"] + found["ESTALE"] == 10000, found
        assert found["whole"] >= (1 << 19) // size and found["ESTALE"] > 0, found
        wait_until(lambda: tree_status(daemon)["kept_bytes"] == 0, "kept contents to be dropped")


MOUNTS = {
    "tmpfs over keys": "mount -t tmpfs tmpfs /dev/lxd/config",
    "file over a key": "echo fake >/tmp/fake && mount --bind /tmp/fake /dev/lxd/config/user.key1",
    "key over a key": "mount --bind /dev/lxd/config/user.key2 /dev/lxd/config/user.key1",
    "file over the socket": "echo fake >/tmp/fake && mount --bind /tmp/fake /dev/lxd/sock",
    "itself over keys": "mount --bind /dev/lxd /dev/lxd/config",
}


@pytest.mark.parametrize("command", MOUNTS.values(), ids=MOUNTS)
def test_mounts_on_top(daemon, attacker, neighbour, command):
    """Whoever does that may lose what he mounted. Others do not see it, before and after."""
    values = key_values(50)
    keeper = attacker.popen(
        ["unshare", "--mount", "sh", "-c", f"{command} && echo done; read -r _"], stdin=-1)
    assert keeper.stdout.readline() == "done\n", keeper.stderr.read()
    for value in "one", "two":
        # A change, a key less, all hidden and shown again: whatever the kernel is told.
        daemon.guest_record(attacker, {**values, "user.key1": value})
        assert attacker.run(["cat", "/dev/lxd/config/user.key1"]).stdout == value
        daemon.guest_record(attacker, {"user.key1": value})
        assert attacker.run(["ls", "/dev/lxd/config"]).stdout == "user.key1\n"
        daemon.guest_record(attacker, {**values, "security.devlxd": "false"})
        assert attacker.run(["ls", "/dev/lxd"]).stdout == ""
        daemon.guest_record(attacker, values)
        assert attacker.run(["cat", "/dev/lxd/config/user.key1"]).stdout == values["user.key1"]
        with open(daemon.tree("attacker", "config", "user.key1")) as file:
            assert file.read() == values["user.key1"]
        assert attacker.curl("/1.0/config/user.key1") == (200, values["user.key1"])
        assert neighbour.run(["cat", "/dev/lxd/config/user.name"]).stdout == "neighbour"
    # Its own directory is there still, below what it did to it.
    again = attacker.run(["nsenter", f"--target={inner_pid(attacker, keeper)}", "--mount",
                          "--wdns=/", "cat", "/dev/lxd/name"])
    assert again.stdout == "attacker\n"


def inner_pid(guest, child):
    """What nsenter started, as the guest's own /proc has it: the last number of its NSpid."""
    with open(f"/proc/{child.pid}/task/{child.pid}/children") as children:
        pid = children.read().split()[0]
    with open(f"/proc/{pid}/status") as status:
        return next(line.split()[-1] for line in status if line.startswith("NSpid:"))


LISTER = r"""
import json, os, select, sys, threading
stable, wrong, n = {f"user.stable{i}" for i in range(100)}, [], 0
directory = os.open("/dev/lxd/config", os.O_RDONLY)
def with_a_look():
    names = []
    with os.scandir("/dev/lxd/config") as entries:
        for entry in entries:
            entry.stat()
            names.append(entry.name)
    return names
print("go", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for how in (lambda: os.listdir("/dev/lxd/config"), lambda: os.listdir(directory), with_a_look):
        try:
            names = how()
        except FileNotFoundError:
            continue  # one that went between being listed and being looked at
        if len(names) != len(set(names)):
            wrong.append("twice")
        if not stable <= set(names):
            wrong.append(f"missing: {sorted(stable - set(names))[:3]}")
        n += 1
print(json.dumps([n, wrong[:3]]))
"""


def test_lists_while_keys_come_and_go(daemon, attacker, unharmed):
    """What stays is listed once in every listing."""
    stable = {f"user.stable{i}": "x" for i in range(100)}
    daemon.guest_record(attacker, stable)
    lister = attacker.start_python(LISTER)
    assert lister.stdout.readline() == "go\n"
    daemon.guest_record(attacker, {**stable, "user.first": "x"})
    with unharmed():
        for i in range(300):
            comes = {f"user.{word}{i + j}": "x" for j in range(i % 7) for word in ("a", "t", "z")}
            daemon.guest_record(attacker, {**stable, **comes})
        n, wrong = json.loads(lister.communicate("stop\n", START_SECONDS)[0])
        assert n > 0 and wrong == []


RACER = r"""
import json, os, select, sys, threading
counts = [0] * 24
errors = []
stop = threading.Event()
def race(me):
    while not stop.is_set():
        try:
            if me % 4 == 0:
                os.stat("/dev/lxd/config/user.key0")
            elif me % 4 == 1:
                os.listdir("/dev/lxd/config")
            elif me % 4 == 2:
                with open("/dev/lxd/state", "w") as file:
                    file.write("Ready")
            else:
                with open("/dev/lxd/config/user.key0") as file:
                    value = file.read()
                number = value.partition(":")[0]
                if value.replace(number + ":", ""):
                    errors.append("torn")
        except OSError as e:
            errors.append(e.strerror)
        counts[me] += 1
threads = [threading.Thread(target=race, args=(me,), daemon=True) for me in range(len(counts))]
for thread in threads:
    thread.start()
for line in sys.stdin:
    print(json.dumps([counts, errors[:3]]), flush=True)
stop.set()
for thread in threads:
    thread.join(20)
print(json.dumps(any(thread.is_alive() for thread in threads)))
"""


def test_race_for_one_key(daemon, attacker, unharmed):
    """The host changes it as fast as it can, all threads of the guest are in it: both get on."""
    with unharmed():
        racer = attacker.start_python(RACER)

        def counts():
            racer.stdin.write("\n")
            racer.stdin.flush()
            found, errors = json.loads(racer.stdout.readline())
            assert errors == []
            return found

        end, changes = time.monotonic() + RACE_SECONDS, 0
        while time.monotonic() < end:
            before = counts()
            for _ in range(50):
                changes += 1
                daemon.guest_record(attacker, key_values(1, changes, (100, 5000)[changes % 2]))
            wait_until(lambda: all(n > m for n, m in zip(counts(), before)),
                       "every thread to get on", START_SECONDS)
        assert json.loads(racer.communicate()[0]) is False, "a thread never came back"
    assert tree_status(daemon)["stalled"] == 0


WAITERS = r"""
import collections, errno, json, os, sys, threading
threading.stack_size(65536)
found = []
def wait():
    try:
        os.close(os.open("/dev/lxd/config/user.key1", os.O_RDONLY))
        found.append("open")
    except OSError as e:
        found.append(errno.errorcode[e.errno])
threads = [threading.Thread(target=wait) for _ in range(1500)]
os.stat("/dev/lxd/config/user.key1")  # or all but one would wait for its lookup
print("go", flush=True)
sys.stdin.readline()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(collections.Counter(found)))
"""


@pytest.fixture
def n_in_queue(daemon, tmp_path):
    """n_in_queue(): requests that the tree has not answered, as the kernel counts them."""
    directory = tmp_path / "connections"
    directory.mkdir()
    subprocess.run(["mount", "-t", "fusectl", "none", str(directory)], check=True)
    waiting = directory / str(os.minor(os.stat(daemon.tree()).st_dev)) / "waiting"
    yield lambda: int(waiting.read_text())
    subprocess.run(["umount", str(directory)], check=True)


def test_many_threads_at_once(daemon, attacker, unharmed, n_in_queue):
    """Of fifteen hundred that wait at once a thousand are served, or all; the neighbour does not notice."""
    refused = tree_status(daemon)["refused"]
    with unharmed():
        waiters = attacker.start_python(WAITERS)
        assert waiters.stdout.readline() == "go\n"
        worker = os.pidfd_open(daemon.worker_pid)
        signal.pidfd_send_signal(worker, signal.SIGSTOP)
        try:
            waiters.stdin.write("go\n")
            waiters.stdin.flush()
            wait_until(lambda: n_in_queue() >= 1500, "all to wait", START_SECONDS)
        finally:
            signal.pidfd_send_signal(worker, signal.SIGCONT)
            os.close(worker)
        found = json.loads(waiters.communicate(timeout=START_SECONDS)[0])
    # Whether any are turned away depends on who is faster, who reads them or who answers.
    turned_away = found.pop("EAGAIN", 0)
    assert found == {"open": 1500 - turned_away} and found["open"] >= 1024, found
    assert tree_status(daemon)["refused"] - refused == turned_away
    assert attacker.run(["cat", "/dev/lxd/name"]).stdout == "attacker\n"
