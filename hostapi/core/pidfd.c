/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel says about the process behind a pidfd
 *
 * Knows the calls, and which of their errors mean "I do not have this call":
 * a seccomp filter may say EPERM or ENOSYS for it. Nothing is remembered here.
 */
#include "core/pidfd.h"

#include <assert.h>
#include <poll.h>
#include <sys/pidfd.h>

#include "base/cleanup.h"

static_assert(sizeof(struct pidfd_info) == 64, "the size is part of the request's number");

int pidfd_cgroup(int pidfd, uint64_t *ret_cgroup_id, bool *ret_is_reaped)
{
	struct pidfd_info info = {.mask = PIDFD_INFO_CGROUPID | PIDFD_INFO_EXIT};

	if (ioctl(pidfd, PIDFD_GET_INFO, &info) < 0) {
		/* EINVAL: 6.11 and 6.12, which have ioctls on a pidfd, but not this one. */
		if (errno == EINVAL || errno == ENOSYS || errno == EPERM)
			return -ENOTTY;
		return -errno;
	}
	if (!(info.mask & PIDFD_INFO_CGROUPID))
		return -ENOTTY;
	*ret_cgroup_id = info.cgroupid;
	*ret_is_reaped = info.mask & PIDFD_INFO_EXIT;
	return 0;
}

int pidfd_of_process(pid_t pid)
{
	int fd = pidfd_open(pid, 0);

	if (fd >= 0)
		return fd;
	if (errno == EPERM)
		return -ENOSYS;
	/* Not the id of a process, but of one of its later threads. */
	if (errno == EINVAL || errno == ENOENT)
		return -ESRCH;
	return -errno;
}

/* Whether this kernel knows PIDFD_THREAD; also when it cannot be found out now. */
static bool has_thread_flag(void)
{
	_cleanup_(closep) int self = pidfd_open(getpid(), PIDFD_THREAD);

	return self >= 0 || errno != EINVAL;
}

int pidfd_of_thread(pid_t tid)
{
	int fd = pidfd_open(tid, PIDFD_THREAD);

	if (fd >= 0)
		return fd;
	if (errno == EPERM)
		return -ENOSYS;
	/* Before 6.15 also for the id of a thread that ended and left it to a process group. */
	if (errno == EINVAL)
		return has_thread_flag() ? -ESRCH : -ENOSYS;
	return -errno;
}

bool pidfd_has_ended(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) != 0;
}
