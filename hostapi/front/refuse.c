/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Refusing a connection so that the client sees why
 *
 * One guest may open connections as fast as it can, so the usual refusal is
 * four system calls and no allocation: send, shutdown, recv, close.
 */
#include "front/refuse.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/sock.h"

#define DRAIN_US     (1000 * 1000)
#define READS_A_TURN 8
#define ANSWER_HEADER                                                                              \
	"Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"                         \
	"X-Content-Type-Options: nosniff\r\n"

/* The lengths are literal because the answers are; a unit test counts them. */
static const struct answer {
	const char *text;
	size_t length;
} answers[_REFUSE_N] = {
#define ANSWER(t)                                                                                  \
	{                                                                                          \
		t, sizeof(t) - 1                                                                   \
	}
	[REFUSE_UNKNOWN] = ANSWER("HTTP/1.1 500 Internal Server Error\r\n" ANSWER_HEADER
				  "Content-Length: 34\r\n\r\n"
				  "Process ID not found in container\n"),
	[REFUSE_NOT_ROOT] =
		ANSWER("HTTP/1.1 401 Unauthorized\r\n" ANSWER_HEADER "Content-Length: 32\r\n\r\n"
		       "Access denied for non-root user\n"),
	[REFUSE_LIMIT] = ANSWER("HTTP/1.1 429 Too Many Requests\r\n" ANSWER_HEADER
				"Retry-After: 1\r\nContent-Length: 21\r\n\r\n"
				"Too many connections\n"),
	[REFUSE_TROUBLE] = ANSWER("HTTP/1.1 503 Service Unavailable\r\n" ANSWER_HEADER
				  "Retry-After: 1\r\nContent-Length: 20\r\n\r\n"
				  "Service Unavailable\n"),
};

/*
 * Whether the client has nothing more to say: it closed its side, or a GET or
 * HEAD has arrived whole. Otherwise there may be more to drain.
 */
static bool is_finished(int fd)
{
	char bytes[2048];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n <= 0)
		return n == 0 || (errno != EAGAIN && errno != EINTR);
	return n > 5 && (size_t)n < sizeof(bytes) && (bytes[0] == 'G' || bytes[0] == 'H') &&
	       memcmp(bytes + n - 4, "\r\n\r\n", 4) == 0;
}

static void drop(struct refuse_list *l, struct refused *r)
{
	DL_DELETE(l->oldest, r);
	l->n--;
	close(r->fd);
	free(r);
}

void refuse_connection(struct refuse_list *l, int fd_consumed, enum refusal why)
{
	_cleanup_(closep) int fd = fd_consumed;
	const struct answer *a = &answers[why];
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
	_cleanup_(freep) struct refused *r = NULL;

	if (send(fd, a->text, a->length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)a->length)
		return;
	shutdown(fd, SHUT_WR);
	if (is_finished(fd))
		return;

	r = calloc(1, sizeof(*r));
	if (!r)
		return;
	event.data.ptr = r;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return;
	if (l->n >= l->max)
		drop(l, l->oldest);
	r->fd = steal_fd(&fd);
	r->deadline_us = now_us() + DRAIN_US;
	DL_APPEND(l->oldest, r);
	l->n++;
	steal_ptr(&r); /* the list owns it */
}

void refuse_event(struct refuse_list *l, struct refused *r)
{
	char bytes[8192];

	/* Bounded: a client that writes for ever has its second and no more of our time than others. */
	for (int i = 0; i < READS_A_TURN; i++) {
		ssize_t n = recv(r->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (n > 0)
			continue;
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			drop(l, r);
		return;
	}
}

uint64_t refuse_expire(struct refuse_list *l, uint64_t now)
{
	while (l->oldest && l->oldest->deadline_us <= now)
		drop(l, l->oldest);
	return l->oldest ? l->oldest->deadline_us : UINT64_MAX;
}

void refuse_finish(struct refuse_list *l)
{
	while (l->oldest)
		drop(l, l->oldest);
}
