# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker that does not get on is replaced; one that is only not asked is left alone."""

import contextlib
import ctypes
import os
import signal
import time

import pytest

from daemon import START_SECONDS, name_of, wait_until

PTRACE_INTERRUPT, PTRACE_SEIZE = 0x4207, 0x4206


@pytest.fixture
def daemon(new_daemon):
    daemon = new_daemon(options=["--worker-timeout", "1"]).start()
    daemon.may_lose_workers = True
    return daemon


@pytest.fixture
def guest(daemon, new_guest):
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.role": "frontend"})
    return guest.attach_tree(daemon)


def role(guest):
    return guest.run(["cat", "/dev/lxd/config/user.role"]).stdout


def silenced(daemon):
    return daemon.log().count("the worker has been silent for 1 s, killing it")


def test_stopped_worker(daemon, guest):
    """Whoever waits for it is served by the next."""
    worker = daemon.worker_pid
    os.kill(worker, signal.SIGSTOP)
    assert role(guest) == "frontend"
    assert silenced(daemon) == 1 and daemon.worker_pid != worker
    assert "the worker was killed by signal 9" in daemon.log()


@contextlib.contextmanager
def held(pid, name):
    """Stops the threads of that name, and no others: this process becomes their tracer."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    threads = [int(tid) for tid in os.listdir(f"/proc/{pid}/task")
               if name_of(f"{pid}/task/{tid}") == name]
    assert threads
    for tid in threads:
        assert libc.ptrace(PTRACE_SEIZE, tid, None, None) == 0, os.strerror(ctypes.get_errno())
        assert libc.ptrace(PTRACE_INTERRUPT, tid, None, None) == 0
        os.waitpid(tid, 0x40000000)  # __WALL
    yield
    for tid in threads:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(tid, 0x40000000)  # it was killed, and its tracer is told first


def test_tree_that_hangs(daemon, guest):
    """The rest of the worker gets on; that is not enough."""
    with held(daemon.worker_pid, "tree"):
        reader = guest.popen(["cat", "/dev/lxd/config/user.role"])
        wait_until(lambda: silenced(daemon), "the hanging worker to be noticed", START_SECONDS)
    assert reader.communicate(timeout=START_SECONDS)[0] == "frontend"


def test_tree_that_nobody_asks(daemon, guest):
    """Threads that hang while nobody wants anything are no reason."""
    worker, end = daemon.worker_pid, time.monotonic() + 2
    os.kill(daemon.keeper_pid, signal.SIGSTOP)
    # Nor is it the worker's silence that the keeper itself did not run.
    wait_until(lambda: time.monotonic() > end, "twice the patience")
    os.kill(daemon.keeper_pid, signal.SIGCONT)
    end = time.monotonic() + 2
    wait_until(lambda: time.monotonic() > end, "twice the patience")
    assert daemon.worker_pid == worker and silenced(daemon) == 0
    assert role(guest) == "frontend"


def test_busy_worker(daemon, guest):
    """One that has much to do is well."""
    worker, end = daemon.worker_pid, time.monotonic() + 3
    threads = guest.start_python(r"""
import os, sys, threading
def read():
    while not done:
        os.path.exists("/dev/lxd/config/none")
        open("/dev/lxd/config/user.role").read()
done = False
threads = [threading.Thread(target=read) for _ in range(16)]
for thread in threads:
    thread.start()
print("go", flush=True)
sys.stdin.readline()
done = True
""")
    assert threads.stdout.readline() == "go\n"
    wait_until(lambda: time.monotonic() > end, "three times the patience")
    threads.communicate("stop\n", START_SECONDS)
    assert daemon.worker_pid == worker and silenced(daemon) == 0


def test_words_of_the_dead(daemon, guest):
    """What the dead worker logged last is said with its death; nothing of an earlier one."""
    daemon.kill_worker()
    assert role(guest) == "frontend"
    daemon.kill_worker()
    assert role(guest) == "frontend"
    first, second = (line for line in daemon.log().splitlines() if "was killed" in line)
    assert 'it logged last: "' in first and "web1.json: in force" in first
    assert '"in force: instances 1' in second and "web1.json" not in second
