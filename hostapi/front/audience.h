#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All who listen to events in one HTTP thread: what they wait for, and how they are found again
 *
 * All waiting is in the thread's epoll set or in lists in order of their deadlines. What is done then is hearer.h's
 * business. Owned by one thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "front/feed.h"

struct api;
struct hearer;

enum audience_timer {
	AUDIENCE_PING,    /* a websocket is pinged again */
	AUDIENCE_UNHEARD, /* a websocket's client has said nothing for too long */
	AUDIENCE_WRITE,   /* a client takes nothing of what is written */
	AUDIENCE_LINGER,  /* a websocket that was closed is not closed by the client */
	_AUDIENCE_TIMER_N,
};

#define AUDIENCE_PING_US    (10 * 1000 * 1000)
#define AUDIENCE_UNHEARD_US (35 * 1000 * 1000)
#define AUDIENCE_WRITE_US   (5 * 1000 * 1000)
#define AUDIENCE_LINGER_US  (1000 * 1000)

/* In a list whose members all wait for the same time, so that it is in order. */
struct audience_deadline {
	struct hearer *hearer; /* NULL: not in it */
	uint64_t at_us;
	struct audience_deadline *prev, *next; /* audience::deadlines */
};

struct audience {
	const struct api *api;
	int epoll_fd; /* borrowed */
	bool is_closing;
	struct feed_box box;
	struct hearer *hearers;
	struct audience_deadline *deadlines[_AUDIENCE_TIMER_N];
};

/* Events of @epoll_fd (borrowed) carry what audience_is_event() tells from others'. Returns 0 or -errno. */
int audience_init(struct audience *a, const struct api *api, int epoll_fd);
/* Nobody listens any more. Allowed for one whose box.event_fd is -1. */
void audience_finish(struct audience *a);

/* Whether the data of an epoll event is one's here: it has the second lowest bit, and not the lowest. */
bool audience_is_event(const void *data);
/* Something happened to a hearer, or some were woken. */
void audience_event(struct audience *a, void *data);

/* Does what is due at @now_us. Returns the next deadline, or UINT64_MAX. */
uint64_t audience_expire(struct audience *a, uint64_t now_us);

/* Whether anything has a deadline. */
bool audience_has_deadlines(const struct audience *a);

/* The daemon stops: all are told so, and nobody listens from now on. */
void audience_close(struct audience *a);
/* Lets go of all connections at once; libmicrohttpd then finds that they end. */
void audience_abort(struct audience *a);

/* Events of the epoll set are @h's if they carry this. */
void *audience_tag(struct hearer *h);

/* Has the timer of @d, which is @h's own, run from now on. */
void audience_start_timer(struct audience *a, enum audience_timer timer, struct hearer *h,
			  struct audience_deadline *d);
/* Allowed for one that does not run. */
void audience_stop_timer(struct audience *a, enum audience_timer timer,
			 struct audience_deadline *d);
