#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One who listens to events
 *
 * A hearer is told the lines of a log as they come, as a websocket or as a reply that goes on, until it goes
 * away, does not keep up, or may not listen any more; that is asked before each line. It holds no line but
 * the ones it is being sent.
 *
 * Belongs to a request of libmicrohttpd's (conn.h), which knows when that ends, and is in the audience of its thread.
 */
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "front/audience.h"

struct account;
struct caller;
struct feed;
struct reply_events;
struct websocket;

struct hearer {
	struct audience *audience;
	struct caller *caller;
	struct account *account; /* charged with a listener; NULL: not (any more) */
	struct feed *feed;
	struct MHD_Connection *mhd;
	int fd;
	bool is_watched; /* the descriptor is in the epoll set */
	bool is_over;    /* the connection was let go of, or is gone */
	bool is_suspended;
	struct audience_deadline deadlines[_AUDIENCE_TIMER_N];

	struct websocket *websocket; /* NULL: a reply that goes on */
	struct MHD_UpgradeResponseHandle *handle;
	uint32_t events;            /* watched for */
	size_t n_sending;           /* bytes of the feed that are on their way */
	uint64_t n_written;         /* when the deadline for writing was set */
	struct hearer *prev, *next; /* audience::hearers */
};

/*
 * A hearer of what *e says, of which log and account are taken. @caller, whose instance may be NULL, and the connection outlive it.
 * NULL = no memory.
 */
struct hearer *hearer_new(struct audience *a, struct reply_events *e, struct caller *caller,
			  struct MHD_Connection *mhd, int fd);
/* NULL-safe; always NULL. */
struct hearer *hearer_free(struct hearer *h);

/* MHD_ContentReaderCallback of a reply that goes on; @ctx is the hearer. */
ssize_t hearer_give(void *ctx, uint64_t position, char *bytes, size_t max);

/* MHD_UpgradeHandler: the connection is a websocket from now on; @ctx is the hearer. */
void hearer_upgrade(void *ctx, struct MHD_Connection *mhd, void *request, const char *extra,
		    size_t n_extra, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle);

/* There may be something to be told, or it is to be told that the daemon stops. */
void hearer_wake(struct hearer *h);
/* Something happened on its connection. */
void hearer_event(struct hearer *h);
/* Its timer is due. */
void hearer_expire(struct hearer *h, enum audience_timer timer);
/* Lets go of its connection; it is freed with its request. */
void hearer_end(struct hearer *h);
