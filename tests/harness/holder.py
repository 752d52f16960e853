# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that holds the lock of its own directory."""

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
    """Until the standard input of what this returns is closed, or the guest ends."""
    holder = guest.start_python(HOLDER, path)
    assert holder.stdout.readline() == "held\n"
    return holder
