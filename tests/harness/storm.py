# SPDX-License-Identifier: GPL-2.0-or-later
"""In a guest, for test_kill_storm.py: does everything with its directory, for as long as it is told, and keeps count.

argv: what to do (READ, LIST, ..., see ACTIONS). Prints what it has done as JSON when it is told to end, and at once what is wrong.
"""

import contextlib
import errno
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib

# The harness has these, too: a value says which it is, and proves it.
N_KEYS = 40
LARGE_COPIES = 400


def value_of(n, salt):
    return f"{n}:{zlib.crc32(f'{salt}{n}'.encode()):08x}"


def number_of(value, salt):
    n = int(value.partition(":")[0])
    assert value == value_of(n, salt), f"never said: {value!r}"
    return n


class Order:
    """Values never go back for one who asks again."""

    last = 0

    def look(self, value, salt):
        n = number_of(value, salt)
        assert n >= self.last, f"{n} behind {self.last}"
        self.last = n


class Stale(Exception):
    """What was open was replaced while no worker served."""


def read_file(path):
    """Opening it always succeeds."""
    with open(path, encoding="utf-8", newline="") as file:
        try:
            return file.read()
        except OSError as e:
            assert e.errno == errno.ESTALE, e
            raise Stale() from None


small, large, state_written = Order(), Order(), "Started"
dice = random.Random(os.getpid())


def read():
    small.look(read_file("config/user.seq"), "seq")


def read_large():
    """Larger than a read: all of it is one value."""
    text = read_file("config/user.large")
    values = set(text.splitlines())
    assert len(values) == 1 and text.count("\n") == LARGE_COPIES, "mixed"
    large.look(values.pop(), "large")


def hold():
    """What is open stays what it was, wherever it is read, or is refused if it was replaced unseen."""
    with open("config/user.large", "rb", buffering=0) as file:
        first = b""
        for _ in range(5):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            try:
                first = first or file.read(64).partition(b"\n")[0] + b"\n"
                at = dice.randrange(LARGE_COPIES) * len(first)
                found = os.pread(file.fileno(), len(first), at)
            except OSError as e:
                assert e.errno == errno.ESTALE, e
                raise Stale() from None
            assert found == first, (found, first)
            time.sleep(dice.random() / 10)


def list_all():
    names = os.listdir("config")
    assert sorted(names) == NAMES, sorted(set(NAMES) ^ set(names))


def list_slowly():
    with os.scandir("config") as entries:
        names = []
        for entry in entries:
            names.append(entry.name)
            if dice.random() < 0.1:
                time.sleep(0.01)
    assert sorted(names) == NAMES, sorted(set(NAMES) ^ set(names))


def stat():
    assert os.stat("config/user.fixed0").st_size == 5
    assert read_file("name") == sys.argv[1] + "\n"
    assert not os.path.exists("config/user.none")


def state():
    """One thread of one process: what was written is what is read."""
    global state_written
    wanted = dice.choice(("Ready", "Started"))
    with open("state", "w") as file:
        file.write(wanted + "\n")
    state_written = wanted
    found = read_file("state")
    assert found == state_written + "\n", (found, state_written)


def ask():
    """An answer is whole, or the connection ends; connecting always succeeds."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("sock")
        data = b""
        try:
            s.sendall(b"GET /1.0/config/user.seq HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while more := s.recv(65536):
                data += more
        except OSError:
            pass
    head, _, body = data.partition(b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if not length or len(body) < int(length[0].split(b":")[1]):
        counts["cut"] += 1
        return
    assert b" 200 " in head, head
    asked.look(body.decode(), "seq")


READERS = ("cat events", "while cat config/user.large; do :; done", "while ls -lR .; do :; done",
           "tail -c 1000 -f events", "find . -type f -exec cat {} +")


def disturb():
    """Readers that are stopped, continued, interrupted and killed; each ends when it is to."""
    child = subprocess.Popen(["sh", "-c", dice.choice(READERS)], start_new_session=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(dice.randrange(4)):
        for number in signal.SIGSTOP, signal.SIGCONT:
            time.sleep(dice.random() / 20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
    number = dice.choice((signal.SIGINT, signal.SIGKILL))
    for _ in range(15):
        # Again, as people do: a shell that is about to start its program does not hear the first one.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(2)
            return
    raise AssertionError(f"does not end on signal {number}: {child.args}")


asked = Order()
ACTIONS = {action.__name__: action for action in
           (read, read_large, hold, list_all, list_slowly, stat, state, ask, disturb)}
NAMES = sorted([f"user.fixed{i}" for i in range(N_KEYS)] + ["user.seq", "user.large"])


def go_on(action):
    while not stop.is_set():
        start = time.monotonic()
        try:
            action()
        except Stale:
            counts["stale"] += 1
            continue
        except Exception as e:  # pylint: disable=broad-except
            print(json.dumps(f"{action.__name__}: {type(e).__name__}: {e}"), flush=True)
            return
        took = time.monotonic() - start
        counts[action.__name__] += 1
        longest[action.__name__] = max(longest[action.__name__], took)


if __name__ == "__main__":
    os.chdir("/dev/lxd")
    names = sys.argv[2:]
    stop = threading.Event()
    counts = dict.fromkeys([*names, "stale", "cut"], 0)
    longest = dict.fromkeys(names, 0.0)
    threads = [threading.Thread(target=go_on, args=(ACTIONS[name],)) for name in names]
    for thread in threads:
        thread.start()
    select.select([sys.stdin], [], [])
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"counts": counts, "longest": longest}), flush=True)
