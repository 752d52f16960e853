/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a listener has still to be told
 *
 * A feed is out (with the hub, or in the box) or not, and only its own thread says so: out from when hub_wait() took it
 * until it is taken from the box. One that is freed while it is out and cannot be taken back
 * stays, without an owner, until it comes out of the box.
 */
#include "front/feed.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "core/event.h"
#include "core/hub.h"
#include "core/lock.h"

struct feed {
	struct feed_box *box;
	void *owner; /* NULL: freed */
	struct hub_log *log;
	struct eventlog_cursor cursor;
	unsigned types;
	bool tells_lost;
	bool is_out;
	char *bytes; /* lines that were read; NULL: none */
	size_t len, n_consumed;
	struct hub_waiter waiter;
	struct feed *prev, *next; /* feed_box::woken */
};

int feed_box_init(struct feed_box *box)
{
	*box = (struct feed_box){.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (box->event_fd < 0)
		return -errno;
	pthread_mutex_init(&box->lock, NULL);
	return 0;
}

static void wake(struct hub_waiter *w)
{
	struct feed *f = (struct feed *)((char *)w - offsetof(struct feed, waiter));
	struct feed_box *box = f->box;
	LOCK_HOLD(&box->lock);

	/* Under the lock, so that nobody who saw it in the box has closed the descriptor. */
	if (!box->woken)
		eventfd_write(box->event_fd, 1);
	DL_APPEND(box->woken, f);
}

/* The first in the box, or NULL; the descriptor is readable no more when there is no other. */
static struct feed *take(struct feed_box *box)
{
	LOCK_HOLD(&box->lock);
	struct feed *f = box->woken;
	eventfd_t n;

	if (!f)
		return NULL;
	DL_DELETE(box->woken, f);
	if (!box->woken)
		eventfd_read(box->event_fd, &n);
	return f;
}

static void destroy(struct feed *f)
{
	hub_log_unref(f->log);
	free(f->bytes);
	free(f);
}

void *feed_box_take(struct feed_box *box)
{
	struct feed *f;

	while ((f = take(box))) {
		f->is_out = false;
		if (f->owner)
			return f->owner;
		box->n_left--;
		destroy(f);
	}
	return NULL;
}

void feed_box_finish(struct feed_box *box)
{
	struct pollfd readable = {.fd = box->event_fd, .events = POLLIN};

	if (box->event_fd < 0)
		return;
	while (box->n_left > 0) {
		poll(&readable, 1, -1);
		feed_box_take(box);
	}
	assert(!box->woken);
	pthread_mutex_destroy(&box->lock);
	close(steal_fd(&box->event_fd));
}

struct feed *feed_new(struct feed_box *box, struct reply_events *e, bool tells_lost, void *owner)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->box = box;
	f->owner = owner;
	f->log = steal_ptr(&e->log);
	f->cursor = e->cursor;
	f->types = e->types;
	f->tells_lost = tells_lost;
	f->waiter.wake = wake;
	return f;
}

struct feed *feed_free(struct feed *f)
{
	if (!f)
		return NULL;
	if (f->is_out && !hub_cancel(f->log, &f->waiter)) {
		f->owner = NULL;
		f->box->n_left++;
		return NULL;
	}
	destroy(f);
	return NULL;
}

/* A line about what was lost, and the cursor behind that. Returns 0 or -ENOMEM. */
static int tell_lost(struct feed *f)
{
	_cleanup_(buf_finish) struct buf line = {0};
	struct eventlog_cursor cursor = f->cursor;
	int r = event_put_lost(&line, hub_skip_lost(f->log, &cursor));

	if (r < 0)
		return r;
	f->cursor = cursor;
	f->bytes = buf_steal(&line, &f->len);
	return f->bytes ? 0 : -ENOMEM;
}

/* Reads more lines. Returns 0 with bytes, FEED_E_NOTHING, FEED_E_LOST or -ENOMEM. */
static int fill(struct feed *f)
{
	size_t size = hub_line_max(f->log);
	_cleanup_(freep) char *bytes = malloc(size);
	ssize_t n;

	if (!bytes)
		return -ENOMEM;
	for (;;) {
		n = hub_read(f->log, &f->cursor, f->types, bytes, size);
		if (n == -ENODATA)
			return f->tells_lost ? tell_lost(f) : FEED_E_LOST;
		if (n < 0)
			return (int)n;
		if (n > 0)
			break;
		if (hub_wait(f->log, f->cursor.at, &f->waiter)) {
			f->is_out = true;
			return FEED_E_NOTHING;
		}
	}
	f->bytes = steal_ptr(&bytes);
	f->len = (size_t)n;
	return 0;
}

int feed_next(struct feed *f, const char **ret, size_t *ret_n)
{
	int r;

	if (f->is_out)
		return FEED_E_NOTHING;
	if (!f->bytes) {
		r = fill(f);
		if (r != 0)
			return r;
	}
	*ret = f->bytes + f->n_consumed;
	*ret_n = f->len - f->n_consumed;
	return 0;
}

void feed_consume(struct feed *f, size_t n)
{
	assert(f->bytes && n <= f->len - f->n_consumed);
	f->n_consumed += n;
	if (f->n_consumed < f->len)
		return;
	free(f->bytes);
	f->bytes = NULL;
	f->len = f->n_consumed = 0;
}
