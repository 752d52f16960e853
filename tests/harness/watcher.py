# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs in guests that wait for inotify(7) to tell them of changes."""

import json
import select
import time

BITS = {"ACCESS": 1, "MODIFY": 2, "ATTRIB": 4, "CLOSE_WRITE": 8, "CLOSE_NOWRITE": 16, "OPEN": 32,
        "MOVED_FROM": 64, "MOVED_TO": 128, "CREATE": 256, "DELETE": 512, "DELETE_SELF": 1024,
        "MOVE_SELF": 2048, "IGNORED": 0x8000}

COMMON = r"""
import ctypes, json, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
BITS = """ + repr(BITS) + r"""

def watch(fd, path, mask):
    wd = libc.inotify_add_watch(fd, path.encode(), mask)
    if wd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return wd

def events(fd):
    data = os.read(fd, 1 << 16)
    while data:
        wd, mask, _, n = struct.unpack("iIII", data[:16])
        yield wd, [bit for bit in BITS if mask & BITS[bit]], data[16:16 + n].rstrip(b"\0").decode()
        data = data[16 + n:]

def say(*words):
    print(json.dumps(words), flush=True)
"""

# Arguments: a mask and paths. Says [path, bits, name] of each event.
WATCHER = COMMON + r"""
fd = libc.inotify_init1(0)
watched = {watch(fd, path, int(sys.argv[1])): path for path in sys.argv[2:]}
say("watching")
while True:
    for wd, bits, name in events(fd):
        say(watched[wd], "+".join(bits), name)
"""

# As systemd's PathModified=: watches the file, or its directory until there is one, with a new descriptor
# after each time it was triggered, and says [what is in the file].
PATH_UNIT = COMMON + r"""
IT = sum(BITS[b] for b in ("DELETE_SELF", "MOVE_SELF", "ATTRIB", "CLOSE_WRITE", "CREATE", "DELETE",
                           "MOVED_FROM", "MOVED_TO", "MODIFY"))
ABOVE = BITS["MOVE_SELF"] | BITS["ATTRIB"] | BITS["CREATE"] | BITS["MOVED_TO"]
path = sys.argv[1]
while True:
    fd = libc.inotify_init1(0)
    try:
        watch(fd, path, IT)
        with open(path) as file:
            say(file.read())
    except FileNotFoundError:
        watch(fd, os.path.dirname(path), ABOVE)
        if os.path.exists(path):
            continue
        say(None)
    list(events(fd))
    os.close(fd)
"""


def mask_of(*names):
    return sum(BITS[name] for name in names)


class Watch:
    """A program that says things, each a line of JSON."""

    def __init__(self, guest, source, *args):
        self.child = guest.start_python(source, *args)
        self.buffer = b""

    def next(self, seconds=20):
        """What it says next."""
        deadline = time.monotonic() + seconds
        fd = self.child.stdout.fileno()
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([fd], [], [], left)[0], \
                f"says nothing for {seconds} s"
            with open(fd, "rb", buffering=0, closefd=False) as raw:
                more = raw.read(1 << 16)
            assert more, "it ended"
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def take(self, n):
        return [self.next() for _ in range(n)]


def watch(guest, mask, *paths):
    watcher = Watch(guest, WATCHER, mask, *paths)
    assert watcher.next() == ["watching"]
    return watcher
