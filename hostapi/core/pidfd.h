#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel says about the process behind a pidfd
 *
 * The numbers are the kernel's own (include/uapi/linux/pidfd.h), repeated here
 * because the headers of Debian 12 and 13 are older than the calls.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

/* For PIDFD_GET_INFO, 6.13. This is version 0 of it; the kernel takes longer ones, too. */
struct pidfd_info {
	uint64_t mask; /* in: what is wanted; out: what is there */
	uint64_t cgroupid;
	uint32_t pid, tgid, ppid;
	uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code; /* 6.15; before that, padding */
};
#define PIDFD_GET_INFO _IOWR(0xFF, 11, struct pidfd_info)

#define PIDFD_THREAD O_EXCL /* of pidfd_open(), 6.9 */

#define PIDFD_INFO_PID      (UINT64_C(1) << 0) /* always answered while the process is not reaped */
#define PIDFD_INFO_CGROUPID (UINT64_C(1) << 2)
#define PIDFD_INFO_EXIT     (UINT64_C(1) << 3) /* 6.15; answered only when it is reaped */

/*
 * The cgroup2 id of the process; *ret_is_reaped when it is no more, and was in that cgroup when it
 * ended (6.15). Returns 0, -ESRCH when it is reaped and nothing is left, -ENOTTY when this
 * kernel (or a filter) does not do this, or -errno.
 */
int pidfd_cgroup(int pidfd, uint64_t *ret_cgroup_id, bool *ret_is_reaped);

/* pidfd_open(2), 5.3. A descriptor, -ESRCH, -ENOSYS when it is missing or denied, or -errno. */
int pidfd_of_process(pid_t pid);

/*
 * The same for a thread, any of its process, with PIDFD_THREAD (6.9): what is asked of that
 * descriptor is answered for the thread. A descriptor, -ESRCH, -ENOSYS when it is missing or
 * denied, or -errno.
 */
int pidfd_of_thread(pid_t tid);

/*
 * Whether the process has ended, all threads of it, or the thread has. While false, its id is not
 * given to another.
 */
bool pidfd_has_ended(int pidfd);
