# SPDX-License-Identifier: GPL-2.0-or-later
"""process_with_pid.py PID CGROUP-DIRECTORY: makes a process with exactly that id, in that cgroup.

Prints "there" when it is, and ends it at the end of its input. Reuse of process ids is a matter of
luck with fork(2); clone3(2) with set_tid lets a test have it every time.
"""

import ctypes
import os
import signal
import sys

SYS_CLONE3 = 435


class CloneArgs(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in (
        "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls",
        "set_tid", "set_tid_size", "cgroup")]


def main():
    wanted, cgroup = int(sys.argv[1]), sys.argv[2]
    tids = (ctypes.c_int32 * 1)(wanted)
    args = CloneArgs(exit_signal=signal.SIGCHLD, set_tid=ctypes.addressof(tids), set_tid_size=1)
    libc = ctypes.CDLL(None, use_errno=True)
    pid = libc.syscall(SYS_CLONE3, ctypes.byref(args), ctypes.c_size_t(ctypes.sizeof(args)))
    if pid < 0:
        sys.exit(f"clone3: {os.strerror(ctypes.get_errno())}")
    if pid == 0:
        os.execv("/usr/bin/cat", ["cat"])  # until the end of input
    with open(os.path.join(cgroup, "cgroup.procs"), "w") as procs:
        procs.write(str(pid))
    print("there", flush=True)
    os.waitpid(pid, 0)


main()
