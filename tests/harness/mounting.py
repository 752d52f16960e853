# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts of this process alone, and mounts made in the mount namespace of another one."""

import concurrent.futures
import ctypes
import os

AT_FDCWD = -100
SYS_OPEN_TREE, OPEN_TREE_CLONE = 428, 1
SYS_MOVE_MOUNT, MOVE_MOUNT_F_EMPTY_PATH = 429, 4
CLONE_FS, CLONE_NEWNS = 0x200, 0x20000
MNT_DETACH = 2
MS_REC, MS_PRIVATE = 0x4000, 0x40000
IS_PRIVATE = "DEVLXDFS_PRIVATE_MOUNTS"  # in the environment of who has come through make_private()

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def make_private():
    """What this process and its children mount from now on is seen nowhere else, and goes with them."""
    checked(libc.unshare(CLONE_NEWNS))
    checked(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    os.environ[IS_PRIVATE] = "1"


def are_private():
    return os.environ.get(IS_PRIVATE) == "1"


def mount_here(pid, source, target):
    """mount_into() of a thread that has that namespace for good afterwards."""
    is_dir = os.path.isdir(source)
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    tree = checked(libc.syscall(SYS_OPEN_TREE, AT_FDCWD, source.encode(), OPEN_TREE_CLONE))
    try:
        checked(libc.unshare(CLONE_FS))
        checked(libc.setns(namespace, CLONE_NEWNS))
        libc.umount2(target.encode(), MNT_DETACH)  # fails when nothing is mounted there
        if not os.path.exists(target):
            # As the guest's root: a file system made in a user namespace refuses ids it does not know.
            libc.setfsuid(os.stat(os.path.dirname(target)).st_uid)
            libc.setfsgid(os.stat(os.path.dirname(target)).st_gid)
            os.mkdir(target) if is_dir else \
                os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o666))
            libc.setfsuid(0)
            libc.setfsgid(0)
        checked(libc.syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(),
                             MOVE_MOUNT_F_EMPTY_PATH))
    finally:
        os.close(namespace)
        os.close(tree)


def mount_into(pid, source, target):
    """
    A bind mount of the host's source at target in the mount namespace of pid, which need not see
    source. The target is made when missing, and what is mounted there goes.
    """
    # A thread has a namespace of its own for less than a process costs.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        thread.submit(mount_here, pid, source, target).result()
