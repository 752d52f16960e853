#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures the daemon, in the same run, beside a bare epoll server that answers the same bytes and
beside its HTTP library alone.

    BUILD=build tests/bench/bench.py [--quick] [--spread]

The load comes from inside a guest (its namespaces, its cgroup). Rounds are interleaved, so that a
busy machine is busy for all; numbers are medians, ratios are medians of each round's own ratio.
Everything shares one processor, because waking an idle one costs many times what a request does and
hides the difference; --spread leaves the choice to the kernel. Writes nothing but its tables.
"""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))

from daemon import Daemon, descriptors_of, memory_of  # noqa: E402
from guest import Guest  # noqa: E402
from here import BUILD, PYTHON  # noqa: E402

QUICK = "--quick" in sys.argv[1:]
ROUNDS, SECONDS, MANY = (3, 1, 1000) if QUICK else (7, 2, 10000)
PATH = "/1.0/config/user.role"
KEYS = {f"user.key{i:02}": f"value {i} of a record that is like others" for i in range(50)}


class Yardstick:
    """A server that knows nobody, at NAME.sock; its input is the daemon's own reply for PATH."""

    def __init__(self, directory, name, reply, *arguments):
        self.sock = os.path.join(directory, f"{name}.sock")
        self.process = subprocess.Popen([f"{BUILD}/tests/bench/{name}", self.sock, *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError):  # bare does not read it
            self.process.stdin.write(reply)
            self.process.stdin.close()
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self):
        self.process.kill()
        self.process.wait()


def raw_reply(guest):
    """What the daemon sends for PATH, head and body."""
    request = f"GET {PATH} HTTP/1.1\r\nHost: lxd\r\n\r\n"
    script = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/dev/lxd/sock')\n"
              f"s.sendall({request.encode()!r}); reply = ''\n"
              "while not reply.endswith('frontend'): reply += s.recv(65536).decode()\n"
              "sys.stdout.write(reply)")
    return guest.run([PYTHON, "-c", script], text=False).stdout


def load(guest, socket, *options):
    done = guest.run(["/dev/build/tests/bench/load", "-s", str(SECONDS), *options,
                      f"/dev/lxd/{socket}", PATH])
    result = json.loads(done.stdout)
    assert result["failed"] == 0, result
    return result


MODES = {"keep-alive, 1 client": (), "new connection, 1 client": ("-n",),
         "keep-alive, 16 clients": ("-c", "16"), "new connection, 16 clients": ("-n", "-c", "16")}


def rounds(guest):
    """{mode: {socket: [result, ...]}}, interleaved."""
    results = {mode: {"echo": [], "bare": [], "sock": []} for mode in MODES}
    for _ in range(ROUNDS):
        for mode, options in MODES.items():
            for socket, taken in results[mode].items():
                taken.append(load(guest, socket, *options))
    return results


def median(results, field="rate"):
    return statistics.median(result[field] for result in results)


def ratio(taken, yardstick="echo"):
    """Median of each round's own ratio: what else the machine did then, it did to both."""
    return statistics.median(ours["rate"] / theirs["rate"]
                             for ours, theirs in zip(taken["sock"], taken[yardstick]))


def show_rates(title, results):
    print(f"\n{title}\n")
    print("| | echo/s | libmicrohttpd alone/s | devlxdfs/s | to echo | to libmicrohttpd "
          "| p50 us | p99 us |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for mode, taken in results.items():
        ours = taken["sock"]
        print(f"| {mode} | {median(taken['echo']):,.0f} | {median(taken['bare']):,.0f} "
              f"| {median(ours):,.0f} | {ratio(taken):.2f} | {ratio(taken, 'bare'):.2f} "
              f"| {median(ours, 'p50_us')} | {median(ours, 'p99_us')} |")


def show_memory(title, daemon, record_bytes=0):
    worker, keeper = memory_of(daemon.worker_pid), memory_of(daemon.keeper_pid)
    of_records = f" {worker['Rss'] / record_bytes:.2f} |" if record_bytes else " |"
    print(f"| {title} | {worker['Rss'] / 1e6:.1f} | {worker['Pss'] / 1e6:.1f} "
          f"| {keeper['Rss'] / 1e6:.1f} | {keeper['Pss'] / 1e6:.1f} "
          f"| {descriptors_of(daemon.worker_pid)} |{of_records}")


def write_records(daemon, n):
    """n instances with 50 keys each; the bytes of their files."""
    for i in range(n):
        daemon.record(f"other{i}", config=KEYS, match={"cgroup": f"/devlxdfs-bench/other{i}"})
    directory = os.path.join(daemon.dirs["conf"], "instances")
    return sum(entry.stat().st_size for entry in os.scandir(directory))


def hold_guests(daemon, n):
    """Descriptors of the worker with n guests that have the socket and say nothing."""
    guests = [Guest(BUILD, f"idle{i}") for i in range(n)]
    for guest in guests:
        daemon.guest_record(guest)
        guest.attach(daemon)
    count = descriptors_of(daemon.worker_pid)
    for guest in guests:
        guest.close()
    return count


@contextlib.contextmanager
def measured(directory, guest, n_records):
    """A daemon with n_records and the guest's own, and what was measured with it."""
    os.mkdir(directory)
    daemon = Daemon(BUILD, directory)
    record_bytes = write_records(daemon, n_records)
    daemon.guest_record(guest, {"user.role": "frontend"})
    with contextlib.ExitStack() as running:
        started = time.monotonic()
        running.callback(daemon.stop)
        daemon.start()
        started = time.monotonic() - started
        guest.attach(daemon)
        reply = raw_reply(guest)
        for name, arguments in ("echo", ()), ("bare", ("frontend",)):
            yardstick = Yardstick(directory, name, reply, *arguments)
            running.callback(yardstick.stop)
            guest.mount(yardstick.sock, f"/dev/lxd/{name}")
        yield rounds(guest), started, record_bytes, daemon


def main():
    if "--spread" not in sys.argv[1:]:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    directory = tempfile.mkdtemp(prefix="devlxdfs-bench-")
    guest = Guest(BUILD, "web1")
    memory = "| | worker RSS MB | worker PSS MB | keeper RSS MB | keeper PSS MB | descriptors " \
             "| RSS / record bytes |\n|---|---:|---:|---:|---:|---:|---:|"
    try:
        with measured(os.path.join(directory, "one"), guest, 0) as (one, _, _, daemon):
            show_rates("1 instance registered", one)
            print("\n" + memory)
            show_memory("1 guest", daemon)
            print(f"\nDescriptors of the worker: {descriptors_of(daemon.worker_pid)} with 1 guest, "
                  f"{hold_guests(daemon, 20)} with 20 idle guests more")
        with measured(os.path.join(directory, "many"), guest, MANY) as (many, started, size, daemon):
            show_rates(f"{MANY:,} instances registered", many)
            print("\n" + memory)
            show_memory(f"{MANY:,} records of 50 keys, {size / 1e6:.1f} MB", daemon, size)
            print(f"\nStart with {MANY:,} records: {started:.2f} s")
        print()
        for mode in MODES:
            cost = ratio(one[mode]) / ratio(many[mode])
            print(f"{mode}: {MANY:,} instances cost {cost:.2f} times what one costs")
    finally:
        guest.close()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
