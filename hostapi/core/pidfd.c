/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel says about the process behind a pidfd
 *
 * Knows the calls, and which of their errors mean "I do not have this call":
 * a seccomp filter may say EPERM or ENOSYS for it. Nothing is remembered here.
 */
#include "core/pidfd.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/pidfd.h>

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

bool pidfd_has_ended(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) != 0;
}
