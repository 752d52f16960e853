/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Branch: the part of the tree that belongs to one instance
 *
 * An index is current while the view, the owner and the sockets are those it was made of. Whoever finds it is not, the
 * thread that made the change or one that serves a request, makes the next and has the kernel told of the
 * difference, so that the two can never disagree about what was told.
 */
#include "branch.h"

#include <utlist.h>

#include "base/log.h"
#include "base/sock.h"
#include "branch-private.h"
#include "core/instance.h"
#include "core/lock.h"
#include "shared.h"

static const struct source *source_of(const struct branch *b)
{
	return b->all->options.source;
}

struct branch *branch_new(struct branches *all, struct instance *i, uint32_t serial)
{
	struct branch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->refs = 1;
	b->all = all;
	b->serial = serial;
	b->instance = instance_ref(i);
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

static void forget_listings(struct branch *b)
{
	struct branch_listing *l, *next;

	HASH_ITER (hh, b->listings, l, next) {
		HASH_DEL(b->listings, l);
		free(l);
	}
}

struct branch *branch_ref(struct branch *b)
{
	b->refs++;
	return b;
}

struct branch *branch_unref(struct branch *b)
{
	struct branch_opened *o, *next;

	if (!b || --b->refs > 0)
		return NULL;
	branch_drop_retries(b);
	HASH_ITER (hh, b->opened, o, next) {
		HASH_DEL(b->opened, o);
		free(o);
	}
	forget_listings(b);
	branch_forget_kept(b);
	index_unref(b->index);
	instance_unref(b->instance);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return NULL;
}

uint32_t branch_serial(const struct branch *b)
{
	return b->serial;
}

struct instance *branch_instance(const struct branch *b)
{
	return b->instance;
}

bool branch_is_known(struct branch *b)
{
	return inval_knows(b->all->inval, tree_id(b->serial, TREE_TOP_LOW));
}

static struct branch_opened *find_opened(const struct branch *b, uint64_t id)
{
	struct branch_opened *o = NULL;

	HASH_FIND(hh, b->opened, &id, sizeof(id), o);
	return o;
}

/* A change of one branch while the new index is compared with the old. */
struct change {
	struct branch *branch;
	struct inval_batch *batch;
	const struct index *new;
	struct poke_item *pokes;
	int error;
};

static void add_entry(struct change *c, const struct index *x, const struct index_node *n)
{
	c->error |= inval_add_entry(c->batch, index_id(x, &x->nodes[n->parent]), n->name);
}

static void add_node(struct change *c, uint64_t id)
{
	c->error |= inval_add_node(c->batch, id);
}

static void add_gone(struct change *c, uint64_t id)
{
	c->error |= inval_add_gone(c->batch, id);
}

/* Somebody may be reading on, who is to be told nothing: the kernel asks for a name alone. */
static bool may_be_open(struct branch *b, const struct index_node *n, uint64_t id)
{
	return find_opened(b, id) || (branch_is_inherited(b, n) && inval_knows(b->all->inval, id));
}

static void on_stale(void *arg, const struct index *old, const struct index_node *n)
{
	struct change *c = arg;
	uint64_t id = index_id(old, n);

	branch_poke_stale(c->branch, old, n, c->new, &c->pokes);
	switch (tree_row(n->row)->kind) {
	case TREE_CONTENT:
		if (may_be_open(c->branch, n, id)) {
			branch_keep(c->branch, old, n);
			add_entry(c, old, n);
		} else {
			add_gone(c, id);
		}
		break;
	case TREE_DIRECTORY:
		/* One that is gone says so when asked; others are only hidden. */
		if (index_find(c->new, id))
			add_entry(c, old, n);
		else
			add_gone(c, id);
		break;
	case TREE_SOCKET:
		add_entry(c, old, n);
		break;
	case TREE_STREAM:
	case TREE_LOG:
		break; /* is asked for every time */
	case TREE_FILE:
		break; /* others have it, too, and the directory that it is in is gone with it */
	}
}

static void on_listing(void *arg, const struct index *x, const struct index_node *n)
{
	add_node(arg, index_id(x, n));
}

static void on_fresh(void *arg, const struct index *x, const struct index_node *n)
{
	struct change *c = arg;

	branch_poke_fresh(c->branch, x, n, c->branch->index, &c->pokes);
}

/* Directories keep their ids whoever owns them. */
static void add_directories(struct change *c, const struct index *x)
{
	for (uint32_t i = 0; i < x->n_nodes; i++)
		if (tree_row(x->nodes[i].row)->kind == TREE_DIRECTORY)
			add_node(c, index_id(x, &x->nodes[i]));
}

/* A change that the kernel is being told of. */
struct telling {
	struct branch *branch; /* a reference */
	struct poke_item *pokes;
};

static void batch_done(struct inval_batch *batch)
{
	struct telling *t = batch->arg;
	struct branch *b = t->branch;
	{
		LOCK_HOLD(&b->lock);

		b->n_telling--;
	}
	branch_set_untold(b);
	if (t->pokes)
		poke_submit(b->all->poke, b->serial, t->pokes);
	inval_batch_free(batch);
	free(t);
	branch_unref(b);
}

static bool owner_equal(const struct source_owner *a, const struct source_owner *b)
{
	return a->is_known == b->is_known && a->uid == b->uid && a->gid == b->gid &&
	       memcmp(a->run, b->run, sizeof(a->run)) == 0;
}

/* Forgets listings of directories that are gone. */
static void prune_listings(struct branch *b)
{
	struct branch_listing *l, *next;

	HASH_ITER (hh, b->listings, l, next) {
		if (index_find(b->index, l->id))
			continue;
		HASH_DEL(b->listings, l);
		free(l);
	}
}

/* Begins a change. Returns 0 or -ENOMEM. */
static int begin_change(struct branch *b, struct change *c)
{
	struct telling *t = calloc(1, sizeof(*t));

	c->branch = b;
	c->batch = calloc(1, sizeof(*c->batch));
	if (!c->batch || !t) {
		free(c->batch);
		free(t);
		return -ENOMEM;
	}
	c->batch->name = instance_name(b->instance);
	c->batch->lane = &b->lane;
	c->batch->done = batch_done;
	c->batch->arg = t;
	return 0;
}

/* It does not take place. */
static int cancel_change(struct change *c)
{
	poke_items_free(c->pokes);
	free(c->batch->arg);
	inval_batch_free(c->batch);
	return -ENOMEM;
}

static void submit_change(struct branch *b, const struct change *c)
{
	struct telling *t = c->batch->arg;

	b->refs++;
	b->n_telling++;
	*t = (struct telling){b, c->pokes};
	inval_submit(b->all->inval, c->batch);
}

/* Puts @x in the place of the current index and has the kernel told of the difference. Returns 0 or -ENOMEM (@x is not taken). */
static int replace(struct branch *b, struct index *x)
{
	struct change c = {.new = x};
	const struct index_changes changes = {on_stale, on_listing, on_fresh, &c};

	if (begin_change(b, &c) < 0)
		return -ENOMEM;
	branch_expire_retries(b); /* or what they reserved would be kept for nobody */
	index_compare(b->index, x, now_ns(), &changes);
	if (b->index->owner.uid != x->owner.uid || b->index->owner.gid != x->owner.gid)
		add_directories(&c, x);
	if (c.error)
		return cancel_change(&c);
	index_unref(b->index);
	b->index = x;
	prune_listings(b);
	submit_change(b, &c);
	return 0;
}

/* What it shows; references, released by drop(). */
static struct tree_shown take(const struct branch *b)
{
	const struct source *s = source_of(b);
	struct tree_shown shown = {s, s->ops->view(s->ctx, b->instance), NULL};
	bool is_by_mount;

	if (shown.view && s->ops->shows_images(shown.view, &is_by_mount))
		shown.images = s->ops->images(s->ctx);
	return shown;
}

static void drop(const struct tree_shown *shown)
{
	if (shown->view)
		shown->source->ops->view_unref(shown->view);
	if (shown->images)
		shown->source->ops->images_unref(shown->images);
}

static bool is_current(const struct branch *b, const struct tree_shown *shown)
{
	const struct index *x = b->index;

	return x && x->source && x->view == shown->view && x->images == shown->images &&
	       owner_equal(&x->owner, &b->owner) &&
	       x->is_socket_bound == b->all->options.shared->is_socket_bound &&
	       x->is_own_socket_bound == b->is_own_socket_bound;
}

/* The references in @shown are taken over on success. */
static int make_index(struct branch *b, const struct tree_shown *shown, struct index **ret)
{
	const struct source *s = source_of(b);
	struct index_input input = {
		.source = s,
		.instance = b->instance,
		.view = shown->view,
		.images = shown->images,
		.owner = &b->owner,
		.secret = b->all->options.shared->secret,
		.serial = b->serial,
		.is_socket_bound = b->all->options.shared->is_socket_bound,
		.is_own_socket_bound = b->is_own_socket_bound,
	};

	if (shown->images)
		(void)s->ops->shows_images(shown->view, &input.is_by_mount);
	/* The record may say who the guest's root is. */
	s->ops->refresh_owner(s->ctx, b->instance, &b->owner, true);
	return index_new(&input, ret);
}

/* Makes the index for what is @shown, whose references are taken over on success. */
static int rebuild(struct branch *b, const struct tree_shown *shown)
{
	_cleanup_(index_unrefp) struct index *x = NULL;
	int r = make_index(b, shown, &x);

	if (r < 0)
		return r;
	if (b->index) {
		r = replace(b, x);
		if (r == 0) {
			x = NULL;
		} else { /* the caller's still */
			x->view = NULL;
			x->images = NULL;
		}
		return r;
	}
	b->index = steal_ptr(&x);
	branch_set_untold(b);
	return 0;
}

/* With the lock held. */
static int refresh(struct branch *b)
{
	const struct tree_shown shown = take(b);
	int r = 0;

	if (!is_current(b, &shown)) {
		r = rebuild(b, &shown);
		if (r == 0)
			return 0;
	}
	drop(&shown);
	return r;
}

/* The content @n of @old, which is not current, if the kernel may have been told of it. */
static void keep_from_before(struct change *c, const struct index *old, const struct index_node *n)
{
	struct branch *b = c->branch;
	uint64_t id = index_id(old, n);

	if (tree_row(n->row)->kind != TREE_CONTENT || index_find(b->index, id) ||
	    !inval_knows(b->all->inval, id))
		return;
	branch_keep(b, old, n);
	add_entry(c, old, n);
}

void branch_was(struct branch *b, struct source_view *view)
{
	_cleanup_(index_unrefp) struct index *old = NULL;
	const struct tree_shown shown = {source_of(b), view, NULL};
	struct change c = {0};
	LOCK_HOLD(&b->lock);

	if (make_index(b, &shown, &old) < 0)
		drop(&shown);
	else if (b->index && begin_change(b, &c) == 0) {
		for (uint32_t i = 0; i < old->n_nodes; i++)
			keep_from_before(&c, old, &old->nodes[i]);
		submit_change(b, &c);
	}
}

void branch_restore(struct branch *b, struct index *x)
{
	LOCK_HOLD(&b->lock);

	b->index = x;
}

/* With the lock held: has the socket made, or taken away. */
static void settle_socket(struct branch *b)
{
	const struct source *s = source_of(b);
	struct source_view *view = s->ops->view(s->ctx, b->instance);
	bool is_own = false;
	bool wants = view && s->ops->has_socket(view, &is_own) && is_own;

	if (view)
		s->ops->view_unref(view);
	if (wants == b->wants_own_socket)
		return;
	b->wants_own_socket = wants;
	if (!wants)
		b->is_own_socket_bound = false;
	b->all->options.want_socket(b->all->options.ctx, b->serial, b->instance, wants);
}

void branch_changed(struct branch *b)
{
	LOCK_HOLD(&b->lock);

	settle_socket(b);
	if (b->index && refresh(b) < 0)
		log_warn("%s: no memory to tell the kernel what has changed; it is told with the "
			 "next change",
			 instance_name(b->instance));
}

int branch_check(struct branch *b, const struct source_caller *caller)
{
	const struct source *s = source_of(b);
	uint64_t run = 0;
	int r = s->ops->check(s->ctx, b->instance, caller, &run);

	if (r == 0 && run != 0 && b->run != run) {
		branch_refresh_owner(b, caller->uid);
		b->run = run;
	}
	return r;
}

void branch_refresh_owner(struct branch *b, uid_t uid)
{
	const struct source *s = source_of(b);
	LOCK_HOLD(&b->lock);

	/* The kernel asks again before it refuses somebody: perhaps what is known is wrong. */
	s->ops->refresh_owner(s->ctx, b->instance, &b->owner, uid != b->owner.uid);
}

int branch_index(struct branch *b, struct index **ret)
{
	LOCK_HOLD(&b->lock);
	int r = refresh(b);

	if (r == 0)
		*ret = index_ref(b->index);
	return r;
}

bool branch_has_open(const struct branch *b, uint64_t id)
{
	return find_opened(b, id) != NULL;
}

int branch_count_open(struct branch *b, uint64_t id)
{
	struct branch_opened *o = find_opened(b, id);

	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o)
			return -ENOMEM;
		o->id = id;
		HASH_ADD(hh, b->opened, id, sizeof(o->id), o);
		if (!o->hh.tbl) {
			free(o);
			return -ENOMEM;
		}
	}
	o->n++;
	return 0;
}

void branch_count_close(struct branch *b, uint64_t id)
{
	struct branch_opened *o = find_opened(b, id);

	/* What an earlier worker opened is not known here. */
	if (!o || --o->n > 0)
		return;
	HASH_DEL(b->opened, o);
	free(o);
	branch_let_go(b, id);
}

/* With the lock held and the index current. */
static int open_current(struct branch *b, const struct index_node *n, bool writes)
{
	const struct tree_node *row = tree_row(n->row);

	if (row->kind == TREE_DIRECTORY || row->kind == TREE_SOCKET)
		return -EINVAL; /* the kernel knows better */
	if (writes && !row->is_writable)
		return -EROFS;
	return row->kind == TREE_CONTENT ? branch_count_open(b, index_id(b->index, n)) : 0;
}

int branch_open(struct branch *b, uint64_t id, pid_t tid, bool writes, enum tree_row *ret_row)
{
	LOCK_HOLD(&b->lock);
	const struct index_node *n;
	int r = refresh(b);

	if (r < 0)
		return r;
	n = index_find(b->index, id);
	if (b->index->is_hidden)
		return -EACCES;
	if (n) {
		*ret_row = n->row;
		r = open_current(b, n, writes);
	} else {
		/* Any content: it is one of those it was among when it was current. */
		*ret_row = TREE_CONFIG_KEY;
		r = writes ? -EROFS : -ESTALE;
	}
	if (branch_take_reserved(b, id, tid)) {
		if (n || writes)
			branch_count_close(b, id); /* counted twice, or not opened */
		else
			r = 0;
	}
	return r;
}

void branch_close(struct branch *b, uint64_t id)
{
	LOCK_HOLD(&b->lock);

	branch_count_close(b, id);
}

bool branch_keeps_listing(struct branch *b, const struct index *x, const struct index_node *n)
{
	LOCK_HOLD(&b->lock);
	uint64_t id = index_id(x, n);
	struct branch_listing *l = NULL;
	bool keeps;

	HASH_FIND(hh, b->listings, &id, sizeof(id), l);
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return false;
		l->id = id;
		HASH_ADD(hh, b->listings, id, sizeof(l->id), l);
		if (!l->hh.tbl) {
			free(l);
			return false;
		}
	}
	keeps = l->changed_ns == n->changed_ns;
	l->changed_ns = n->changed_ns;
	return keeps;
}

void branch_forgotten(struct branch *b)
{
	LOCK_HOLD(&b->lock);

	b->index = index_unref(b->index);
	forget_listings(b);
}
