/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal of published states: reading
 *
 * One pass over the bytes, which notes where the last two entries of each name are and where profiles are; contents are looked at
 * when somebody asks.
 */
#include "core/published.h"

#include "base/text.h"
#include "core/published-private.h"
#include "core/record.h"
#include "core/snapshot.h"

struct named {
	struct published_name public;
	struct pubstate_entry last, before; /* before.name is NULL: none */
	UT_hash_handle hh;                  /* published_view::names */
	char name[];
};

struct profile {
	struct pubstate_id id;
	struct pubstate_entry entry;
	struct record *record; /* NULL: not asked for yet */
	UT_hash_handle hh;     /* published_view::profiles */
};

struct published_view {
	struct published *journal;
	char *bytes;
	size_t n;
	struct named *names;
	struct profile *profiles;
};

static const struct named *named_of(const struct published_name *n)
{
	return (const struct named *)n;
}

static struct named *find_name(const struct published_view *v, const char *name, size_t len)
{
	struct named *n;

	HASH_FIND(hh, v->names, name, len, n);
	return n;
}

static struct named *add_name(struct published_view *v, const char *name, size_t len)
{
	_cleanup_(freep) struct named *n = calloc(1, sizeof(*n) + len + 1);

	if (!n)
		return NULL;
	memcpy(n->name, name, len);
	n->public.name = n->name;
	HASH_ADD_KEYPTR(hh, v->names, n->name, len, n);
	return n->hh.tbl ? steal_ptr(&n) : NULL;
}

static int note_state(struct published_view *v, const struct pubstate_entry *e)
{
	struct named *n = find_name(v, e->name, e->name_len);

	if (memchr(e->name, '\0', e->name_len))
		return -EINVAL;
	if (!n)
		n = add_name(v, e->name, e->name_len);
	if (!n)
		return -ENOMEM;
	n->before = n->last;
	n->last = *e;
	n->public.is_gone = e->type == PUBSTATE_GONE;
	n->public.step = e->step;
	return 0;
}

static struct profile *find_profile(const struct published_view *v, struct pubstate_id id)
{
	struct profile *p;

	HASH_FIND(hh, v->profiles, &id, sizeof(id), p);
	return p;
}

static int note_profile(struct published_view *v, const struct pubstate_entry *e)
{
	_cleanup_(freep) struct profile *p = NULL;

	if (find_profile(v, e->id))
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->id = e->id;
	p->entry = *e;
	HASH_ADD(hh, v->profiles, id, sizeof(p->id), p);
	if (!p->hh.tbl)
		return -ENOMEM;
	steal_ptr(&p);
	published_has(v->journal, e->id);
	return 0;
}

int published_view(struct published *j, struct published_view **ret)
{
	_cleanup_(published_view_freep) struct published_view *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->journal = j;
	r = published_bytes(j, &v->bytes, &v->n);
	for (size_t at = 0; r == 0 && at < v->n;) {
		struct pubstate_entry e;
		ssize_t size = pubstate_read(v->bytes + at, v->n - at, &e);

		if (size < 0)
			return (int)size;
		r = e.type == PUBSTATE_PROFILE ? note_profile(v, &e) : note_state(v, &e);
		at += (size_t)size;
	}
	if (r == 0)
		*ret = steal_ptr(&v);
	return r;
}

struct published_view *published_view_free(struct published_view *v)
{
	struct named *n, *next_name;
	struct profile *p, *next_profile;

	if (!v)
		return NULL;
	HASH_ITER (hh, v->names, n, next_name) {
		HASH_DEL(v->names, n);
		free(n);
	}
	HASH_ITER (hh, v->profiles, p, next_profile) {
		HASH_DEL(v->profiles, p);
		record_unref(p->record);
		free(p);
	}
	free(v->bytes);
	free(v);
	return NULL;
}

const struct published_name *published_view_next(const struct published_view *v,
						 const struct published_name *n)
{
	const struct named *next = n ? named_of(n)->hh.next : v->names;

	return next ? &next->public : NULL;
}

const struct published_name *published_view_find(const struct published_view *v, const char *name)
{
	const struct named *n = find_name(v, name, strlen(name));

	return n ? &n->public : NULL;
}

int published_view_is(struct published_view *v, const struct published_name *n, struct snapshot *s)
{
	_cleanup_(buf_finish) struct buf content = {0}, ids = {0};
	const struct pubstate_entry *last = &named_of(n)->last;
	struct pubstate_entry e;
	int r;

	if (n->is_gone)
		return 0;
	r = published_describe(v->journal, s, false, &content, &ids, &e);
	if (r < 0)
		return r;
	return e.id.low == last->id.low && e.id.high == last->id.high;
}

/* Borrowed from the view. */
static int read_profile(const struct published_view *v, struct pubstate_id id, struct record **ret)
{
	struct profile *p = find_profile(v, id);
	int r = 0;

	if (!p)
		return -EINVAL;
	if (!p->record)
		r = pubstate_read_content(p->entry.content, p->entry.content_len, "", &p->record);
	if (r == 0)
		*ret = p->record;
	return r;
}

int published_view_state(struct published_view *v, const struct published_name *n, bool is_before,
			 struct snapshot **ret)
{
	const struct pubstate_entry *e = is_before ? &named_of(n)->before : &named_of(n)->last;
	_cleanup_(freep) struct record **profiles = calloc(e->n_profiles + 1, sizeof(*profiles));
	_cleanup_(record_unrefp) struct record *record = NULL;
	struct snapshot *s;
	int r;

	if (!profiles)
		return -ENOMEM;
	if (e->type != PUBSTATE_STATE) {
		*ret = NULL;
		return 0;
	}
	r = pubstate_read_content(e->content, e->content_len, n->name, &record);
	for (size_t i = 0; r == 0 && i < e->n_profiles; i++)
		r = read_profile(v, pubstate_profile(e, i), &profiles[i]);
	if (r < 0)
		return r;
	s = snapshot_new(record, profiles, e->n_profiles, "");
	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

static int put_state(const struct published_view *v, const struct pubstate_entry *state,
		     struct buf *b)
{
	struct pubstate_entry e = *state;
	int r = 0;

	for (size_t i = 0; r == 0 && i < e.n_profiles; i++) {
		struct profile *p = find_profile(v, pubstate_profile(&e, i));

		if (!p)
			return -EINVAL;
		/* Once for all: what was written is marked by having no type any more. */
		if (p->entry.type == PUBSTATE_PROFILE)
			r = pubstate_put(b, &p->entry);
		if (r == 0)
			published_has(v->journal, p->id);
		p->entry.type = _KEPT_TYPE_N;
	}
	e.step.first_n += e.step.n_lines;
	e.step.n_lines = 0;
	return r < 0 ? r : pubstate_put(b, &e);
}

int published_view_put(const struct published_view *v, struct buf *b)
{
	const struct named *n;
	int r = 0;

	for (n = v->names; r == 0 && n; n = n->hh.next)
		if (!n->public.is_gone)
			r = put_state(v, &n->last, b);
	return r;
}
