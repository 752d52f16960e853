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
import tempfile
import time

from rounds import MANY, SECONDS, Yardstick, interleaved, median, pin, ratio

from daemon import Daemon, descriptors_of, memory_of
from guest import Guest
from here import BUILD, PYTHON
from mounting import make_private

PATH = "/1.0/config/user.role"
KEYS = {f"user.key{i:02}": f"value {i} of a record that is like others" for i in range(50)}


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


def show_rates(title, results):
    print(f"\n{title}\n")
    print("| | echo/s | libmicrohttpd alone/s | devlxdfs/s | to echo | to libmicrohttpd "
          "| p50 us | p99 us |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for mode, taken in results.items():
        ours = taken["sock"]
        print(f"| {mode} | {median(taken['echo']):,.0f} | {median(taken['bare']):,.0f} "
              f"| {median(ours):,.0f} | {ratio(ours, taken['echo']):.2f} "
              f"| {ratio(ours, taken['bare']):.2f} | {median(ours, 'p50_us'):.1f} "
              f"| {median(ours, 'p99_us'):.1f} |")


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
            socket = os.path.join(directory, f"{name}.sock")
            running.callback(Yardstick(name, socket, *arguments, input=reply).stop)
            guest.mount(socket, f"/dev/lxd/{name}")
        results = interleaved(MODES, ("echo", "bare", "sock"),
                              lambda mode, socket: load(guest, socket, *MODES[mode]))
        yield results, started, record_bytes, daemon


def main():
    make_private()
    pin()
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
        with measured(os.path.join(directory, "many"), guest, MANY) as (many, started, size,
                                                                       daemon):
            show_rates(f"{MANY:,} instances registered", many)
            print("\n" + memory)
            show_memory(f"{MANY:,} records of 50 keys, {size / 1e6:.1f} MB", daemon, size)
            print(f"\nStart with {MANY:,} records: {started:.2f} s")
        print()
        for mode in MODES:
            cost = (ratio(one[mode]["sock"], one[mode]["echo"])
                    / ratio(many[mode]["sock"], many[mode]["echo"]))
            print(f"{mode}: {MANY:,} instances cost {cost:.2f} times what one costs")
    finally:
        guest.close()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
