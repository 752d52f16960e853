/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub: what outlives it, so that a death at any point loses no line and makes none twice
 *
 * A change is committed to the journal with the number that its first line has in the log, and only then appended to that. So a line of
 * the last change that the log has not reached is missing, and any other is there. What is different between the journal and the
 * registry happened while there was no hub.
 */
#include "core/hub.h"

#include "core/diff.h"
#include "core/hub-private.h"
#include "core/instance.h"
#include "core/published.h"
#include "core/lock.h"
#include "core/registry.h"
#include "core/snapshot.h"

static uint64_t end_of(struct hub_log *l)
{
	struct eventlog_cursor end = {0};

	if (l)
		hub_end(l, &end);
	return end.n;
}

static void log_trouble(struct hub *h, const char *name, int r)
{
	log_limited(&h->trouble_log, LOG_EVENT_NONE, name,
		    "cannot keep what was published of it: %s", strerror(-r));
}

void hub_keep(struct hub *h, const char *name, struct snapshot *s, struct hub_log *l,
	      uint64_t n_lines, const struct timespec *time)
{
	const struct pubstate_step step = {end_of(l), n_lines, *time};
	int r = h->published ? published_save(h->published, name, s, &step) : 0;

	if (r < 0)
		log_trouble(h, name, r);
}

void hub_tidy(struct hub *h)
{
	int r = h->published ? published_tidy(h->published) : 0;

	if (r < 0)
		log_trouble(h, "an instance", r);
}

/* Appends the lines that are missing of the last change. */
static int complete_lines(struct published_view *v, const struct published_name *n,
			  struct hub_log *l)
{
	_cleanup_(snapshot_unrefp) struct snapshot *before = NULL, *last = NULL;
	_cleanup_(diff_freep) struct diff *d = NULL;
	_cleanup_(buf_finish) struct buf lines = {0};
	uint64_t end = end_of(l);
	ssize_t made;
	int r;

	if (end < n->step.first_n || end >= n->step.first_n + n->step.n_lines)
		return 0;
	r = published_view_state(v, n, true, &before);
	if (r == 0)
		r = published_view_state(v, n, false, &last);
	if (r == 0)
		r = diff_new(before, last, &d);
	if (r < 0)
		return r;
	made = hub_log_lines(l, d, &n->step.time, &lines);
	if (made > 0)
		hub_log_append_lines(l, &lines, end - n->step.first_n);
	return made < 0 ? (int)made : 0;
}

/* What was begun with the last change of the instance. */
static int complete(struct hub *h, struct published_view *v, const struct published_name *n)
{
	_cleanup_(hub_log_unrefp) struct hub_log *l = hub_log_find(h, n->name);

	if (!l)
		return 0;
	if (!n->is_gone)
		return complete_lines(v, n, l);
	/* A log that was forgotten has one more line, or has begun anew. */
	if (end_of(l) == n->step.first_n)
		hub_log_forget(l);
	return 0;
}

/* Whether the log has what the journal says, no more: there is more when a change could not be kept. */
static bool is_believed(struct hub *h, const struct published_name *n)
{
	_cleanup_(hub_log_unrefp) struct hub_log *l = hub_log_find(h, n->name);
	uint64_t end = end_of(l), known = n->step.first_n + n->step.n_lines;

	/* One that was made since then has its first line. */
	return end <= (known > 0 ? known : 1);
}

/* Keeps @s without telling of it. */
static void keep_new(struct hub *h, struct snapshot *s)
{
	_cleanup_(hub_log_unrefp) struct hub_log *l = hub_log_find(h, snapshot_name(s));
	const struct timespec none = {0};

	hub_keep(h, snapshot_name(s), s, l, 0, &none);
}

struct taking_up {
	struct hub *hub;
	struct registry *registry;
	struct published_view *view;
	void (*before)(void *ctx, struct snapshot *s);
	void *ctx;
};

/* From what was published last to @s (NULL: gone). */
static int publish_from(const struct taking_up *t, const struct published_name *n,
			struct snapshot *s)
{
	_cleanup_(snapshot_unrefp) struct snapshot *last = NULL;
	_cleanup_(diff_freep) struct diff *d = NULL;
	int r = published_view_state(t->view, n, false, &last);

	if (r == 0)
		r = diff_new(last, s, &d);
	if (r == 0)
		hub_publish(t->hub, d, NULL, NULL);
	if (r == 0 && last && t->before)
		t->before(t->ctx, last);
	return r;
}

/* Of an instance that there is. */
static int take_up_one(const struct taking_up *t, struct snapshot *s)
{
	const struct published_name *n = published_view_find(t->view, snapshot_name(s));
	int r;

	if (!n || n->is_gone || !is_believed(t->hub, n)) {
		keep_new(t->hub, s);
		return 0;
	}
	r = published_view_is(t->view, n, s);
	if (r == 0)
		return publish_from(t, n, s);
	return r < 0 ? r : 0;
}

static int take_up_all(const struct taking_up *t)
{
	struct instance **list;
	size_t n;
	int r = registry_list(t->registry, &list, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++) {
		_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(list[i]);

		r = take_up_one(t, s);
	}
	registry_list_free(list, n);
	return r;
}

static bool is_in_force(struct registry *registry, const char *name)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(registry, name);
	_cleanup_(snapshot_unrefp) struct snapshot *s = i ? instance_snapshot(i) : NULL;

	return s != NULL;
}

/* What the journal has of instances: completed, and then published if they are gone. */
static int take_up_kept(const struct taking_up *t)
{
	const struct published_name *n = NULL;
	int r = 0;

	while (r == 0 && (n = published_view_next(t->view, n))) {
		r = complete(t->hub, t->view, n);
		if (r == 0 && !n->is_gone && !is_in_force(t->registry, n->name))
			r = publish_from(t, n, NULL);
	}
	return r;
}

/* Logs of what neither the journal nor the registry knows. */
static void forget_others(struct hub *h, const struct published_view *v, struct registry *registry)
{
	struct hub_log *l, *next;

	HASH_ITER (hh, h->logs, l, next) {
		_cleanup_(hub_log_unrefp) struct hub_log *held = hub_log_ref(l);

		if (!published_view_find(v, held->name) && !is_in_force(registry, held->name))
			hub_log_forget(held);
	}
}

static int take_up(struct taking_up *t)
{
	_cleanup_(published_view_freep) struct published_view *v = NULL;
	int r = published_view(t->hub->published, &v);

	t->view = v;
	if (r == 0)
		r = take_up_kept(t);
	if (r == 0)
		r = take_up_all(t);
	if (r == 0)
		forget_others(t->hub, v, t->registry);
	return r;
}

int hub_take_up(struct hub *h, struct registry *registry,
		void (*before)(void *ctx, struct snapshot *s), void *ctx)
{
	struct taking_up t = {h, registry, NULL, before, ctx};
	LOCK_HOLD(&h->changing);
	int r;

	if (!h->published)
		return 0;
	r = take_up(&t);
	if (r == -EINVAL) {
		/* It cannot be read: what is in force now is what was published. */
		log_trouble(h, "an instance", r);
		published_clear(h->published);
		r = take_up(&t);
	}
	if (r == 0)
		hub_tidy(h);
	return r;
}
