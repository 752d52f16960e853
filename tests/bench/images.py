#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures how images get to guests, in the same run, beside what can be had at most.

    BUILD=build tests/bench/images.py [--quick] [--spread] [PART...]

Parts: export (over the socket, beside a bare server that calls sendfile(2), give.c). All by
default. The load comes from inside a guest. Rounds are interleaved, so that a busy machine is busy
for all; numbers are medians, ratios are medians of each round's own ratio. Server and client share
one processor; --spread leaves the choice to the kernel. Files are in the page cache. Writes nothing
but its tables.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile

from rounds import QUICK, SECONDS, Yardstick, interleaved, median, pin, ratio

from daemon import Daemon, memory_of
from guest import Guest
from here import BUILD
from images import image_path, make_image
from mounting import make_private

SIZE = (16 if QUICK else 256) << 20

# argv: socket, path, seconds. Takes it again and again on one connection each.
TAKE = r"""
import json, socket, sys, time
where, path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
buffer = bytearray(1 << 18)
start, n = time.monotonic(), 0
while time.monotonic() < start + seconds:
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(where)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: lxd\r\nConnection: close\r\n\r\n".encode())
        while got := s.recv_into(buffer):
            n += got
print(json.dumps({"rate": n / (time.monotonic() - start), "bytes": n}))
"""

# argv: socket, path, seconds. A small request again and again.
ASK = r"""
import json, socket, sys, time
where, path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
request = f"GET {path} HTTP/1.1\r\nHost: lxd\r\n\r\n".encode()
times = []
with socket.socket(socket.AF_UNIX) as s:
    s.connect(where)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        s.sendall(request)
        assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
        times.append(time.monotonic() - start)
times.sort()
print(json.dumps({"p50_us": times[len(times) // 2] * 1e6,
                  "p99_us": times[len(times) * 99 // 100] * 1e6}))
"""

# argv: socket, path, connections. All at once, each as fast as it comes, until its input ends.
GREED = r"""
import select, socket, sys
poll, open_ones, buffer = select.epoll(), {}, bytearray(1 << 18)
poll.register(0, select.EPOLLIN)
def begin():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.sendall(f"GET {sys.argv[2]} HTTP/1.1\r\nHost: lxd\r\nConnection: close\r\n\r\n".encode())
    poll.register(s, select.EPOLLIN)
    open_ones[s.fileno()] = s
for _ in range(int(sys.argv[3])):
    begin()
print("go", flush=True)
while True:
    for fd, _ in poll.poll():
        if fd == 0:
            sys.exit()
        if not open_ones[fd].recv_into(buffer):
            open_ones.pop(fd).close()
            begin()
"""


def path_of(fingerprint):
    return f"/1.0/images/{fingerprint}/export"


def make_guest(running, daemon, name):
    guest = Guest(BUILD, name)
    running.callback(guest.close)
    daemon.guest_record(guest, {"security.devlxd.images": "true", "user.role": "frontend"})
    return guest.attach(daemon)


def show_rates(results):
    print("\n| over the socket | sendfile MB/s | devlxdfs MB/s | ratio |\n|---|---:|---:|---:|")
    for mode, taken in results.items():
        print(f"| {mode} | {median(taken['give']) / 1e6:,.0f} | {median(taken['sock']) / 1e6:,.0f} "
              f"| {ratio(taken['sock'], taken['give']):.2f} |")


def show_neighbour(guest, other, path):
    print("\n| a neighbour's small requests | p50 us | p99 us |\n|---|---:|---:|")
    for n in 0, 1, 8, 60:
        greedy = guest.start_python(GREED, "/dev/lxd/sock", path, n)
        assert greedy.stdout.readline() == "go\n"
        found = other.python(ASK, "/dev/lxd/sock", "/1.0/config/user.role", SECONDS)
        greedy.communicate("")
        print(f"| while {n} images are sent to one guest | {found['p50_us']:,.0f} "
              f"| {found['p99_us']:,.0f} |")


def export(running, daemon, directory):
    data = os.urandom(SIZE)
    images = {"one file": make_image(daemon, {"image.tar.gz": data}),
              "a form of two": make_image(daemon, {"metadata.tar.xz": data[:4096],
                                                   "rootfs.squashfs": data})}
    guest, other = make_guest(running, daemon, "web1"), make_guest(running, daemon, "web2")
    give = os.path.join(directory, "give.sock")
    backing = image_path(daemon, images["one file"], "image.tar.gz")
    running.callback(Yardstick("give", give, backing).stop)
    guest.mount(give, "/dev/lxd/give")

    def take(mode, socket):
        return guest.python(TAKE, f"/dev/lxd/{socket}", path_of(images[mode]), SECONDS)

    for mode in images:
        take(mode, "sock")
    before = memory_of(daemon.worker_pid)["Pss"]
    show_rates(interleaved(images, ("give", "sock"), take))
    grown = memory_of(daemon.worker_pid)["Pss"] - before
    show_neighbour(guest, other, path_of(images["one file"]))
    print(f"\nThe worker's memory grew by {grown / 1e6:.2f} MB (PSS) over all of it.")


PARTS = {"export": export}


def main():
    make_private()
    pin()
    directory = tempfile.mkdtemp(prefix="devlxdfs-bench-")
    wanted = [word for word in sys.argv[1:] if not word.startswith("--")] or PARTS
    try:
        for part in wanted:
            with contextlib.ExitStack() as running:
                place = os.path.join(directory, part)
                os.mkdir(place)
                daemon = Daemon(BUILD, place)
                running.callback(daemon.stop)
                daemon.start()
                PARTS[part](running, daemon, place)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
