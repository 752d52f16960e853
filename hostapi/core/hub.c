/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub: where events are published, and whoever listens waits
 *
 * Who publishes appends and puts the log in the queue of the thread "events", which takes a few waiters of each log in turn.
 */
#include "core/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

#include "core/diff.h"
#include "core/instance.h"
#include "core/hub-private.h"
#include "core/published.h"
#include "core/lock.h"
#include "core/snapshot.h"

/* Of the host's logs: it may be told of ten thousand instances at once. */
#define HOST_WINDOW (16 * 1024 * 1024)

static struct hub_log *take_queued(struct hub *h)
{
	LOCK_HOLD(&h->queue_lock);
	struct hub_log *l;

	while (!h->queue && !h->is_stopping)
		pthread_cond_wait(&h->queue_cond, &h->queue_lock);
	if (h->is_stopping)
		return NULL;
	l = h->queue;
	DL_DELETE(h->queue, l);
	l->is_queued = false;
	return l;
}

static void *wake_all(void *arg)
{
	struct hub *h = arg;
	struct hub_log *l;

	pthread_setname_np(pthread_self(), "events");
	while ((l = take_queued(h))) {
		struct hub_waiter *w = hub_log_take(l), *next;

		for (; w; w = next) {
			next = w->next;
			w->wake(w); /* it may be gone then */
		}
		hub_log_unref(l);
	}
	return NULL;
}

/* With the hub's lock: adds the log to those there are. False = no memory. */
static bool add_log(struct hub *h, struct hub_log *l)
{
	HASH_ADD_KEYPTR(hh, h->logs, l->name, strlen(l->name), l);
	return l->hh.tbl != NULL;
}

struct hub_log *hub_log_find(struct hub *h, const char *name)
{
	LOCK_HOLD_SHARED(&h->lock);
	struct hub_log *l;

	HASH_FIND_STR(h->logs, name, l);
	if (l)
		l->refs++;
	return l;
}

static struct event_options options_now(void)
{
	struct event_options o = {0};

	clock_gettime(CLOCK_REALTIME, &o.time);
	return o;
}

static int make_log(struct hub *h, const char *name, struct hub_log **ret)
{
	LOCK_HOLD_ALONE(&h->lock);
	struct eventlog_slot *slot;
	struct hub_log *l;
	int r;

	HASH_FIND_STR(h->logs, name, l);
	if (l) {
		l->refs++;
		*ret = l;
		return 0;
	}
	r = eventlog_add(h->memory, name, &slot);
	if (r < 0)
		return r;
	l = hub_log_new(h, name, slot);
	if (!l || !add_log(h, l)) {
		eventlog_remove(h->memory, slot);
		hub_log_unref(l);
		return -ENOMEM;
	}
	hub_log_begin(l);
	l->refs++;
	*ret = l;
	return 0;
}

static int log_named(struct hub *h, const char *name, struct hub_log **ret)
{
	struct hub_log *l = hub_log_find(h, name);

	if (!l)
		return make_log(h, name, ret);
	*ret = l;
	return 0;
}

int hub_log_of(struct hub *h, struct instance *i, struct hub_log **ret)
{
	return log_named(h, instance_name(i), ret);
}

struct hub_log *hub_host_log(struct hub *h, bool with_values)
{
	struct hub_log *l = &h->host[with_values];
	LOCK_HOLD(&l->lock);

	if (!l->slot)
		l->slot = eventlog_slot_new(HOST_WINDOW);
	if (!l->slot)
		return NULL;
	l->refs++;
	return l;
}

/* Appends the event, without values if it is too large with them. Returns 0 or -ENOMEM. */
static int put_change(const struct eventlog_slot *s, struct buf *lines, const struct change *c,
		      struct event_options o)
{
	size_t before = lines->len;
	int r;

	/* JSON is no shorter than what is in it. */
	o.is_truncated = c->old_len + c->new_len >= eventlog_line_max(s);
	r = event_put_change(lines, c, &o);
	if (r < 0 || lines->len - before <= eventlog_line_max(s))
		return r;
	o.is_truncated = true;
	lines->len = before;
	return event_put_change(lines, c, &o);
}

static void publish_change(struct hub_log *l, const struct change *c, const struct event_options *o)
{
	_cleanup_(buf_finish) struct buf line = {0};
	LOCK_HOLD(&l->lock);
	int r;

	if (!l->slot)
		return;
	r = put_change(l->slot, &line, c, *o);
	if (r == 0)
		hub_log_append(l, line.data, line.len);
	else
		log_limited(&l->hub->trouble_log, LOG_EVENT_NONE, l->name,
			    "no memory to tell of a change, who listens does not hear of it%s", "");
}

/* To the host, if it listens. */
static void publish_to_host(struct hub *h, const struct change *c, const char *name,
			    struct event_options o)
{
	for (size_t i = 0; i < ARRAY_SIZE(h->host); i++) {
		o.instance = name;
		o.without_values = !h->host[i].with_values;
		publish_change(&h->host[i], c, &o);
	}
}

void hub_lifecycle(struct hub *h, enum lifecycle action, const char *name, const char *reason)
{
	struct event_options o = options_now();

	for (size_t i = 0; i < ARRAY_SIZE(h->host); i++) {
		struct hub_log *l = &h->host[i];
		_cleanup_(buf_finish) struct buf line = {0};
		LOCK_HOLD(&l->lock);

		o.instance = name;
		if (l->slot && event_put_lifecycle(&line, action, name, reason, &o) == 0)
			hub_log_append(l, line.data, line.len);
	}
}

static void kick(struct hub_log *l)
{
	LOCK_HOLD(&l->lock);

	hub_log_wake(l);
}

void hub_kick(struct hub *h, struct instance *i)
{
	_cleanup_(hub_log_unrefp) struct hub_log *l = hub_log_find(h, instance_name(i));

	if (l)
		kick(l);
}

void hub_log_forget(struct hub_log *l)
{
	struct hub *h = l->hub;
	LOCK_HOLD_ALONE(&h->lock);
	LOCK_HOLD(&l->lock);

	if (l->refs == 2 && eventlog_n_readers(l->slot) == 0) {
		HASH_DEL(h->logs,
			 l); /* NOLINT(clang-analyzer-core.NullDereference): it is in there */
		eventlog_remove(h->memory, l->slot);
		l->slot = NULL;
		l->refs--;
		return;
	}
	eventlog_clear(l->slot);
	hub_log_begin(l);
	hub_log_wake(l);
}

/* Whether the guest may hear of a change between the two: nothing was, or is, kept from it. */
static bool is_told(const struct diff *d)
{
	return d->old_snapshot && d->new_snapshot && snapshot_devlxd_is_on(d->old_snapshot) &&
	       snapshot_devlxd_is_on(d->new_snapshot);
}

static size_t count_for_guest(const struct diff *d)
{
	size_t n = 0;

	for (size_t i = 0; is_told(d) && i < d->n_changes; i++)
		n += event_is_for_guest(&d->changes[i]);
	return n;
}

ssize_t hub_log_lines(const struct hub_log *l, const struct diff *d, const struct timespec *time,
		      struct buf *lines)
{
	const struct event_options o = {.time = *time};
	size_t n = count_for_guest(d);

	for (size_t i = 0; n > 0 && i < d->n_changes; i++)
		if (event_is_for_guest(&d->changes[i]) &&
		    put_change(l->slot, lines, &d->changes[i], o) < 0)
			return -ENOMEM;
	return (ssize_t)n;
}

void hub_log_append_lines(struct hub_log *l, const struct buf *lines, uint64_t n_skipped)
{
	LOCK_HOLD(&l->lock);
	const char *at = lines->data, *end = at + lines->len;

	for (uint64_t i = 0; at < end; i++) {
		const char *next = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;

		if (i >= n_skipped)
			hub_log_append(l, at, (size_t)(next - at));
		at = next;
	}
}

/* Commits that it is published to the guest. Returns how many lines that takes; *ret_l gets them, *lines has them. */
static size_t commit_for_guest(struct hub *h, const struct diff *d, const char *name,
			       const struct timespec *time, struct hub_log **ret_l,
			       struct buf *lines)
{
	struct hub_log *l = NULL;
	ssize_t n = 0;

	if (count_for_guest(d) == 0)
		l = hub_log_find(h, name);
	else if (log_named(h, name, &l) < 0)
		log_limited(&h->trouble_log, LOG_EVENT_NONE, name,
			    "has no log of events, there are %d", EVENTLOG_SLOTS_MAX);
	else
		n = hub_log_lines(l, d, time, lines);
	if (n < 0)
		log_limited(&h->trouble_log, LOG_EVENT_NONE, name,
			    "no memory to tell of a change, who listens does not hear of it%s", "");
	if (n < 0)
		n = 0;
	hub_keep(h, name, d->new_snapshot, l, (uint64_t)n, time);
	*ret_l = l;
	return (size_t)n;
}

void hub_publish(struct hub *h, const struct diff *d, hub_committed committed, void *ctx)
{
	const struct snapshot *s = d->new_snapshot ?: d->old_snapshot;
	const struct event_options o = options_now();
	const char *name = snapshot_name(s);
	_cleanup_(hub_log_unrefp) struct hub_log *l = NULL;
	_cleanup_(buf_finish) struct buf lines = {0};
	size_t n = commit_for_guest(h, d, name, &o.time, &l, &lines);

	if (committed)
		committed(ctx, name);
	if (n > 0)
		hub_log_append_lines(l, &lines, 0);
	h->n_published += n;
	for (size_t i = 0; d->old_snapshot && d->new_snapshot && i < d->n_changes; i++)
		if (event_is_for_guest(&d->changes[i]))
			publish_to_host(h, &d->changes[i], name, o);
	if (!d->old_snapshot)
		hub_lifecycle(h, LIFECYCLE_CREATED, name, NULL);
	else if (!d->new_snapshot)
		hub_lifecycle(h, LIFECYCLE_DELETED, name, NULL);
	else if (d->n_changes > 0)
		hub_lifecycle(h, LIFECYCLE_UPDATED, name, NULL);
	/* Made by somebody meanwhile. */
	if (!l)
		l = hub_log_find(h, name);
	if (l && !d->new_snapshot)
		hub_log_forget(l);
	else if (l)
		kick(l);
}

void hub_changed(struct hub *h, const struct diff *d, hub_committed committed, void *ctx)
{
	LOCK_HOLD(&h->changing);

	hub_publish(h, d, committed, ctx);
	hub_tidy(h);
}

void hub_count(struct hub *h, struct hub_stats *ret)
{
	LOCK_HOLD_SHARED(&h->lock);

	*ret = (struct hub_stats){.n_logs = HASH_COUNT(h->logs),
				  .n_waiters = h->n_waiters,
				  .n_published = h->n_published};
}

/* What an earlier hub left. */
static int find_logs(struct hub *h)
{
	for (struct eventlog_slot *s = NULL; (s = eventlog_next(h->memory, s));) {
		struct hub_log *l = hub_log_new(h, eventlog_name(s), s);

		if (!l || !add_log(h, l)) {
			hub_log_unref(l);
			return -ENOMEM;
		}
		/* Whoever made it may have died before that. */
		if (eventlog_end(s).n == 0)
			hub_log_begin(l);
	}
	return 0;
}

static int open_published(struct hub *h, const struct hub_options *options)
{
	if (options->fd < 0)
		return 0;
	return published_new(options->fd, options->offset + eventlog_size(h->memory),
			     &h->published);
}

int hub_new(const struct hub_options *options, struct hub **ret)
{
	_cleanup_(hub_freep) struct hub *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	pthread_mutex_init(&h->changing, NULL);
	pthread_rwlock_init(&h->lock, NULL);
	pthread_mutex_init(&h->queue_lock, NULL);
	pthread_cond_init(&h->queue_cond, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(h->host); i++) {
		h->host[i].hub = h;
		h->host[i].with_values = i == 1;
		pthread_mutex_init(&h->host[i].lock, NULL);
	}
	r = eventlog_new(options->fd, options->offset, options->window, &h->memory);
	if (r == 0)
		r = open_published(h, options);
	if (r == 0)
		r = find_logs(h);
	if (r == 0)
		r = -pthread_create(&h->thread, NULL, wake_all, h);
	if (r < 0)
		return r;
	h->is_started = true;
	*ret = steal_ptr(&h);
	return 0;
}

static void stop_thread(struct hub *h)
{
	{
		LOCK_HOLD(&h->queue_lock);

		h->is_stopping = true;
		pthread_cond_signal(&h->queue_cond);
	}
	if (h->is_started)
		pthread_join(h->thread, NULL);
}

struct hub *hub_free(struct hub *h)
{
	struct hub_log *l, *next;

	if (!h)
		return NULL;
	stop_thread(h);
	DL_FOREACH_SAFE (h->queue, l, next)
		hub_log_unref(l);
	HASH_ITER (hh, h->logs, l, next) {
		HASH_DEL(h->logs, l);
		hub_log_unref(l);
	}
	for (size_t i = 0; i < ARRAY_SIZE(h->host); i++) {
		eventlog_slot_free(h->host[i].slot);
		pthread_mutex_destroy(&h->host[i].lock);
	}
	published_free(h->published);
	eventlog_free(h->memory);
	pthread_cond_destroy(&h->queue_cond);
	pthread_mutex_destroy(&h->queue_lock);
	pthread_rwlock_destroy(&h->lock);
	pthread_mutex_destroy(&h->changing);
	free(h);
	return NULL;
}
