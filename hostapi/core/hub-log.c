/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub: one log, and who listens to it
 */
#include "core/hub.h"

#include <assert.h>
#include <time.h>
#include <utlist.h>

#include "core/hub-private.h"
#include "core/lock.h"

/* Waiters of one log that are woken before others have their turn. */
#define TURN 64

static bool is_host_log(const struct hub_log *l)
{
	return !l->name;
}

/* Has its waiters woken; its lock is held. */
void hub_log_wake(struct hub_log *l)
{
	struct hub *h = l->hub;

	if (!l->waiters)
		return;
	LOCK_HOLD(&h->queue_lock);
	if (l->is_queued)
		return;
	l->is_queued = true;
	l->refs++;
	DL_APPEND(h->queue, l);
	pthread_cond_signal(&h->queue_cond);
}

/* Takes as many waiters as have their turn. */
struct hub_waiter *hub_log_take(struct hub_log *l)
{
	LOCK_HOLD(&l->lock);
	struct hub_waiter *taken = NULL;

	for (size_t i = 0; i < TURN && l->waiters; i++) {
		struct hub_waiter *w = l->waiters;

		DL_DELETE(l->waiters, w);
		w->log = NULL;
		DL_APPEND(taken, w);
		l->hub->n_waiters--;
	}
	hub_log_wake(l);
	return taken;
}

struct hub_log *hub_log_new(struct hub *h, const char *name, struct eventlog_slot *slot)
{
	struct hub_log *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->name = strdup(name);
	if (!l->name) {
		free(l);
		return NULL;
	}
	l->refs = 1;
	l->hub = h;
	l->slot = slot;
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

struct hub_log *hub_log_ref(struct hub_log *l)
{
	l->refs++;
	return l;
}

struct hub_log *hub_log_unref(struct hub_log *l)
{
	if (!l)
		return NULL;
	if (is_host_log(l)) {
		LOCK_HOLD(&l->lock);

		if (--l->refs == 0)
			l->slot = eventlog_slot_free(l->slot);
		return NULL;
	}
	if (--l->refs > 0)
		return NULL;
	pthread_mutex_destroy(&l->lock);
	free(l->name);
	free(l);
	return NULL;
}

/* Whether nobody would miss what is old: its lock is held. */
static bool is_quiet(const struct hub_log *l)
{
	return !is_host_log(l) && !l->waiters && eventlog_n_readers(l->slot) == 0;
}

void hub_log_append(struct hub_log *l, const char *line, size_t n)
{
	eventlog_append(l->slot, line, n, is_quiet(l));
	hub_log_wake(l);
}

/* The file is never empty, which some who read it could not cope with. */
void hub_log_begin(struct hub_log *l)
{
	struct event_options o = {0};
	_cleanup_(buf_finish) struct buf line = {0};

	clock_gettime(CLOCK_REALTIME, &o.time);
	if (event_put_lifecycle(&line, LIFECYCLE_LOG_STARTED, l->name, NULL, &o) == 0)
		hub_log_append(l, line.data, line.len);
}

void hub_end(struct hub_log *l, struct eventlog_cursor *ret)
{
	LOCK_HOLD(&l->lock);

	*ret = eventlog_end(l->slot);
}

size_t hub_line_max(const struct hub_log *l)
{
	return eventlog_line_max(l->slot);
}

ssize_t hub_read(struct hub_log *l, struct eventlog_cursor *cursor, unsigned types, char *bytes,
		 size_t size)
{
	LOCK_HOLD(&l->lock);
	const struct eventlog_slot *s = l->slot;
	size_t done = 0;

	if (cursor->at < eventlog_begin(s).at)
		return -ENODATA;
	while (cursor->at < eventlog_end(s).at) {
		size_t n = eventlog_line_at(s, cursor->at);

		if (n > size - done)
			break;
		(void)eventlog_copy(s, cursor->at, bytes + done, n);
		if (event_is_of(bytes + done, n, types))
			done += n;
		cursor->at += n;
		cursor->n++;
	}
	return (ssize_t)done;
}

uint64_t hub_skip_lost(struct hub_log *l, struct eventlog_cursor *cursor)
{
	LOCK_HOLD(&l->lock);
	struct eventlog_cursor begin = eventlog_begin(l->slot);
	uint64_t n = begin.n - cursor->n;

	*cursor = begin;
	return n;
}

bool hub_wait(struct hub_log *l, uint64_t at, struct hub_waiter *w)
{
	LOCK_HOLD(&l->lock);

	if (eventlog_end(l->slot).at > at)
		return false;
	assert(!w->log);
	w->log = l;
	DL_APPEND(l->waiters, w);
	l->hub->n_waiters++;
	return true;
}

bool hub_cancel(struct hub_log *l, struct hub_waiter *w)
{
	LOCK_HOLD(&l->lock);

	if (!w->log)
		return false;
	DL_DELETE(l->waiters, w);
	w->log = NULL;
	l->hub->n_waiters--;
	return true;
}

int hub_open(struct hub_log *l, uint64_t *ret_id)
{
	LOCK_HOLD(&l->lock);
	const struct eventlog_reader *r = eventlog_open(l->slot);

	if (!r)
		return -ENFILE;
	*ret_id = r->id;
	return 0;
}

void hub_close(struct hub_log *l, uint64_t id)
{
	LOCK_HOLD(&l->lock);
	struct eventlog_reader *r = eventlog_reader(l->slot, id);

	if (r)
		eventlog_close(l->slot, r);
}

ssize_t hub_read_file(struct hub_log *l, uint64_t id, uint64_t offset, char *bytes, size_t size,
		      uint64_t *ret_at)
{
	LOCK_HOLD(&l->lock);
	struct eventlog_reader *r = eventlog_reader(l->slot, id);

	if (!r)
		return -EBADF;
	*ret_at = eventlog_position(r, offset);
	return (ssize_t)eventlog_read(l->slot, r, offset, bytes, size);
}

int hub_seek_end(struct hub_log *l, uint64_t id)
{
	LOCK_HOLD(&l->lock);
	struct eventlog_reader *r = eventlog_reader(l->slot, id);

	if (!r)
		return -EBADF;
	eventlog_seek_end(l->slot, r);
	return 0;
}

int hub_reader(struct hub_log *l, uint64_t id, bool *ret_has_more, uint64_t *ret_at,
	       bool *ret_has_seen_end)
{
	LOCK_HOLD(&l->lock);
	const struct eventlog_reader *r = eventlog_reader(l->slot, id);

	if (!r)
		return -EBADF;
	if (ret_has_more)
		*ret_has_more = eventlog_has_more(l->slot, r);
	if (ret_at)
		*ret_at = eventlog_position(r, r->next);
	if (ret_has_seen_end)
		*ret_has_seen_end = r->has_seen_end;
	return 0;
}

void hub_file(struct hub_log *l, uint64_t *ret_base, uint64_t *ret_end, int64_t *ret_changed_ns)
{
	LOCK_HOLD(&l->lock);

	*ret_base = eventlog_base(l->slot);
	*ret_end = eventlog_end(l->slot).at;
	if (ret_changed_ns)
		*ret_changed_ns = eventlog_changed_ns(l->slot);
}
