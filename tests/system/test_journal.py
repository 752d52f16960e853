# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests that a worker had read when it died: the next one answers each, once, and interrupts reach those that wait."""

import contextlib
import json
import os
import random
import select
import signal
import time

import pytest

from daemon import children_of, wait_until
from here import TAKE_OVERS
from reader import PATIENCE_SECONDS, Reader

N_WAITING = 5
FIRST_ASIDE, SLOT = 4096 + 8 * 16384, 512  # fsd/journal.c

pytestmark = TAKE_OVERS


@pytest.fixture
def daemon(new_daemon, options):
    daemon = new_daemon(options=options).start()
    daemon.may_lose_workers = True
    return daemon


@pytest.fixture
def guest(daemon, new_guest):
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.n": "0"})
    return guest.attach_tree(daemon)


def tell(daemon, guest, n):
    daemon.guest_record(guest, {"user.n": str(n)})


def values(lines):
    return [int(event["metadata"]["value"]) for event in map(json.loads, lines)
            if event["type"] == "config"]


def serves(daemon):
    wait_until(lambda: daemon.admin("GET", "/1.0")[0] == 200, "the next worker")


def waiting(daemon):
    return daemon.admin("GET", "/1.0/status")[1]["tree"]["waiting"]


def cats(daemon, guest, n=N_WAITING, **options):
    """Readers who have read all there is, and wait."""
    tell(daemon, guest, 1)
    argv = ["env", "--default-signal=INT", "cat", "/dev/lxd/events"]
    readers = [Reader(guest, argv, **options) for _ in range(n)]
    for reader in readers:
        assert values(reader.until('"value":"1"')) == [1]
    wait_until(lambda: waiting(daemon) == n, "all to wait")
    return readers


def memory_of(daemon):
    """The descriptor of the journal, which the keeper has."""
    directory = f"/proc/{daemon.keeper_pid}/fd"
    [path] = [path for path in (f"{directory}/{fd}" for fd in os.listdir(directory))
              if "devlxdfs-requests" in os.readlink(path)]
    return os.open(path, os.O_RDONLY)


def is_aside(memory, i):
    return os.pread(memory, 4, FIRST_ASIDE + i * SLOT) != bytes(4)


def states_of(pid):
    states = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{task}/stat") as stat:
                states.add(stat.read().rpartition(")")[2].split()[0])
    return states


@contextlib.contextmanager
def stopped(pid):
    """It does nothing meanwhile, with none of its threads."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: states_of(pid) == {"T"}, "all threads to stop")
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_what_is_said_of_it(daemon, options):
    tree = daemon.admin("GET", "/1.0/status")[1]["tree"]
    release = [int(number) for number in os.uname().release.split(".")[:2]]
    assert tree["resend"] == (options == [] and release >= [6, 9])
    assert ("sends requests again" in daemon.ctl("check", status=None).stdout) == tree["resend"]


def test_only_the_worker_has_it(daemon, guest):
    def has_it(pid):
        with open(f"/proc/{pid}/maps") as maps:
            held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            return "devlxdfs-requests" in maps.read() + " ".join(held)

    wait_until(lambda: daemon.helper_pid and daemon.poker_pid, "the others")
    assert has_it(daemon.worker_pid)
    assert not has_it(daemon.helper_pid) and not has_it(daemon.poker_pid)


def test_waiting_readers_outlive_workers(daemon, guest):
    """A line at a time, a worker or two each: none is lost, none comes twice."""
    readers = cats(daemon, guest)
    for n in range(2, 8):
        daemon.kill_worker()
        if n % 3 == 0:
            with contextlib.suppress(ProcessLookupError):  # the one before
                daemon.kill_worker()
        serves(daemon)  # what changes before that is no event
        if n % 2 == 0:
            wait_until(lambda: waiting(daemon) == N_WAITING, "all to wait again")
        tell(daemon, guest, n)
        for reader in readers:
            assert values(reader.lines(1)) == [n]
    for reader in readers:
        assert reader.bytes == b"" and reader.end() == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL],
                         ids=["INT", "TERM", "KILL"])
def test_interrupts_after_a_take_over(daemon, guest, number):
    readers = cats(daemon, guest)
    daemon.kill_worker()
    serves(daemon)
    wait_until(lambda: waiting(daemon) == N_WAITING, "all to wait again")
    start = time.monotonic()
    for reader in readers[1:]:
        assert reader.end(number) == -number
    assert time.monotonic() - start < 5
    wait_until(lambda: waiting(daemon) == 1, "the others to be forgotten")
    # Who is stopped and goes on goes on.
    for stop in signal.SIGSTOP, signal.SIGCONT:
        os.kill(readers[0].pid, stop)
    tell(daemon, guest, 2)
    assert values(readers[0].lines(1)) == [2]


@pytest.mark.parametrize("has_read", [False, True], ids=["unread", "read"])
def test_interrupts_while_nobody_serves(daemon, guest, has_read):
    """Before the worker dies, which may take them with it, or when it is dead."""
    readers = cats(daemon, guest, 20)
    pids = [reader.pid for reader in readers]
    worker = daemon.worker_pid
    with stopped(daemon.keeper_pid):
        if not has_read:
            os.kill(worker, signal.SIGSTOP)
        for pid in pids[:10]:
            os.kill(pid, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        for pid in pids[10:]:
            os.kill(pid, signal.SIGINT)
    statuses = [reader.child.wait(PATIENCE_SECONDS) for reader in readers]
    assert statuses == [-signal.SIGKILL] * 10 + [-signal.SIGINT] * 10
    wait_until(lambda: waiting(daemon) == 0, "all to be forgotten")


def test_signals_and_deaths_at_random(daemon, guest):
    """Whatever comes when, who was told to end ends, and who was not goes on."""
    dice = random.Random(1)
    readers = cats(daemon, guest, 20)
    pids = {reader: reader.pid for reader in readers}
    ended = []
    for n in range(2, 7):
        os.kill(daemon.worker_pid, dice.choice([signal.SIGKILL, signal.SIGCONT]))
        for reader in dice.sample(readers, 3):
            readers.remove(reader)
            number = dice.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
            ended.append((reader, number))
            os.kill(pids[reader], number)
        for reader in dice.sample(readers, 3):
            os.kill(pids[reader], signal.SIGSTOP)
            os.kill(pids[reader], signal.SIGCONT)
        with contextlib.suppress(ProcessLookupError):  # it died just now
            daemon.kill_worker()
        serves(daemon)
        for reader, number in ended:
            # Who entered the guest for it may have stopped with it.
            wait_until(lambda: reader.child.send_signal(signal.SIGCONT) or
                       reader.child.poll() is not None, "its end", PATIENCE_SECONDS)
            assert reader.child.returncode == -number
        tell(daemon, guest, n)
        for reader in readers:
            assert values(reader.lines(1)) == [n]
    assert len(readers) == 5 and all(reader.bytes == b"" for reader in readers)


# Opens its file from many threads at once, each when it is told; says what came of it.
CROWD = r"""
import os, sys, threading
n = int(sys.argv[1])
told = threading.Barrier(n + 1)
results = []
def look():
    told.wait()
    try:
        with open("/dev/lxd/config/user.n") as file:
            results.append(file.read())
    except OSError as e:
        results.append(e.strerror)
threading.stack_size(65536)
threads = [threading.Thread(target=look) for _ in range(n)]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.readline()
told.wait()
print("told", flush=True)
for thread in threads:
    thread.join()
print(len(results), *sorted(set(results)), flush=True)
"""
N_CROWD = 500


def n_asking(pid):
    """Its threads that wait in another call than the first does, who waits for all."""
    calls = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{task}/syscall") as file:
                calls.append(file.read().split()[0])
    return sum(call not in (calls[0], "running") for call in calls)


def test_parked_requests_outlive_a_worker(daemon, guest):
    """It is killed when hundreds wait for their turn. The keeper is stopped, so that they can be counted."""
    memory = memory_of(daemon)
    reader, = cats(daemon, guest, 1)
    most = 0
    for _ in range(5):
        serves(daemon)
        crowd = guest.start_python(CROWD, N_CROWD)
        assert crowd.stdout.readline() == "ready\n"
        worker = daemon.worker_pid
        pidfd = os.pidfd_open(worker)
        with stopped(daemon.keeper_pid):
            with stopped(worker):
                crowd.stdin.write("go\n")
                crowd.stdin.flush()
                assert crowd.stdout.readline() == "told\n"
                [pid] = children_of(crowd.pid)
                wait_until(lambda: n_asking(pid) == N_CROWD, "all to ask")
            deadline = time.monotonic() + 0.05
            while not is_aside(memory, 250) and time.monotonic() < deadline:
                pass
            os.kill(worker, signal.SIGKILL)
            assert select.select([pidfd], [], [], PATIENCE_SECONDS)[0]
            most = max(most, sum(is_aside(memory, i) for i in range(N_CROWD)))
        os.close(pidfd)
        assert crowd.communicate(timeout=PATIENCE_SECONDS)[0] == f"{N_CROWD} 1\n"
    os.close(memory)
    assert most > 100
    tell(daemon, guest, 2)
    assert values(reader.lines(1)) == [2]
