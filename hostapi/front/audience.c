/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All who listen to events in one HTTP thread
 *
 * No hearer is freed while one of these functions runs, so that lists can be walked while hearers end.
 */
#include "front/audience.h"

#include <errno.h>
#include <sys/epoll.h>
#include <utlist.h>

#include "base/sock.h"
#include "front/hearer.h"

#define TAG ((uintptr_t)2) /* in addresses, which are even more than that */
/* Woken ones that are seen to in one pass of the loop. */
#define WOKEN_A_TURN 64

static const uint64_t delays_us[_AUDIENCE_TIMER_N] = {
	[AUDIENCE_PING] = AUDIENCE_PING_US,
	[AUDIENCE_UNHEARD] = AUDIENCE_UNHEARD_US,
	[AUDIENCE_WRITE] = AUDIENCE_WRITE_US,
	[AUDIENCE_LINGER] = AUDIENCE_LINGER_US,
};

static void *tag_of(void *p)
{
	return (void *)((uintptr_t)p | TAG);
}

void *audience_tag(struct hearer *h)
{
	return tag_of(h);
}

int audience_init(struct audience *a, const struct api *api, int epoll_fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag_of(a)};
	int r;

	*a = (struct audience){.api = api, .epoll_fd = epoll_fd, .box.event_fd = -1};
	r = feed_box_init(&a->box);
	if (r < 0)
		return r;
	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, a->box.event_fd, &event) < 0 ? -errno : 0;
}

void audience_finish(struct audience *a)
{
	feed_box_finish(&a->box);
}

void audience_stop_timer(struct audience *a, enum audience_timer timer, struct audience_deadline *d)
{
	if (d->hearer)
		DL_DELETE(a->deadlines[timer], d);
	d->hearer = NULL;
}

void audience_start_timer(struct audience *a, enum audience_timer timer, struct hearer *h,
			  struct audience_deadline *d)
{
	audience_stop_timer(a, timer, d);
	d->hearer = h;
	d->at_us = now_us() + delays_us[timer];
	DL_APPEND(a->deadlines[timer], d);
}

bool audience_is_event(const void *data)
{
	return ((uintptr_t)data & (TAG | 1)) == TAG;
}

static void wake_some(struct audience *a)
{
	for (int i = 0; i < WOKEN_A_TURN; i++) {
		struct hearer *h = feed_box_take(&a->box);

		if (!h)
			return;
		hearer_wake(h);
	}
}

void audience_event(struct audience *a, void *data)
{
	void *p = (void *)((uintptr_t)data & ~TAG);

	if (p == a)
		wake_some(a);
	else
		hearer_event(p);
}

uint64_t audience_expire(struct audience *a, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (enum audience_timer t = 0; t < _AUDIENCE_TIMER_N; t++) {
		while (a->deadlines[t] && a->deadlines[t]->at_us <= now)
			hearer_expire(a->deadlines[t]->hearer, t);
		if (a->deadlines[t] && a->deadlines[t]->at_us < next)
			next = a->deadlines[t]->at_us;
	}
	return next;
}

bool audience_has_deadlines(const struct audience *a)
{
	for (enum audience_timer t = 0; t < _AUDIENCE_TIMER_N; t++)
		if (a->deadlines[t])
			return true;
	return false;
}

void audience_close(struct audience *a)
{
	struct hearer *h;

	a->is_closing = true;
	DL_FOREACH (a->hearers, h)
		hearer_wake(h);
}

void audience_abort(struct audience *a)
{
	struct hearer *h;

	DL_FOREACH (a->hearers, h)
		hearer_end(h);
}
