#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures how long a guest waits when the worker is replaced: the longest read of a loop of reads, for each time.

    BUILD=build tests/bench/takeover.py [--quick] [INSTANCES...]

INSTANCES: how many the daemon knows, 1000 and 10000 by default. The worker is killed, and requests are sent again by the
kernel or come from the journal (--no-resend), or it is upgraded, while a client of the guest's keeps it from ending. Writes nothing but its table.
"""

import contextlib
import json
import shutil
import sys
import tempfile
import time

from rounds import QUICK

from daemon import Daemon, kill_and_wait, wait_until
from guest import Guest
from here import BUILD
from mounting import make_private

N_TIMES = 10 if QUICK else 100
# What to do, and the daemon's options.
WAYS = {"kill, sent again": ("kill", []), "kill, journal": ("kill", ["--no-resend"]),
        "upgrade": ("upgrade", [])}
# Connected, and silent in the middle of a request: it is waited for.
SILENT = r"""
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/dev/lxd/sock")
s.sendall(b"GET /1.0 HTTP/1.1\r\n")
print("go", flush=True)
s.recv(1)
"""
# For each line it is given: the longest read since the one before, in milliseconds.
READER = r"""
import json, select, sys, time
longest = last = 0.0
print("go", flush=True)
while True:
    start = time.monotonic()
    with open("/dev/lxd/config/user.role") as file:
        assert file.read() == "frontend"
    longest = max(longest, time.monotonic() - start)
    if select.select([sys.stdin], [], [], 0)[0]:
        if not sys.stdin.readline():
            break
        print(json.dumps(longest * 1000), flush=True)
        longest = 0.0
"""


def ask(reader):
    reader.stdin.write("\n")
    reader.stdin.flush()
    return json.loads(reader.stdout.readline())


def replace(daemon, guest, how):
    if how == "upgrade":
        silent = guest.start_python(SILENT)
        assert silent.stdout.readline() == "go\n"
        daemon.ctl("upgrade")
        silent.wait()
        return
    old = daemon.worker_pid
    kill_and_wait(old)
    wait_until(lambda: daemon.worker_pid != old, "the next worker", 60)
    daemon.admin("GET", "/1.0")


def stalls(n_instances, how, options):
    with contextlib.ExitStack() as held:
        directory = tempfile.mkdtemp(prefix="devlxdfs-bench-")
        held.callback(shutil.rmtree, directory)
        daemon = Daemon(BUILD, directory, options=options)
        daemon.may_lose_workers = True
        for i in range(n_instances - 1):
            daemon.record(f"other{i}", config={"user.role": "other"},
                          match={"cgroup": f"/devlxdfs-bench/other{i}"})
        guest = Guest(BUILD, "web1")
        held.callback(guest.close)
        daemon.guest_record(guest, {"user.role": "frontend"})
        held.callback(daemon.stop)
        daemon.start()
        guest.attach_tree(daemon)
        reader = guest.start_python(READER)
        assert reader.stdout.readline() == "go\n"
        found = []
        for _ in range(N_TIMES):
            # Not within its first moments: that would be put down to what it found there, and the next one had to wait.
            time.sleep(0.3)
            ask(reader)
            replace(daemon, guest, how)
            found.append(ask(reader))
        reader.communicate()
        return sorted(found)


def main():
    make_private()
    sizes = [int(word) for word in sys.argv[1:] if word.isdigit()] or [1000, 10000]
    print(f"{'instances':>10} {'how':<17} {'median ms':>10} {'p99 ms':>8} {'longest ms':>11}   ({N_TIMES} times)")
    for size in sizes:
        for way, (how, options) in WAYS.items():
            found = stalls(size, how, options)
            print(f"{size:>10} {way:<17} {found[len(found) // 2]:>10.0f} "
                  f"{found[len(found) * 99 // 100]:>8.0f} {found[-1]:>11.0f}", flush=True)


if __name__ == "__main__":
    main()
