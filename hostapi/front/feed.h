#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a listener has still to be told: a cursor in a log, the lines read there, and who waits
 *
 * Belongs to one HTTP thread. The hub wakes waiters in a thread of its own; it puts them into the box of
 * theirs, which makes a descriptor of that thread's epoll set readable, and they are taken out there.
 * Lines are read when they can be sent, so that the log is the queue: what is here is bounded by one reading.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "api/reply.h"

/* Of one thread. */
struct feed_box {
	pthread_mutex_t lock;
	int event_fd;       /* readable while @woken is not empty */
	struct feed *woken; /* first woken first */
	size_t n_left; /* feeds that were freed while they could not be taken back from the hub */
};

/* Returns 0 or -errno. */
int feed_box_init(struct feed_box *box);
/* No feed is left but those the hub is about to give back: waits for these. A zeroed one is not allowed, one whose event_fd is -1 is. */
void feed_box_finish(struct feed_box *box);

struct feed;

enum {
	_FEED_E_SUCCESS,
	FEED_E_NOTHING, /* all is told; it will be taken out of the box when there is more */
	FEED_E_LOST,    /* what comes next is lost */
};

/*
 * Takes log and cursor out of *e. With @tells_lost what is lost is told in a line, else it is FEED_E_LOST. @owner is what feed_box_take() returns.
 * NULL = no memory.
 */
struct feed *feed_new(struct feed_box *box, struct reply_events *e, bool tells_lost, void *owner);
/* NULL-safe; always NULL. */
struct feed *feed_free(struct feed *f);

/* The owner of one that was woken, or NULL when there are no more. */
void *feed_box_take(struct feed_box *box);

/*
 * The bytes to be sent next, whole lines but for what feed_consume() has taken; they stay until all are consumed. Returns 0, a FEED_E_* code or
 * -ENOMEM.
 */
int feed_next(struct feed *f, const char **ret, size_t *ret_n);
void feed_consume(struct feed *f, size_t n);
