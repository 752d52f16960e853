# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that holds the lock of its own directory: nobody but itself may have to wait for it."""

import time

from daemon import wait_until

# Lists a directory into memory whose page never comes: the kernel then sleeps in the middle of
# getdents(2), with the directory's lock held, until this process ends.
HOLDER = r"""
import ctypes, mmap, os, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
SYS_USERFAULTFD, SYS_GETDENTS64 = 323, 217
UFFDIO_API, UFFDIO_REGISTER, MODE_MISSING = 0xc018aa3f, 0xc020aa00, 1
uffd = libc.syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
if uffd < 0:
    print("cannot:", os.strerror(ctypes.get_errno()), flush=True)
    sys.exit()
def ioctl(request, *words):
    data = ctypes.create_string_buffer(struct.pack(f"{len(words)}Q", *words))
    assert libc.ioctl(uffd, ctypes.c_ulong(request), data) == 0, os.strerror(ctypes.get_errno())
ioctl(UFFDIO_API, 0xaa, 0, 0)
page = mmap.mmap(-1, mmap.PAGESIZE)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
ioctl(UFFDIO_REGISTER, address, mmap.PAGESIZE, MODE_MISSING, 0)
directory = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
thread = threading.Thread(target=lambda: libc.syscall(
    SYS_GETDENTS64, directory, ctypes.c_void_p(address), mmap.PAGESIZE), daemon=True)
thread.start()
os.read(uffd, 32)  # the fault: the listing is in it now
print("held", flush=True)
sys.stdin.read()
"""


def hold(guest, path):
    holder = guest.start_python(HOLDER, path)
    assert holder.stdout.readline() == "held\n"
    return holder


def timed(action):
    started = time.monotonic()
    result = action()
    return result, time.monotonic() - started


def load(daemon, guest):
    status, answer = daemon.admin("POST", f"/1.0/instances/{guest.name}/load")
    assert status == 200, answer
    return answer


def two_guests(daemon, new_guest):
    guests = [new_guest("web1"), new_guest("web2")]
    for guest in guests:
        daemon.guest_record(guest, {"user.x": "old"})
        guest.attach_tree(daemon)
        assert guest.run(["cat", "/dev/lxd/config/user.x"]).stdout == "old"
    return guests


def test_held_keys(daemon, new_guest):
    """Changed values go on, for others, for the host, and for the guest itself."""
    guest, other = two_guests(daemon, new_guest)
    hold(guest, "/dev/lxd/config")
    for i in range(5):
        for each in guest, other:
            _, seconds = timed(lambda: daemon.guest_record(each, {"user.x": f"new {i}"}))
            assert seconds < 2
            assert each.run(["cat", "/dev/lxd/config/user.x"], timeout=10).stdout == f"new {i}"


def test_held_directory(daemon, new_guest):
    """What needs the lock is given up on after a second, and said; the next instance does not wait."""
    guest, other = two_guests(daemon, new_guest)
    holder = hold(guest, "/dev/lxd")
    for value in "false", "true", "false":
        daemon.guest_record(guest, {"user.x": "new", "security.devlxd.socket": value})
        answer, seconds = timed(lambda: load(daemon, guest))
        assert seconds < 2
        assert answer["stalled"] == ["web1"]
        _, seconds = timed(lambda: daemon.guest_record(other, {"user.x": value}))
        assert seconds < 2
        assert other.run(["cat", "/dev/lxd/config/user.x"], timeout=10).stdout == value
    assert daemon.admin("GET", "/1.0/status")[1]["tree"]["stalled"] == 1
    holder.stdin.close()
    wait_until(lambda: load(daemon, guest)["stalled"] == [], "the guest to let go")
    assert guest.run(["test", "-e", "/dev/lxd/sock"], check=False).returncode == 1
