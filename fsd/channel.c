/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the keeper, its worker and its helper
 */
#include "channel.h"

#include <sys/socket.h>

#include "base/cleanup.h"

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

int channel_send(int channel_fd, struct channel_message m, int fd)
{
	union control control = {0};
	struct iovec iov = {&m, sizeof(m)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.space);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	return sendmsg(channel_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int receive(int channel_fd, int flags, struct channel_message *ret, int *ret_fd)
{
	union control control = {0};
	struct channel_message m;
	struct iovec iov = {&m, sizeof(m)};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 /* Not the space: there is room for a second one in the padding. */
				 .msg_controllen = CMSG_LEN(sizeof(int))};
	_cleanup_(closep) int fd = -1;
	ssize_t n = recvmsg(channel_fd, &message, flags | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	if (message.msg_controllen >= CMSG_LEN(sizeof(fd)) && control.head.cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	if (n != sizeof(m) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
	    m.type >= _CHANNEL_N)
		return -EPROTO;
	*ret = m;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int channel_receive(int channel_fd, struct channel_message *ret, int *ret_fd)
{
	return receive(channel_fd, MSG_DONTWAIT, ret, ret_fd);
}

int channel_wait(int channel_fd, struct channel_message *ret, int *ret_fd)
{
	int r;

	do
		r = receive(channel_fd, 0, ret, ret_fd);
	while (r == -EINTR);
	return r;
}
