/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Branch: the part of the tree that belongs to one instance
 *
 * An index is current while the view, the owner and the sockets are those it was made of. Whoever finds it is not, the
 * thread that made the change or one that serves a request, makes the next and has the kernel told of the
 * difference, so that the two can never disagree about what was told.
 */
#include "branch.h"

#include <time.h>
#include <utlist.h>

#include "base/log.h"
#include "branch-private.h"
#include "core/instance.h"
#include "core/lock.h"
#include "shared.h"

static const struct source *source_of(const struct branch *b)
{
	return b->all->options.source;
}

struct branch_kept *branch_kept_unref(struct branch_kept *k)
{
	if (k && --k->refs == 0)
		free(k);
	return NULL;
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

/* Forgets the content at the head of the list of kept ones. */
static void drop_kept(struct branch *b, struct branch_kept *k)
{
	DL_DELETE(b->kept, k);
	b->n_kept_bytes -= k->size;
	branch_kept_unref(k);
}

static void forget_listings(struct branch *b)
{
	struct branch_listing *l, *next;

	HASH_ITER (hh, b->listings, l, next) {
		HASH_DEL(b->listings, l);
		free(l);
	}
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
	while (b->kept)
		drop_kept(b, b->kept);
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

static struct branch_kept *find_kept(const struct branch *b, uint64_t id)
{
	struct branch_kept *k;

	DL_FOREACH (b->kept, k)
		if (k->id == id)
			return k;
	return NULL;
}

/* Keeps the content @n of @x for those who have it open. Without memory, or when it is too large, they get ESTALE. */
static void keep(struct branch *b, const struct index *x, const struct index_node *n)
{
	_cleanup_(source_bytes_finish) struct source_bytes value = {0};
	struct branch_kept *k;

	/* One that was kept, and came back meanwhile, is the same. */
	if (n->size > BRANCH_KEPT_MAX || find_kept(b, index_id(x, n)) ||
	    index_read(x, n, &value) != 0)
		return;
	k = malloc(sizeof(*k) + value.len);
	if (!k)
		return;
	*k = (struct branch_kept){
		.refs = 1, .id = index_id(x, n), .changed_ns = n->changed_ns, .size = value.len};
	if (index_access(x, n, &k->mode, &k->uid, &k->gid) < 0) {
		free(k);
		return;
	}
	memcpy(k->bytes, value.at, value.len);
	DL_APPEND(b->kept, k);
	b->n_kept_bytes += k->size;
	while (b->n_kept_bytes > BRANCH_KEPT_MAX)
		drop_kept(b, b->kept);
}

/* A change of one branch while the new index is compared with the old. */
struct change {
	struct branch *branch;
	struct inval_batch *batch;
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

static void on_stale(void *arg, const struct index *old, const struct index_node *n)
{
	struct change *c = arg;
	uint64_t id = index_id(old, n);

	switch (tree_row(n->row)->kind) {
	case TREE_CONTENT:
		if (find_opened(c->branch, id)) {
			keep(c->branch, old, n);
			add_entry(c, old, n);
		} else {
			add_gone(c, id);
		}
		break;
	case TREE_DIRECTORY:
		/* One with a parameter is gone, and says so when asked; the others are only hidden. */
		if (n->key)
			add_gone(c, id);
		else
			add_entry(c, old, n);
		break;
	case TREE_SOCKET:
		add_entry(c, old, n);
		break;
	case TREE_STREAM:
		break; /* is asked for every time */
	}
}

static void on_listing(void *arg, const struct index *x, const struct index_node *n)
{
	add_node(arg, index_id(x, n));
}

/* Directories keep their ids whoever owns them. */
static void add_directories(struct change *c, const struct index *x)
{
	for (uint32_t i = 0; i < x->n_nodes; i++)
		if (tree_row(x->nodes[i].row)->kind == TREE_DIRECTORY)
			add_node(c, index_id(x, &x->nodes[i]));
}

static void batch_done(struct inval_batch *batch)
{
	struct branch *b = batch->arg;
	{
		LOCK_HOLD(&b->lock);

		b->n_telling--;
	}
	branch_set_untold(b);
	inval_batch_free(batch);
	branch_unref(b);
}

static bool owner_equal(const struct source_owner *a, const struct source_owner *b)
{
	return a->is_known == b->is_known && a->uid == b->uid && a->gid == b->gid &&
	       memcmp(a->run, b->run, sizeof(a->run)) == 0;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
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

/* Puts @x in the place of the current index and has the kernel told of the difference. Returns 0 or -ENOMEM (@x is not taken). */
static int replace(struct branch *b, struct index *x)
{
	struct change c = {b, calloc(1, sizeof(*c.batch)), 0};
	const struct index_changes changes = {on_stale, on_listing, &c};

	if (!c.batch)
		return -ENOMEM;
	c.batch->name = instance_name(b->instance);
	c.batch->lane = &b->lane;
	c.batch->done = batch_done;
	branch_expire_retries(b); /* or what they reserved would be kept for nobody */
	index_compare(b->index, x, now_ns(), &changes);
	if (b->index->owner.uid != x->owner.uid || b->index->owner.gid != x->owner.gid)
		add_directories(&c, x);
	if (c.error) {
		inval_batch_free(c.batch);
		return -ENOMEM;
	}
	index_unref(b->index);
	b->index = x;
	prune_listings(b);
	b->refs++;
	b->n_telling++;
	c.batch->arg = b;
	inval_submit(b->all->inval, c.batch);
	return 0;
}

static bool is_current(const struct branch *b, const struct source_view *view)
{
	const struct index *x = b->index;

	return x && x->source && x->view == view && owner_equal(&x->owner, &b->owner) &&
	       x->is_socket_bound == b->all->options.shared->is_socket_bound &&
	       x->is_own_socket_bound == b->is_own_socket_bound;
}

/* Makes the index for @view, whose reference is taken over on success. */
static int rebuild(struct branch *b, struct source_view *view)
{
	const struct source *s = source_of(b);
	_cleanup_(index_unrefp) struct index *x = NULL;
	struct index_input input = {
		.source = s,
		.instance = b->instance,
		.view = view,
		.owner = &b->owner,
		.secret = b->all->options.shared->secret,
		.serial = b->serial,
		.is_socket_bound = b->all->options.shared->is_socket_bound,
		.is_own_socket_bound = b->is_own_socket_bound,
	};
	int r;

	/* The record may say who the guest's root is. */
	s->ops->refresh_owner(s->ctx, b->instance, &b->owner, true);
	r = index_new(&input, &x);
	if (r < 0)
		return r;
	if (b->index) {
		r = replace(b, x);
		if (r < 0)
			x->view = NULL; /* the caller's still */
		else
			x = NULL;
		return r;
	}
	b->index = steal_ptr(&x);
	branch_set_untold(b);
	return 0;
}

/* With the lock held. */
static int refresh(struct branch *b)
{
	const struct source *s = source_of(b);
	struct source_view *view = s->ops->view(s->ctx, b->instance);
	int r = 0;

	if (!is_current(b, view)) {
		r = rebuild(b, view);
		if (r == 0)
			return 0;
	}
	if (view)
		s->ops->view_unref(view);
	return r;
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
	struct branch_kept *k;

	/* What an earlier worker opened is not known here. */
	if (!o || --o->n > 0)
		return;
	HASH_DEL(b->opened, o);
	free(o);
	k = find_kept(b, id);
	if (k)
		drop_kept(b, k);
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
	if (b->retries && branch_take_reserved(b, id, tid)) {
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

struct branch_kept *branch_find_kept(struct branch *b, uint64_t id)
{
	LOCK_HOLD(&b->lock);
	struct branch_kept *k = find_kept(b, id);

	if (k)
		k->refs++;
	return k;
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
