#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Refusing a connection so that the client sees why
 *
 * One canned answer, then the sending side is shut, then what the client still
 * sends is read and dropped for up to a second: a client that is cut off while
 * it writes never reads the answer. Where the whole of a request without body
 * has arrived the descriptor is closed at once. Each thread has its own list,
 * bounded; the oldest is closed when it is full. No request byte is interpreted beyond that.
 */
#include <stddef.h>
#include <stdint.h>

enum refusal {
	REFUSE_UNKNOWN,  /* 500: no instance could be found */
	REFUSE_NOT_ROOT, /* 401 */
	REFUSE_LIMIT,    /* 429 */
	REFUSE_TROUBLE,  /* 503: our own trouble */
	_REFUSE_N,
};

/* A refused connection that is being drained. */
struct refused {
	int fd;
	uint64_t deadline_us;
	struct refused *prev, *next; /* refuse_list::oldest */
};

/* Of one thread. */
struct refuse_list {
	int epoll_fd; /* borrowed; events carry the struct refused in data.ptr */
	size_t n, max;
	struct refused *oldest;
};

/* Answers and closes @fd (consumed), at once or later. Cannot fail: at worst the client sees a closed connection. */
void refuse_connection(struct refuse_list *l, int fd, enum refusal why);

/* @r became readable; it may be gone afterwards. */
void refuse_event(struct refuse_list *l, struct refused *r);

/*
 * Closes what has been drained for long enough by @now_us. Returns the next deadline, or
 * UINT64_MAX when there is none.
 */
uint64_t refuse_expire(struct refuse_list *l, uint64_t now_us);

/* Closes all. */
void refuse_finish(struct refuse_list *l);
