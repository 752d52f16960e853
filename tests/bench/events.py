#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures how long it takes a guest to hear of a change, and what listeners cost.

    BUILD=build tests/bench/events.py [--quick] [PART...]

Parts: latency (from `devlxdfs config set` to a line of `cat`), many (listeners on as many
instances), readers (1,000 events a second to 100 of one guest). All by default. Everything is in a
mount namespace of its own; writes nothing but its tables.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

from rounds import QUICK

from daemon import Daemon, memory_of
from guest import Guest
from here import BUILD
from mounting import make_private
from tree import new_directory

N_CHANGES = 100 if QUICK else 500
N_INSTANCES = 1000 if QUICK else 10000
N_READERS = 100
RATE, SECONDS = 1000, 3
LISTEN = os.path.join(BUILD, "tests/bench/listen")


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def row(what, values, unit=1e6, name="ms"):
    print(f"| {what} | {statistics.median(values) / unit:.2f} | {percentile(values, 0.99) / unit:.2f} | {name} |")


def nanoseconds_of(timestamp):
    """Of the fraction; the second is known."""
    return int(timestamp.split(".")[1][:9])


def since_published(printed):
    """From the hub's timestamp to when `listen wait` had the line, in nanoseconds."""
    read, _, line = printed.partition(" ")
    return (int(read) - nanoseconds_of(json.loads(line)["timestamp"])) % 1_000_000_000


def edit(daemon, name, config):
    """What `devlxdfs config set` does, without starting a process."""
    path = os.path.join(daemon.dirs["state"], "instances", f"{name}.json")
    with open(path) as file:
        record = json.load(file)
    record["config"].update(config)
    with open(path + ".new", "w") as file:
        json.dump(record, file)
    os.rename(path + ".new", path)
    assert daemon.admin("POST", f"/1.0/instances/{name}/load")[0] == 200


def cpu_ns(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def listening(n, path, **options):
    with subprocess.Popen([LISTEN, str(n), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, **options) as child:
        assert child.stdout.readline() == "ready\n"

        def wait(mark, n_lines):
            """After the change: (ns of the first who heard, of the last, how many missed something)."""
            return tuple(map(int, child.stdout.readline().split()))

        def expect(mark, n_lines):
            child.stdin.write(f"{mark} {n_lines}\n")
            child.stdin.flush()
            return lambda: wait(mark, n_lines)

        yield expect
        child.stdin.close()


def latency(held):
    daemon = Daemon(BUILD, new_directory(held))
    daemon.start()
    held.callback(daemon.stop)
    guest = held.enter_context(contextlib.closing(Guest(BUILD, "web1")))
    daemon.ctl("create", "web1", "--cgroup", guest.cgroup.path, "-c", "user.n=0")
    guest.attach_tree(daemon)
    cat = guest.popen(["cat", "/dev/lxd/events"])
    cat.stdout.readline()
    reader = guest.popen(["/dev/build/tests/bench/listen", "wait", "/dev/lxd/events"])
    reader.stdout.readline()
    whole, hub, command, nothing = [], [], [], []
    for i in range(N_CHANGES):
        began = time.time_ns()
        daemon.ctl("config", "get", "web1", "user.n")
        nothing.append(time.time_ns() - began)
        began = time.time_ns()
        with subprocess.Popen([f"{BUILD}/hostapi/ctl/devlxdfs", *daemon._dir_options(), "config",
                               "set", "web1", f"user.n={i + 1}"]) as child:
            line = json.loads(cat.stdout.readline())
            heard = time.time_ns()
            child.wait()
            command.append(time.time_ns() - began)
        whole.append(heard - began)
        hub.append(since_published(reader.stdout.readline()))
    at_once = []
    for i in range(N_CHANGES):
        edit(daemon, "web1", {"user.n": f"at once {i}"})
        at_once.append(since_published(reader.stdout.readline()))
    print("\n| from | median | p99 | |\n| --- | --- | --- | --- |")
    row("`devlxdfs config set` is started, to the line of `cat` (through a pipe to Python)", whole)
    row("the hub, to the end of read(2) in another reader", hub)
    row("the same, one change right after the other", at_once)
    row("`devlxdfs config set` itself, to its end", command)
    row("`devlxdfs config get`, for comparison", nothing)


def many(held):
    for n in 1, N_INSTANCES:
        with contextlib.ExitStack() as inner:
            many_with(inner, n)


def many_with(held, n):
    daemon = Daemon(BUILD, new_directory(held))
    daemon.record("all", "profiles", config={"user.all": "0"})
    for i in range(1, n + 1):
        daemon.record(f"i{i}", profiles=["all"])
    daemon.start()
    held.callback(daemon.stop)
    worker = daemon.worker_pid
    before = memory_of(worker)["Rss"]
    expect = held.enter_context(listening(n, daemon.tree("i%u", "events")))
    memory = memory_of(worker)["Rss"] - before
    spent = cpu_ns(worker)
    time.sleep(2)
    idle = cpu_ns(worker) - spent
    one, cpu = [], []
    with listening(1, daemon.tree("i1", "events")) as expect_one:
        for i in range(50):
            wait = expect_one(f'"one{i}"', 1 if i == 0 else 1)
            spent = cpu_ns(worker)
            began = time.time_ns()
            daemon.record("i1", profiles=["all"], config={"user.one": f"one{i}"})
            one.append(wait()[0] - began)
            cpu.append(cpu_ns(worker) - spent)
    # Those of i1 heard these 50, too.
    profile = []
    for i in range(3):
        wait = expect(f'"all{i}"', 1)
        began = time.time_ns()
        daemon.record("all", "profiles", config={"user.all": f"all{i}"})
        confirmed = time.time_ns() - began
        first, last, n_wrong = wait()
        profile.append((last - began) / 1e9)
        # The one with 50 more in the first round.
        assert n_wrong <= (1 if i == 0 else 0), n_wrong
    print(f"| {n:,} | {idle / 2e9 * 100:.1f} % | {statistics.median(one) / 1e6:.2f} ms | "
          f"{sum(cpu) / 50 / 1e6:.2f} ms | {statistics.median(profile):.2f} s | {confirmed / 1e9:.2f} s | "
          f"{memory / 1e6:.1f} MB |", flush=True)


def readers(held):
    """One record with many keys, changed some times a second: as many events as there are keys."""
    daemon = Daemon(BUILD, new_directory(held))
    daemon.start()
    held.callback(daemon.stop)
    guest = held.enter_context(contextlib.closing(Guest(BUILD, "web1")))
    n_keys = 50
    daemon.guest_record(guest, {f"user.k{k:02}": "" for k in range(n_keys)})
    guest.attach_tree(daemon)
    expect = held.enter_context(listening(N_READERS, daemon.tree("web1", "events")))
    worker = daemon.worker_pid
    delays, spent, n_wrong, began = [], cpu_ns(worker), 0, time.monotonic()
    for i in range(RATE * SECONDS // n_keys):
        value = f"v{i}"
        wait = expect(f'"user.k{n_keys - 1}","old_value":"{f"v{i - 1}" if i else ""}","value":"{value}"',
                      n_keys)
        start = time.time_ns()
        daemon.guest_record(guest, {f"user.k{k:02}": value for k in range(n_keys)})
        _, last, wrong = wait()
        delays.append(last - start)
        n_wrong += wrong
        time.sleep(max(0, began + (i + 1) * n_keys / RATE - time.monotonic()))
    took = time.monotonic() - began
    assert n_wrong == 0, n_wrong
    print(f"\n{N_READERS} readers of one guest: {RATE * SECONDS / took:.0f} events/s for {took:.1f} s, "
          f"none missed; until the last had the last of {n_keys}: "
          f"median {statistics.median(delays) / 1e6:.1f} ms, p99 {percentile(delays, 0.99) / 1e6:.1f} ms; "
          f"{(cpu_ns(worker) - spent) / took / 1e7:.0f} % of a processor")


def main():
    make_private()
    parts = [arg for arg in sys.argv[1:] if not arg.startswith("-")] or ["latency", "many", "readers"]
    for part in parts:
        if part == "many":
            print("\n| listeners, each of its instance | idle | one event, confirmed or not | worker's time for it | "
                  "profile change heard by all | confirmed | memory |\n" + "| --- " * 7 + "|")
        with contextlib.ExitStack() as held:
            {"latency": latency, "many": many, "readers": readers}[part](held)


if __name__ == "__main__":
    main()
