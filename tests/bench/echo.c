/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * echo SOCKET < REPLY: the yardstick of the benchmark
 *
 * One thread and one epoll descriptor; answers whatever is asked with the bytes
 * of standard input. It parses nothing and knows nobody: no HTTP server on a
 * unix socket can be much faster. It trusts its client to send a request in one
 * write, as `load` does.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/sock.h"

struct reply {
	char bytes[64 << 10];
	size_t n;
};

static int watch(int epoll_fd, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void welcome(int epoll_fd, int listen_fd)
{
	_cleanup_(closep) int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0 && watch(epoll_fd, fd) == 0)
		steal_fd(&fd); /* closed by answer() */
}

static void answer(int fd, const struct reply *reply)
{
	char request[4096];
	ssize_t n = read(fd, request, sizeof(request) - 1);

	if (n > 0) {
		request[n] = '\0';
		if (write(fd, reply->bytes, reply->n) == (ssize_t)reply->n &&
		    !strstr(request, "Connection: close"))
			return;
	}
	close(fd);
}

int main(int argc, char **argv)
{
	static struct reply reply;
	struct epoll_event events[64];
	int listen_fd = argc == 2 ? sock_bind(argv[1], 0666) : -1;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	reply.n = fread(reply.bytes, 1, sizeof(reply.bytes), stdin);
	if (listen_fd < 0 || !reply.n || sock_listen(listen_fd, SOMAXCONN) < 0 ||
	    watch(epoll_fd, listen_fd) < 0) {
		fprintf(stderr, "usage: echo SOCKET < REPLY\n");
		return 2;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, ARRAY_SIZE(events), -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listen_fd)
				welcome(epoll_fd, listen_fd);
			else
				answer(events[i].data.fd, &reply);
		}
	}
}
