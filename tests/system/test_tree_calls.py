# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls on the tree that few programs make: each works as on any file system, or is refused."""

import os

import pytest

from here import cannot

NAMES = [f"user.stays-{i:03}" for i in range(300)]

# Lists a directory a few entries at a time, in buffers of @size bytes.
LISTING = r"""
def entries(data):
    names = []
    while data:
        length = int.from_bytes(data[16:18], "little")
        names.append(os.fsdecode(data[19:length].split(b"\0")[0]))
        data = data[length:]
    return names

def some(fd, size):
    buffer = ctypes.create_string_buffer(size)
    n = checked(libc.getdents64(fd, buffer, ctypes.c_size_t(size)))
    return entries(buffer.raw[:n])
"""


def can_prune():
    """Whether the kernel can be told to forget a node (fsd/inval.h)."""
    return tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 18)


def check_listing(seen):
    """@seen has all that stayed, and nothing twice."""
    assert len(seen) == len(set(seen)), "twice: " + str({n for n in seen if seen.count(n) > 1})
    assert set(NAMES) <= set(seen), "missing: " + str(set(NAMES) - set(seen))


def test_slow_listing_of_a_changing_directory(standing):
    """Keys come and go between any two calls: what stays is seen exactly once."""
    standing.inside.run(LISTING)
    stays = {name: "x" for name in NAMES}
    for n_others in 0, 40:
        others = {f"user.goes-{i}": "x" for i in range(n_others)}
        standing.record({**stays, **others})
        fd = standing.inside("os.open('config', os.O_RDONLY | os.O_DIRECTORY)")
        seen = []
        for i in range(1000):
            some = standing.inside(f"some({fd}, 280)")
            if not some:
                break
            seen += some
            others.pop(f"user.goes-{i}", None)
            others[f"user.comes-{i}"] = "x"
            standing.record({**stays, **others})
        check_listing(seen)
        assert len(seen) > len(NAMES)  # "." and "..", and some of what came
        standing.inside(f"os.lseek({fd}, 0, os.SEEK_SET)")
        seen = []
        while some := standing.inside(f"some({fd}, 100000)"):
            seen += some
        assert sorted(seen) == sorted([".", "..", *stays, *others])
        standing.inside(f"os.close({fd})")


def test_listing_from_where_one_was(standing):
    """telldir and seekdir: any offset ever told is good, also after changes."""
    standing.inside.run(LISTING)
    stays = {name: "x" for name in NAMES}
    standing.record({**stays, "user.goes": "x"})
    standing.inside.run("""
fd = os.open('config', os.O_RDONLY | os.O_DIRECTORY)
parts = []
while part := some(fd, 280):
    parts.append((part, os.lseek(fd, 0, os.SEEK_CUR)))
""")
    before = standing.inside("parts")
    standing.record({**stays, "user.comes": "x"})
    standing.inside.run("""
again = []
for part, offset in parts[::-7]:
    os.lseek(fd, offset, os.SEEK_SET)
    rest = []
    while names := some(fd, 4096):
        rest += names
    again.append(rest)
os.close(fd)
""")
    rests, rest = [], []
    for part, _ in before[::-1]:
        rests.append(set(rest))
        rest = part + rest
    for expected, found in zip(rests[::7], standing.inside("again")):
        # Whether what came or went since the first call is seen is nobody's promise.
        found = [name for name in found if name in stays]
        assert len(found) == len(set(found))
        assert set(found) == expected & stays.keys()


def test_buffer_too_small(standing):
    """The longest name does not fit: an error, and no loop without an end."""
    standing.inside.run(LISTING)
    standing.record({"user." + "x" * 250: "1"})
    fd = standing.inside("os.open('config', os.O_RDONLY | os.O_DIRECTORY)")
    for size in 1, 20:
        assert standing.inside.error(f"some({fd}, {size})") == "EINVAL"
    assert standing.inside(f"some({fd}, 280) + some({fd}, 280)") != []
    standing.inside(f"os.close({fd})")


@pytest.mark.parametrize("size", [1, 4096, 4097, 1 << 20])
def test_mmap(standing, size):
    value = ("0123456789abcdef" * 65536)[:size]
    standing.record({"user.x": value})
    for flags, prot in ("SHARED", "READ"), ("PRIVATE", "READ"), ("PRIVATE", "READ | mmap.PROT_WRITE"):
        standing.inside.run(f"""
fd = os.open('config/user.x', os.O_RDONLY)
memory = mmap.mmap(fd, 0, mmap.MAP_{flags}, mmap.PROT_{prot})
os.close(fd)
""")
        assert standing.inside("memory[:]") == value.encode()
        standing.record({"user.x": "other"})
        assert standing.inside("memory[:]") == value.encode()  # as long as it is mapped
        standing.inside.run("memory.close()")
        assert standing.inside("read('config/user.x')") == b"other"
        standing.record({"user.x": value})
    assert standing.inside.error(
        "mmap.mmap(os.open('config/user.x', os.O_RDONLY), 0, mmap.MAP_SHARED)") == "EACCES"


def test_reads_of_any_size_at_any_place(standing):
    value = bytes(range(33, 127)) * 1000
    standing.record({"user.x": value.decode()})
    standing.inside.run("fd = os.open('config/user.x', os.O_RDONLY)")
    for offset in 0, 1, 4095, 4096, 5000, len(value) - 1, len(value), len(value) + 1, 1 << 40:
        for size in 1, 4096, 10000, 1 << 21:
            assert standing.inside(f"os.pread(fd, {size}, {offset})") == value[offset:offset + size]
    assert standing.inside.error("os.pread(fd, 1, -1)") == "EINVAL"
    for place, offset in ("END", 0), ("END", -1), ("SET", 1 << 40), ("DATA", 5), ("HOLE", 5):
        expected = {"END": len(value) + offset, "HOLE": len(value)}.get(place, offset)
        assert standing.inside(f"os.lseek(fd, {offset}, os.SEEK_{place})") == expected
    standing.inside("os.close(fd)")


def test_direct_io(standing):
    standing.record({"user.x": "x" * 5000})
    standing.inside.run("""
def direct(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    memory = mmap.mmap(-1, 8192)  # aligned
    n = os.readv(fd, [memory])
    os.close(fd)
    return memory[:n]
""")
    assert standing.inside("direct('config/user.x')") == b"x" * 5000
    assert standing.inside("direct('state')") == b"Started\n"


PLACES = r"""
def watch(path):
    fd = checked(libc.inotify_init())
    try:
        return checked(libc.inotify_add_watch(fd, path.encode(), 0xfff))
    finally:
        os.close(fd)

def place(path, action):
    fd = os.open(path, os.O_PATH)
    try:
        return action(fd)
    finally:
        os.close(fd)

def mounted(path, action):
    open("/tmp/target", "w").close()
    checked(libc.mount(path.encode(), b"/tmp/target", None, 4096, None))
    try:
        return action("/tmp/target")
    finally:
        checked(libc.umount2(b"/tmp/target", 2))
"""


@pytest.mark.parametrize("path", ["config/user.x", "devices/disk0/user.x"])
def test_calls_that_ask_for_no_attributes(standing, path):
    """They take the kernel's word for what a name stands for; it is the new one, at once and every time."""
    def record(value):
        standing.record({"user.x": value} if value else {},
                        devices={"disk0": {"user.x": value}} if value else {})

    if not can_prune():
        cannot("needs Linux 6.18")
    standing.inside.run(PLACES)
    questions = {
        f"place({path!r}, lambda fd: os.fstat(fd).st_size)": 5,
        f"place({path!r}, lambda fd: read(f'/proc/self/fd/{{fd}}'))": b"newer",
        f"mounted({path!r}, read)": b"newer",
        f"watch({path!r})": 1,
        f"os.stat({path + '/x'!r})": "ENOTDIR",
    }
    for question, answer in questions.items():
        for after, expected in ("newer", answer), (None, "ENOENT"):
            record("old")
            assert standing.inside(f"read({path!r})") == b"old"
            assert standing.inside(f"os.stat({path!r}).st_size") == 3
            record(after)
            for _ in range(2):
                if isinstance(expected, str):
                    assert standing.inside.error(question) == expected, question
                else:
                    assert standing.inside(question) == expected, question


def test_descriptors_that_are_only_a_place(standing):
    """O_PATH: no way around being asked at open."""
    standing.record({"user.x": "value"})
    assert standing.inside("os.stat('config/user.x').st_size") == 5
    standing.inside.run("fd = os.open('config/user.x', os.O_PATH)")
    assert standing.inside.error("os.read(fd, 1)") == "EBADF"
    assert standing.inside("os.fstat(fd).st_size") == 5
    assert standing.inside("read(f'/proc/self/fd/{fd}')") == b"value"
    assert standing.inside.error("write(f'/proc/self/fd/{fd}', b'x')") == "EROFS"
    standing.record({})
    assert standing.inside.error("read(f'/proc/self/fd/{fd}')") in ("ENOENT", "ESTALE")
    standing.inside("os.close(fd)")
    standing.inside.run("fd = os.open('.', os.O_PATH)")
    assert standing.inside("os.path.realpath(f'/proc/self/fd/{fd}')") == "/dev/lxd"
    assert standing.inside("os.read(os.open('name', os.O_RDONLY, dir_fd=fd), 9)") == b"web1\n"
    standing.inside("os.close(fd)")


HANDLES = r"""
AT_FDCWD, AT_HANDLE_FID, SIZE = -100, 0x200, 128

def handle(path, flags):
    buffer = ctypes.create_string_buffer(SIZE.to_bytes(4, sys.byteorder), 8 + SIZE)
    checked(libc.name_to_handle_at(AT_FDCWD, path.encode(), buffer,
                                   ctypes.byref(ctypes.c_int()), flags))
    return buffer.raw

def open_handle(raw):
    place = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return checked(libc.open_by_handle_at(place, raw, os.O_RDONLY))
    finally:
        os.close(place)
"""


def test_file_handles(standing):
    """Numbers instead of names open nothing: not what is there, and not what they may be made up for."""
    standing.record({"user.x": "value"})
    standing.inside.run(HANDLES)
    own = None
    for flags in "0", "AT_HANDLE_FID":
        if standing.inside.error(f"handle('config/user.x', {flags})"):
            continue
        own = standing.inside(f"handle('config/user.x', {flags})")
        assert standing.inside.error(f"open_handle({own!r})") in ("ESTALE", "EPERM", "ENOTSUP")
    # What fs/fuse makes of a node's number: the type 0x81, the id's halves, the generation.
    number = standing.inside("os.stat('config/user.x').st_ino")
    for node in number, 1, number & ~((1 << 36) - 1) | 1, 1 << 36 | 1, 2 << 36 | 1:
        made_up = b"".join(part.to_bytes(4, "little")
                           for part in (12, 0x81, node >> 32, node & 0xffffffff, 0))
        assert standing.inside.error(f"open_handle({made_up!r})") in (
            "ESTALE", "EPERM", "ENOTSUP"), hex(node)


def test_inotify_watches(standing):
    """They are accepted, and tell of what is done in the guest."""
    standing.record({"user.x": "value"})
    standing.inside.run("fd = checked(libc.inotify_init1(os.O_NONBLOCK))")
    for path in b".", b"config", b"config/user.x", b"state", b"sock":
        assert standing.inside(f"checked(libc.inotify_add_watch(fd, {path!r}, 0xfff))") > 0
    assert standing.inside("read('config/user.x')") == b"value"
    assert b"user.x" in standing.inside("os.read(fd, 4096)")
    standing.inside("os.close(fd)")
    standing.record({})
    assert standing.inside("os.listdir('config')") == []


def test_statfs(standing):
    """Of no size, like /proc: no tool finds it full."""
    for path in ".", "config", "name", "state":
        values = standing.inside(f"(lambda s: (s.f_bsize, s.f_blocks, s.f_bfree, s.f_files, s.f_ffree,"
                                 f" s.f_namemax))(os.statvfs({path!r}))")
        assert values == (4096, 0, 0, 0, 0, 255)
    flags = standing.inside("os.statvfs('.').f_flag")
    for flag in "NOSUID", "NODEV", "NOEXEC":
        assert standing.inside(f"os.ST_{flag}") & flags, flag


def test_nothing_is_executed(standing):
    standing.record({"user.script": "#!/bin/sh\necho run\n"},
                    files=[{"path": "config/*", "mode": "0444"}])
    assert standing.guest.run(["sh", "/dev/lxd/config/user.script"]).stdout == "run\n"
    assert standing.inside.error("os.execv('config/user.script', ['x'])") == "EACCES"


def test_locks(standing):
    """Local to the guest, as on any file, and no way to hold anybody else up."""
    standing.record({"user.x": "value"})
    standing.inside.run("import fcntl; fd = os.open('config/user.x', os.O_RDONLY)")
    standing.inside("fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)")
    standing.inside("fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)")
    standing.record({"user.x": "other"})
    assert standing.inside("read('config/user.x')") == b"other"
    standing.inside("os.close(fd)")


def test_calls_that_files_answer_anyhow(standing):
    standing.record({"user.x": "value"})
    standing.inside.run("fd = os.open('config/user.x', os.O_RDONLY)")
    standing.inside("os.fsync(fd)")
    standing.inside("os.fdatasync(fd)")
    standing.inside("os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)")
    assert standing.inside("os.pread(fd, 9, 0)") == b"value"
    standing.inside.run("import select; poller = select.poll(); poller.register(fd)")
    assert standing.inside("poller.poll(0)[0][1] & select.POLLIN") != 0
    assert standing.inside.error("select.epoll().register(fd)") in (None, "EPERM")
    assert standing.inside.error("os.readlink('config/user.x')") == "EINVAL"
    standing.inside.run("import fcntl")
    for request in 0x80086601, 0x40086602, 0xc0189436:  # flags and a clone
        assert standing.inside.error(f"fcntl.ioctl(fd, {request}, bytes(64))") in (
            "ENOTTY", "ENOTSUP", "EPERM")
    assert standing.inside("os.pread(fd, 9, 0)") == b"value"
    standing.inside("os.close(fd)")
