#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures the file tree, in the same run, beside a libfuse server that does nothing and beside
tmpfs.

    BUILD=build tests/bench/tree.py [--quick] [--spread] [PART...]

Parts: keys (read, stat, test -e), list, scale (two guests), neighbour (of a hostile one), many
(instances), watch (inotify). All by default. The load comes from inside guests (their namespaces, their cgroups),
where all three look alike: a directory with `config` and the same keys in it. Rounds are
interleaved, so that a busy machine is busy for all; numbers are medians, ratios are medians of each
round's own ratio. In keys, list and many everything shares one processor, because waking an idle
one costs many times what a request does and hides the difference; --spread leaves the choice to the
kernel there, too.

Everything is mounted in a mount namespace of its own. Without a tree in the daemon only the others
are measured. Writes nothing but its tables.
"""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

from rounds import MANY, QUICK, SECONDS, Yardstick, interleaved, median, pin, ratio

from daemon import Daemon, children_of, memory_of, wait_until
from guest import Guest
from here import BUILD
from mounting import make_private

PROCESSORS = os.sched_getaffinity(0)
FILES = "/dev/build/tests/bench/files"
VALUE = "a value that is as long as many".ljust(100, ".")
# What is compared, and where guests have it.
PLACES = {"tmpfs": "/dev/tmpfs", "nothing, 1 thread": "/dev/nothing1",
          "nothing, 2 threads": "/dev/nothing2", "devlxdfs": "/dev/lxd"}
OURS = "devlxdfs"
STORM_THREADS = 256
STORM_SPARE_SECONDS = 4  # to start so many threads, and the neighbour under their load
N_CHANGES = 100 if QUICK else 300  # in each round


def keys(n):
    return {f"user.key{i:04}": VALUE for i in range(n)}


def attach_tree(daemon, guest):
    """Puts the guest's directory of the tree at /dev/lxd. False when the daemon has no tree."""
    tree = os.path.join(daemon.dirs["run"], "tree")
    if not os.path.ismount(tree):
        return False
    guest.mount(os.path.join(tree, guest.name), PLACES[OURS])
    return True


def unmount_below(directory):
    with open("/proc/self/mountinfo") as lines:
        points = [line.split()[4] for line in lines]
    for point in reversed(points):
        if point.startswith(directory + "/"):
            subprocess.run(["umount", "--lazy", point], check=True)


def new_directory(held):
    directory = tempfile.mkdtemp(prefix="devlxdfs-bench-")
    held.callback(shutil.rmtree, directory)
    held.callback(unmount_below, directory)
    return directory


class TimedDaemon(Daemon):
    """Knows what its last admin request took."""

    admin_us = 0.0

    def admin(self, *request):
        start = time.monotonic()
        answer = super().admin(*request)
        self.admin_us = (time.monotonic() - start) * 1e6
        return answer


def start_daemon(held, config, guests, n_others=0):
    """A daemon that knows the guests and n_others more, all with the same config."""
    daemon = TimedDaemon(BUILD, new_directory(held))
    for i in range(n_others):
        daemon.record(f"other{i}", config=config, match={"cgroup": f"/devlxdfs-bench/other{i}"})
    for guest in guests:
        daemon.guest_record(guest, config)
    held.callback(daemon.stop)
    return daemon.start()


def new_guest(held, name):
    guest = Guest(BUILD, name)
    held.callback(guest.close)
    return guest


def start_yardsticks(held, config):
    """{name: directory}, each with the keys of config."""
    directory = new_directory(held)
    sources = {name: os.path.join(directory, name) for name in PLACES if name != OURS}
    for name, source in sources.items():
        os.mkdir(source)
        if name == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", source], check=True)
            os.mkdir(os.path.join(source, "config"))
            for file in ["state", *(f"config/{key}" for key in config)]:
                with open(os.path.join(source, file), "w") as written:
                    written.write(VALUE)
        else:
            n_threads = name.split()[1]
            held.callback(Yardstick("nothing", "-t", n_threads, "-n", str(len(config)),
                                    "-b", str(len(VALUE)), source).stop)
    return sources


@contextlib.contextmanager
def scene(n_keys, *names):
    """Guests that have all there is to compare; (guests, names of what they have)."""
    with contextlib.ExitStack() as held:
        config = keys(n_keys)
        guests = [new_guest(held, name) for name in names]
        sources = start_yardsticks(held, config)
        daemon = start_daemon(held, config, guests)
        for guest in guests:
            for name, source in sources.items():
                guest.mount(source, PLACES[name])
        has_tree = all([attach_tree(daemon, guest) for guest in guests])
        yield guests, [*sources, OURS] if has_tree else list(sources)


# --- what runs in guests


def start_files(guest, *arguments, **options):
    return guest.popen([FILES, *arguments], **options)


def result_of(guest, child, may_fail=False):
    out, err = child.communicate(timeout=120)
    guest.children.remove(child)
    assert child.returncode == 0, err
    result = json.loads(out)
    assert may_fail or result["failed"] == 0, result
    return result


def files(guest, mode, paths, times=None, **options):
    """One reader; what one time took as "us": the mean, or the median when it did it n times."""
    limit = ["-s", str(SECONDS)] if times is None else ["-s", "60", "-n", str(times)]
    result = result_of(guest, start_files(guest, *limit, mode, *paths, **options))
    result["us"] = result["p50_us"] if times else 1e6 / result["rate"]
    return result


def key_paths(target, n=50):
    return [f"{PLACES[target]}/config/{key}" for key in keys(n)]


# --- tables


def show_table(title, columns, rows):
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|---|---{'|---:' * (len(columns) - 2)}|")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def times_rows(results):
    """Rows of what each took, and of how many times as long as the yardsticks."""
    for mode, taken in results.items():
        for target, values in taken.items():
            yield (mode, target, f"{median(values, 'us'):.2f}", f"{median(values, 'p99_us'):.1f}",
                   *(f"{ratio(values, taken[other], 'us'):.2f}" for other in PLACES
                     if other != OURS))


def show_times(title, results):
    show_table(title, ["", "", "us", "p99 us", *(f"x {name}" for name in PLACES if name != OURS)],
               times_rows(results))


# --- parts


def measure_keys():
    pin()
    modes = {"open, read, close": "read", "stat": "stat", "access": "access"}
    with scene(50, "web1") as ([guest], targets):
        show_times("One reader, 50 keys of 100 bytes in turn", interleaved(
            modes, targets, lambda mode, target: files(guest, modes[mode], key_paths(target))))


def measure_list():
    pin()
    modes = {"list": "list", "list and stat each": "ls"}
    with scene(1000, "web1") as ([guest], targets):
        for target in targets:
            files(guest, "ls", [f"{PLACES[target]}/config"], times=1)
        show_times("Listing 1,000 keys", interleaved(
            modes, targets,
            lambda mode, target: files(guest, modes[mode], [f"{PLACES[target]}/config"])))

    def first_time(mode, _):
        """One of each, in a scene that nobody has looked at."""
        with scene(1000, "web1") as ([fresh], available):
            return {target: files(fresh, modes[mode], [f"{PLACES[target]}/config"], times=1)
                    for target in available}

    first = {mode: {target: [round_[target] for round_ in taken["all"]] for target in targets}
             for mode, taken in interleaved(modes, ["all"], first_time).items()}
    show_times("Listing 1,000 keys for the first time", first)


def measure_scale():
    os.sched_setaffinity(0, PROCESSORS)
    with scene(50, "web1", "web2") as (guests, targets):
        def read(n_readers, target):
            started = [(guest, start_files(guest, "-s", str(SECONDS), "read", *key_paths(target)))
                       for guest in guests[:n_readers]]
            return {"rate": sum(result_of(*one)["rate"] for one in started)}

        results = interleaved((1, 2), targets, read)
    show_table(f"Readers in two guests, {len(PROCESSORS)} processors",
               ["", "", "1 reader/s", "2 readers/s", "2 to 1"],
               [("open, read, close", target, f"{median(one):,.0f}", f"{median(two):,.0f}",
                 f"{ratio(two, one):.2f}")
                for target, one, two in ((target, results[1][target], results[2][target])
                                         for target in targets)])


class Share:
    """Stands for a guest's cgroup where processes are started. Gives it a share of the processors
    of its own, as managers do, where that takes another hierarchy: else threads count, not guests.
    """

    def __init__(self, held, guest):
        self.guest = guest
        self.dir = None
        with open("/proc/self/mountinfo") as lines:
            for line in lines:
                fields, _, tail = line.partition(" - ")
                if tail.split()[0] == "cgroup" and "cpu" in tail.split()[2].split(","):
                    self.dir = f"{fields.split()[4]}/devlxdfs-bench-{uuid.uuid4().hex[:12]}"
        if self.dir:
            os.mkdir(self.dir)
            held.callback(os.rmdir, self.dir)

    def is_in_force(self):
        return bool(self.dir) or os.path.exists(f"{self.guest.cgroup.dir}/cpu.weight")

    def add(self):
        self.guest.cgroup.add()
        if self.dir:
            with open(os.path.join(self.dir, "cgroup.procs"), "w") as procs:
                procs.write("0")


def has_threads(guest, n):
    with open(os.path.join(guest.cgroup.dir, "cgroup.threads")) as threads:
        return len(threads.readlines()) >= n


def measure_neighbour():
    os.sched_setaffinity(0, PROCESSORS)
    storms = {}
    with (contextlib.ExitStack() as held,  # what it holds goes after the guests
          scene(50, "web1", "web2") as ((victim, hostile), targets)):
        shares = {guest: Share(held, guest) for guest in (victim, hostile)}

        def read(mode, target):
            def once():
                return files(victim, "read", key_paths(target), cgroup=shares[victim])

            if mode == "quiet":
                return once()
            storm = start_files(hostile, "-s", str(SECONDS + STORM_SPARE_SECONDS), "-c",
                                str(STORM_THREADS), "storm", PLACES[target],
                                cgroup=shares[hostile])
            wait_until(lambda: has_threads(hostile, STORM_THREADS), "the storm")
            result = once()
            assert storm.poll() is None, "the storm ended first"
            storms.setdefault(target, []).append(result_of(hostile, storm, may_fail=True))
            return result

        targets.remove("nothing, 1 thread")
        results = interleaved(("quiet", "storm"), targets, read)
        in_force = "each" if shares[victim].is_in_force() else "neither"
    rows = []
    for target in targets:
        quiet, storm = results["quiet"][target], results["storm"][target]
        rows.append((target, *(f"{median(taken, field):.1f}" for taken in (quiet, storm)
                               for field in ("p50_us", "p99_us")),
                     f"{ratio(storm, quiet, 'p50_us'):.1f}", f"{ratio(storm, quiet, 'p99_us'):.1f}",
                     f"{median(storms[target]):,.0f}", f"{median(storms[target], 'failed'):,.0f}"))
    show_table(f"open, read, close beside a guest with {STORM_THREADS} hostile threads; "
               f"{in_force} guest has a share of the processors of its own",
               ["", "quiet p50 us", "p99 us", "storm p50 us", "p99 us", "x p50", "x p99",
                "hostile/s", "failed"], rows)


def drop_caches():
    """Makes the kernel forget all names and nodes that are not in use, everywhere on this machine:
    others get slower for a while. Nothing less makes it forget those of one file system that is
    in use; nothing else here does it."""
    with open("/proc/sys/vm/drop_caches", "w") as drop:
        drop.write("2")


def kernel_slab():
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Slab:"))


class Crowd:
    """A daemon with n instances, one of them a guest."""

    def __init__(self, held, n, name):
        self.n = n
        self.config = keys(50)
        self.guest = new_guest(held, name)
        drop_caches()  # so that what is forgotten later is what was looked at here
        self.slab = kernel_slab()
        self.daemon = start_daemon(held, self.config, [self.guest], n - 1)
        self.n_changes = 0
        self.has_tree = False

    def memory_row(self, stage):
        worker = memory_of(self.daemon.worker_pid)
        return (f"{self.n:,} instances", stage, f"{worker['Rss'] / 1e6:.1f}",
                f"{worker['Pss'] / 1e6:.1f}", f"{(kernel_slab() - self.slab) / 1e6:.0f}")

    def look(self):
        """Yields a row of memory for each thing that is done to the tree."""
        yield self.memory_row("nothing was looked at")
        self.has_tree = attach_tree(self.daemon, self.guest)
        if not self.has_tree:
            return
        files(self.guest, "read", key_paths(OURS), times=50)
        yield self.memory_row("a guest read its 50 keys")
        tree = os.path.join(self.daemon.dirs["run"], "tree")
        start = time.monotonic()
        names = subprocess.run(["find", tree], stdout=subprocess.PIPE, check=True).stdout
        took = time.monotonic() - start
        yield self.memory_row(f"find on the host: {len(names.splitlines()):,} names "
                              f"in {took:.1f} s")
        drop_caches()
        os.listdir(tree)  # answered behind what the kernel had to say before
        yield self.memory_row("caches dropped")

    def change(self):
        """One key of the guest; microseconds until the daemon says that it is in force."""
        self.n_changes += 1
        self.config["user.key0007"] = f"{VALUE} {self.n_changes}"
        self.daemon.guest_record(self.guest, self.config)
        return self.daemon.admin_us


def measure_many():
    pin()
    with contextlib.ExitStack() as held:
        rows, crowds = [], {}
        for n, name in (10, "few1"), (MANY, "many1"):
            crowds[n] = Crowd(held, n, name)
            rows += list(crowds[n].look())
        show_table("Memory of the worker, and of the kernel's slabs since before it started",
                   ["", "", "RSS MB", "PSS MB", "slab MB"], rows)
        has_tree = all([crowd.has_tree for crowd in crowds.values()])

        def measure(mode, n):
            crowd = crowds[n]
            if mode == "read":
                return files(crowd.guest, "read", key_paths(OURS))
            if has_tree:  # so that there is something to make the kernel forget
                files(crowd.guest, "read", key_paths(OURS), times=50)
            took = sorted(crowd.change() for _ in range(N_CHANGES))
            return {"us": statistics.median(took), "p99_us": took[len(took) * 99 // 100]}

        results = interleaved(("read", "change") if has_tree else ("change",), crowds, measure)
    names = {"read": "open, read, close", "change": "change a key"}
    show_table(f"{MANY:,} instances of 50 keys and 10",
               ["", "", "us", "p99 us", "x 10"],
               [(names[mode], f"{n:,} instances", f"{median(values, 'us'):.1f}",
                 f"{median(values, 'p99_us'):.1f}", f"{ratio(values, taken[10], 'us'):.2f}")
                for mode, taken in results.items() for n, values in taken.items()])


WATCHER = r"""
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
fd = libc.inotify_init1(0)
assert libc.inotify_add_watch(fd, b"/dev/lxd/config", 2) >= 0  # IN_MODIFY
print("watching", flush=True)
while os.read(fd, 4096):
    print(time.clock_gettime_ns(time.CLOCK_MONOTONIC), flush=True)
"""


def cpu_of(daemon):
    """Seconds that the keeper's children have run."""
    ticks = 0
    for pid in children_of(daemon.keeper_pid):
        with open(f"/proc/{pid}/stat") as stat:
            ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measure_watch():
    """Changes of a key of a guest that has looked at nothing, has read it, and watches it."""
    pin()
    rows = []
    with contextlib.ExitStack() as held:
        crowd = Crowd(held, 10, "watch1")
        if not attach_tree(crowd.daemon, crowd.guest):
            return
        for mode in "nobody has looked", "read once", "watched":
            if mode != "nobody has looked":
                files(crowd.guest, "read", key_paths(OURS), times=50)
            watcher = None
            if mode == "watched":
                watcher = crowd.guest.start_python(WATCHER)
                assert watcher.stdout.readline() == "watching\n"
            took, late, cpu = [], [], cpu_of(crowd.daemon)
            for _ in range(3 * N_CHANGES):
                start = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                took.append(crowd.change())
                if watcher:
                    late.append((int(watcher.stdout.readline()) - start) / 1e3)
            cpu = (cpu_of(crowd.daemon) - cpu) * 1e6 / len(took)
            rows.append((mode, f"{statistics.median(took):.0f}", f"{cpu:.0f}",
                         f"{statistics.median(late):.0f}" if late else "",
                         f"{sorted(late)[len(late) * 99 // 100]:.0f}" if late else ""))
    show_table("Changing a key under inotify", ["", "us", "CPU us", "to the event us", "p99 us"], rows)


PARTS = {"keys": measure_keys, "list": measure_list, "scale": measure_scale,
         "neighbour": measure_neighbour, "many": measure_many, "watch": measure_watch}


def main():
    make_private()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was made is removed
    wanted = [word for word in sys.argv[1:] if not word.startswith("--")] or list(PARTS)
    if not set(wanted) <= set(PARTS):
        sys.exit(f"parts are: {' '.join(PARTS)}")
    for part in wanted:
        PARTS[part]()


if __name__ == "__main__":
    main()
