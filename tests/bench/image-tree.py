#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures reading an image from the file tree, in the same run, beside reading the file on the
host's disk that it is.

    BUILD=build tests/bench/image-tree.py [--quick] [PART...]

Parts: read, many (guests of one image). Both by default. Two guests read, in pieces of 1 MiB and into
the same memory; where the kernel reads by itself (passthrough), and where a worker does. Rounds are interleaved;
numbers are medians, ratios are medians of each round's own ratio. *Cold* is with nothing of the file in
memory, *first* with the file in memory and nothing of the tree's, *second* by another guest after that.
"""

import contextlib
import ctypes
import mmap
import os
import shutil
import sys
import tempfile

from rounds import QUICK, interleaved, median, ratio

from daemon import Daemon, memory_of
from guest import Guest
from here import BUILD
from images import image_path, make_image
from inside import Inside
from mounting import checked, libc, make_private
import account

SIZE = (256 if QUICK else 512) << 20
N_GUESTS = 30 if QUICK else 100
NAME = "rootfs.squashfs"
MIB = 1 << 20
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
DISK, PASSTHROUGH, WORKER = "the file on disk", "passthrough", "worker"
READ = """
import time
memory = bytearray(1 << 20)

def rate(path):
    fd = os.open(path, os.O_RDONLY)
    start, n, got = time.monotonic(), 0, 1
    while got:
        got = os.readv(fd, [memory])
        n += got
    taken = time.monotonic() - start
    os.close(fd)
    return n / taken / 1e6
"""


class Place(contextlib.ExitStack):
    """A daemon with an image, and guests that may read it."""

    def __init__(self, directory, name, n_guests):
        super().__init__()
        os.mkdir(f"{directory}/{name}")
        options = ["--no-passthrough"] if name == WORKER else []
        self.daemon = Daemon(BUILD, f"{directory}/{name}", options=options)
        self.callback(self.daemon.stop)
        self.daemon.start()
        fingerprint = make_image(self.daemon, {NAME: os.urandom(1 << 20) * (SIZE >> 20)})
        self.disk = image_path(self.daemon, fingerprint, NAME)
        self.path = f"images/{fingerprint}/{NAME}"
        self.tree = self.daemon.tree("bench0", self.path)
        self.guests = []
        for n in range(n_guests):
            guest = Guest(BUILD, f"bench{n}")
            self.callback(guest.close)
            self.daemon.guest_record(guest, {"security.devlxd.images": "true"})
            guest.attach_tree(self.daemon)
            guest.mount(self.disk, "/dev/image")
            inside = Inside(guest)
            inside.run(READ)
            self.guests.append(inside)

    def drop(self, path):
        """Has the kernel forget what it has of the file in memory."""
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)

    def rate(self, mode, path):
        if mode != "second":
            self.drop(self.tree)
        if mode == "cold":
            self.drop(self.disk)
        return {"rate": self.guests[mode == "second"](f"rate({path!r})")}


def part_read(directory):
    with Place(directory, PASSTHROUGH, 2) as own, Place(directory, WORKER, 2) as other:
        places = {DISK: (own, "/dev/image"), PASSTHROUGH: (own, own.path),
                  WORKER: (other, other.path)}
        if not own.daemon.admin("GET", "/1.0/status")[1]["tree"]["passthrough"]:
            del places[PASSTHROUGH]
        results = interleaved(["cold", "first", "second"], places,
                              lambda mode, target: places[target][0].rate(mode, places[target][1]))
    print(f"| {SIZE >> 20} MiB by pieces of 1 MiB | cold MB/s | to disk | first MB/s | to disk "
          "| second MB/s | to disk |\n|---|---:|---:|---:|---:|---:|---:|")
    for target in places:
        cells = []
        for taken in results.values():
            cells += [f"{median(taken[target]):,.0f}", f"{ratio(taken[target], taken[DISK]):.2f}"]
        print(f"| {target} | " + " | ".join(cells) + " |")
    print()


def resident(path):
    """Bytes of the file that are in memory."""
    fd = os.open(path, os.O_RDONLY)
    pages = ctypes.create_string_buffer(SIZE // mmap.PAGESIZE)
    at = libc.mmap(None, SIZE, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    checked(libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(SIZE), pages))
    libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(SIZE))
    os.close(fd)
    return sum(page & 1 for page in pages.raw) * mmap.PAGESIZE


def part_many(directory):
    print(f"| {N_GUESTS} guests read one image of {SIZE >> 20} MiB | nodes | in memory MiB, "
          "of the node | of the disk | worker's RSS MiB before | after |\n"
          "|---|---:|---:|---:|---:|---:|")
    for name in PASSTHROUGH, WORKER:
        with Place(directory, name, N_GUESTS) as place:
            rss = memory_of(place.daemon.worker_pid)["Rss"]
            nodes = set()
            for inside in place.guests:
                inside(f"rate({place.path!r})")
                nodes.add(inside(f"os.stat({place.path!r}).st_ino"))
            after = memory_of(place.daemon.worker_pid)["Rss"]
            node = "the same" if name == PASSTHROUGH else resident(place.tree) >> 20
            print(f"| {name} | {len(nodes)} | {node} | {resident(place.disk) >> 20} "
                  f"| {rss / MIB:.1f} | {after / MIB:.1f} |", flush=True)
    print()


PARTS = {"read": part_read, "many": part_many}


def main():
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")] or PARTS
    make_private()
    directory = tempfile.mkdtemp(prefix="devlxdfs-bench-")
    try:
        account.let_through(directory)
        os.mkdir(f"{directory}/account")
        account.put_over(f"{directory}/account")
        for part in wanted:
            os.mkdir(f"{directory}/{part}")
            PARTS[part](f"{directory}/{part}")
    finally:
        account.take_away()
        shutil.rmtree(directory)


main()
