#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures the daemon beside a real LXD, in the same run: one container of that LXD asks both.

    BUILD=build tests/bench/peers.sh [--quick] [--spread]

The container has LXD's own socket at /dev/lxd and our directory at /dev/lxd-files, with the record
that devlxdfs imports from LXD. The load runs in it (its namespaces, its cgroup). Rounds are
interleaved; numbers are medians, ratios medians of each round's own ratio. Everything shares one
processor; --spread leaves the choice to the kernel. Writes nothing but its tables.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile

from rounds import IS_SPREAD, SECONDS, interleaved, median, pin, ratio

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "managers"))

from daemon import Daemon, children_of, memory_of  # noqa: E402
from here import BUILD  # noqa: E402
from lxd import Lxd  # noqa: E402
from mounting import make_private  # noqa: E402

KEY, PEERS = "user.role", ("lxd", "devlxdfs")
SOCKETS = {"lxd": "/dev/lxd/sock", "devlxdfs": "/dev/lxd-files/sock"}
PATHS = {"a key": f"/1.0/config/{KEY}", "meta-data": "/1.0/meta-data"}
CONNECTIONS = {"new connection": ["-n"], "kept connection": []}
MODES = {f"{what}, {how}, {n} client{'s' * (n > 1)}": (path, [*options, "-c", str(n)])
         for what, path in PATHS.items() for how, options in CONNECTIONS.items() for n in (1, 8)}
N_CONTAINERS = 20
ONE_TICK = 1 / os.sysconf("SC_CLK_TCK")


def processes_of(pid):
    return [pid, *children_of(pid)]


def cpu_seconds(pids):
    """What these processes have used, in user mode and in the kernel."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
    return ticks * ONE_TICK


def run_inside(container, program, *arguments):
    """A program of this directory, on our processor: LXD lets its containers have all."""
    where = [] if IS_SPREAD else ["taskset", "-c", str(max(os.sched_getaffinity(0)))]
    done = container.run([*where, f"/build/tests/bench/{program}", "-s", str(SECONDS), *arguments])
    result = json.loads(done.stdout)
    assert result["failed"] == 0, (arguments, result)
    return result


class Pair:
    """Both daemons, and the container that asks."""

    def __init__(self, lxd, daemon):
        self.lxd, self.daemon = lxd, daemon
        self.container = self.add(KEY, has_usr=True)
        self.container.add_device("build", "disk", source=BUILD, path="/build", readonly="true")
        # Not LXD's monitors of containers: those are there whoever answers.
        self.pids = {"lxd": [lxd.process.pid], "devlxdfs": processes_of(daemon.keeper_pid)}

    def add(self, key, **options):
        """One more container that both know."""
        container = self.lxd.container(config={key: "frontend"}, **options)
        record = self.lxd.query(f"/1.0/instances/{container.name}")
        record["match"] = {"cgroup": f"/lxc.payload.{container.name}"}
        self.daemon.ctl("import", "-", input=json.dumps(record))
        container.add_device("files", "disk", source=self.daemon.tree(container.name),
                             path="/dev/lxd-files")
        return container.start()

    def _measure(self, peer, *command):
        before = cpu_seconds(self.pids[peer])
        result = run_inside(self.container, *command)
        used = cpu_seconds(self.pids[peer]) - before
        # One tick at least: what is too little to be counted is not nothing.
        return result | {"cpu_us": max(used, ONE_TICK) * 1e6 / (result["rate"] * SECONDS)}

    def load(self, mode, peer):
        path, options = MODES[mode]
        return self._measure(peer, "load", *options, SOCKETS[peer], path)

    def read(self, mode, peer):
        return self._measure(peer, "files", "-c", mode, "read", f"/dev/lxd-files/config/{KEY}")

    def memory(self, peer, kind):
        return sum(memory_of(pid)[kind] for pid in self.pids[peer]) / 1e6


def show_rates(results, files):
    print("| | LXD/s | devlxdfs/s | ratio | LXD p50 us | p99 us | devlxdfs p50 us | p99 us "
          "| LXD CPU us | devlxdfs CPU us | LXD to ours |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for mode, taken in results.items():
        theirs, ours = (taken[peer] for peer in PEERS)
        print(f"| {mode} | {median(theirs):,.0f} | {median(ours):,.0f} "
              f"| {ratio(ours, theirs):,.0f} | {median(theirs, 'p50_us'):,.0f} "
              f"| {median(theirs, 'p99_us'):,.0f} | {median(ours, 'p50_us'):,.0f} "
              f"| {median(ours, 'p99_us'):,.0f} | {median(theirs, 'cpu_us'):,.0f} "
              f"| {median(ours, 'cpu_us'):,.1f} | {ratio(theirs, ours, 'cpu_us'):,.0f} |")
    for mode, taken in files.items():
        # What a client of LXD has instead is the socket, with a connection for each question.
        plural = "s" * (mode != "1")
        theirs = results[f"a key, new connection, {mode} client{plural}"]["lxd"]
        ours = taken["devlxdfs"]
        print(f"| a key, as a file, {mode} reader{plural} | | {median(ours):,.0f} "
              f"| {ratio(ours, theirs):,.0f} | | | {median(ours, 'p50_us'):,.0f} "
              f"| {median(ours, 'p99_us'):,.0f} | | {median(ours, 'cpu_us'):,.1f} "
              f"| {ratio(theirs, ours, 'cpu_us'):,.0f} |")


def show_memory(pair, n):
    sizes = {kind: [pair.memory(peer, kind) for peer in PEERS] for kind in ("Rss", "Pss")}
    for kind, (theirs, ours) in sizes.items():
        print(f"| {n} container{'s' * (n > 1)}, {kind.upper()} MB | {theirs:.1f} | {ours:.1f} "
              f"| {theirs / ours:.1f} |")


def main():
    make_private()
    pin()
    directory = tempfile.mkdtemp(prefix="devlxdfs-peers-")
    ours = os.path.join(directory, "devlxdfs")
    os.mkdir(ours)
    try:
        with contextlib.ExitStack() as running:
            lxd = running.enter_context(Lxd(directory))
            daemon = Daemon(BUILD, ours)
            running.callback(daemon.stop)
            pair = Pair(lxd, daemon.start())
            # Below LXD's containers, which have its directories as their devices.
            running.callback(lxd.delete_containers)
            show_rates(interleaved(MODES, PEERS, pair.load),
                       interleaved(("1", "8"), ("devlxdfs",), pair.read))
            print("\n| | LXD | devlxdfs | LXD to ours |\n|---|---:|---:|---:|")
            show_memory(pair, 1)
            for i in range(1, N_CONTAINERS):
                pair.add(KEY, has_usr=False)
            show_memory(pair, N_CONTAINERS)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
