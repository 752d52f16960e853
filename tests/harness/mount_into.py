# SPDX-License-Identifier: GPL-2.0-or-later
"""mount_into.py PID SOURCE TARGET: a bind mount of the host's SOURCE at TARGET in the mount
namespace of PID, which need not see SOURCE. TARGET is made when missing,
and what is mounted there goes. A program of its own
because it enters that namespace."""

import ctypes
import os
import sys

AT_FDCWD = -100
SYS_OPEN_TREE, OPEN_TREE_CLONE = 428, 1
SYS_MOVE_MOUNT, MOVE_MOUNT_F_EMPTY_PATH = 429, 4
CLONE_NEWNS = 0x20000
MNT_DETACH = 2

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def main():
    pid, source, target = sys.argv[1:]
    is_dir = os.path.isdir(source)
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    tree = checked(libc.syscall(SYS_OPEN_TREE, AT_FDCWD, source.encode(), OPEN_TREE_CLONE))
    checked(libc.setns(namespace, CLONE_NEWNS))
    libc.umount2(target.encode(), MNT_DETACH)  # fails when nothing is mounted there
    if not os.path.exists(target):
        # As the guest's root: a file system made in a user namespace refuses ids it does not know.
        libc.setfsuid(os.stat(os.path.dirname(target)).st_uid)
        libc.setfsgid(os.stat(os.path.dirname(target)).st_gid)
        os.mkdir(target) if is_dir else os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o666))
        libc.setfsuid(0)
        libc.setfsgid(0)
    checked(libc.syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(),
                         MOVE_MOUNT_F_EMPTY_PATH))


main()
