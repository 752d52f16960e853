/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All branches: by name, by serial, and the files that say so
 */
#include <malloc.h>

#include <utlist.h>

#include "branch.h"

#include "base/log.h"
#include "base/sock.h"
#include "branch-private.h"
#include "core/instance.h"
#include "core/lock.h"
#include "shared.h"
#include "told.h"

/* After so many indexes were dropped their memory is given back. */
#define TRIM_AT 64

static struct branch *find(struct branches *all, uint32_t serial)
{
	struct branch *b = NULL;

	HASH_FIND(hh, all->by_serial, &serial, sizeof(serial), b);
	return b;
}

static struct branch *find_name(struct branches *all, const char *name)
{
	struct branch *b = NULL;

	HASH_FIND(hh_name, all->by_name, name, strlen(name), b);
	return b;
}

static struct branch *ref(struct branch *b)
{
	if (b)
		b->refs++;
	return b;
}

struct branch *branches_find(struct branches *all, uint32_t serial)
{
	LOCK_HOLD_SHARED(&all->lock);

	return ref(find(all, serial));
}

struct branch *branches_find_named(struct branches *all, const char *name)
{
	LOCK_HOLD_SHARED(&all->lock);

	return ref(find_name(all, name));
}

/* Adds it, with a reference for the set. False = no memory. Under the lock. */
static bool add(struct branches *all, struct branch *b)
{
	const char *name = instance_name(b->instance);

	HASH_ADD(hh, all->by_serial, serial, sizeof(b->serial), b);
	if (!b->hh.tbl)
		return false;
	HASH_ADD_KEYPTR(hh_name, all->by_name, name, strlen(name), b);
	if (!b->hh_name.tbl) {
		HASH_DELETE(hh, all->by_serial, b);
		return false;
	}
	b->refs++;
	return true;
}

/* Makes the branch of @i, on file before anybody can see it; somebody else may have done so meanwhile. */
static struct branch *make(struct branches *all, struct instance *i)
{
	struct shared *shared = all->options.shared;
	LOCK_HOLD_ALONE(&all->lock);
	struct branch *b = find_name(all, instance_name(i));
	uint32_t serial = shared->last_serial + 1;
	int r;

	if (b)
		return ref(b);
	if (serial > TREE_SERIAL_MAX)
		return NULL;
	b = branch_new(all, i, serial);
	if (!b)
		return NULL;
	r = told_save(all->told_fd, shared->mount_id, instance_name(i), serial, NULL);
	if (r < 0)
		log_error("cannot write published/%s.json, so it gets no directory: %s",
			  instance_name(i), strerror(-r));
	if (r < 0)
		return branch_unref(b);
	if (!add(all, b)) {
		told_remove(all->told_fd, instance_name(i));
		return branch_unref(b);
	}
	shared->last_serial = serial;
	return b;
}

struct branch *branches_get(struct branches *all, const char *name)
{
	const struct source *s = all->options.source;
	struct instance *i = s->ops->find(s->ctx, name);
	struct branch *b = i ? branches_find_named(all, name) : NULL;

	if (i && !b)
		b = make(all, i);
	instance_unref(i);
	return b;
}

void branch_set_untold(struct branch *b)
{
	struct branches *all = b->all;
	{
		LOCK_HOLD_ALONE(&all->lock);

		if (b->next_untold)
			return;
		b->next_untold = all->untold ?: b;
		all->untold = ref(b);
	}
	inval_wake(all->inval);
}

/* Writes its file, unless it was forgotten, which removes that. Returns 0 or -errno. */
static int tell(struct branches *all, const struct branch *b, const struct index *x)
{
	LOCK_HOLD_SHARED(&all->lock);

	if (find(all, b->serial) != b)
		return 0;
	return told_save(all->told_fd, all->options.shared->mount_id, instance_name(b->instance),
			 b->serial, x);
}

/* Writes one of the files that are to be written. Whether there was one. */
static bool tell_one(void *ctx)
{
	struct branches *all = ctx;
	_cleanup_(index_unrefp) struct index *x = NULL;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	{
		LOCK_HOLD_ALONE(&all->lock);

		b = all->untold;
		if (!b && all->n_dropped >= TRIM_AT) {
			all->n_dropped = 0;
			malloc_trim(0);
		}
		if (!b)
			return false;
		all->untold = b->next_untold == b ? NULL : b->next_untold;
		b->next_untold = NULL;
	}
	{
		LOCK_HOLD(&b->lock);

		/* While something is being told, the file says what was told before; the last of it comes here again. */
		x = b->n_telling == 0 ? index_ref(b->index) : NULL;
	}
	/* One that is restored is on file; what the kernel has forgotten needs not be. */
	if (x && x->source && tell(all, b, x) < 0)
		log_warn("cannot write published/%s.json, ignoring: another worker would tell the "
			 "kernel more than it need",
			 instance_name(b->instance));
	return true;
}

static bool is_gone(struct branches *all, const struct branch *b)
{
	const struct source *s = all->options.source;
	struct instance *i = s->ops->find(s->ctx, instance_name(b->instance));

	instance_unref(i);
	return !i;
}

/* If the name is gone and the kernel remembers nothing of it, so do we. */
static void forget_if_gone(struct branches *all, struct branch *b)
{
	LOCK_HOLD_ALONE(&all->lock);

	if (find(all, b->serial) != b || !is_gone(all, b) || branch_is_known(b))
		return;
	HASH_DELETE(hh, all->by_serial, b);
	HASH_DELETE(hh_name, all->by_name, b);
	told_remove(all->told_fd, instance_name(b->instance));
	branch_unref(b);
}

void branches_changed(struct branches *all, const char *name)
{
	const struct source *s = all->options.source;
	_cleanup_(branch_unrefp) struct branch *b = branches_find_named(all, name);
	struct source_view *view;
	struct instance *i;
	bool is_own = false;

	/* Most instances have no branch before somebody looks; those with a socket of their own do. */
	if (!b) {
		i = s->ops->find(s->ctx, name);
		view = i ? s->ops->view(s->ctx, i) : NULL;
		if (view && s->ops->has_socket(view, &is_own) && is_own)
			b = make(all, i);
		if (view)
			s->ops->view_unref(view);
		instance_unref(i);
	}
	if (!b)
		return;
	branch_changed(b);
	forget_if_gone(all, b);
}

void branches_was(struct branches *all, const char *name, struct source_view *view)
{
	_cleanup_(branch_unrefp) struct branch *b = branches_find_named(all, name);

	if (b)
		branch_was(b, view);
	else
		all->options.source->ops->view_unref(view);
}

void branches_forgotten(struct branches *all, uint32_t serial)
{
	_cleanup_(branch_unrefp) struct branch *b = branches_find(all, serial);

	/* It may have been looked up again meanwhile. */
	if (!b || branch_is_known(b))
		return;
	branch_forgotten(b);
	forget_if_gone(all, b);
	if (++all->n_dropped >= TRIM_AT)
		inval_wake(all->inval);
}

void branches_content_forgotten(struct branches *all, uint64_t id)
{
	_cleanup_(branch_unrefp) struct branch *b = branches_find(all, tree_serial(id));

	if (b)
		branch_content_forgotten(b, id);
}

/* References to all. NULL = no memory. */
static struct branch **collect(struct branches *all, size_t *ret_n)
{
	LOCK_HOLD_SHARED(&all->lock);
	struct branch **list = calloc(HASH_COUNT(all->by_serial) + 1, sizeof(*list));
	struct branch *b, *next;
	size_t n = 0;

	HASH_ITER (hh, all->by_serial, b, next)
		if (list)
			list[n++] = ref(b);
	*ret_n = n;
	return list;
}

static void for_all(struct branches *all, void (*each)(void *arg, struct branch *b), void *arg)
{
	size_t n = 0;
	_cleanup_(freep) struct branch **list = collect(all, &n);

	for (size_t i = 0; list && i < n; i++) {
		each(arg, list[i]);
		branch_unref(list[i]);
	}
}

static void change_one(void *arg, struct branch *b)
{
	branch_changed(b);
	forget_if_gone(arg, b);
}

void branches_socket_bound(struct branches *all)
{
	for_all(all, change_one, all);
}

bool branches_own_socket(struct branches *all, uint32_t serial, bool is_bound)
{
	_cleanup_(branch_unrefp) struct branch *b = branches_find(all, serial);
	bool is_wanted;

	if (!b)
		return false;
	{
		LOCK_HOLD(&b->lock);

		is_wanted = b->wants_own_socket;
		b->is_own_socket_bound = is_bound && is_wanted;
	}
	branch_changed(b);
	return is_wanted;
}

struct hub *branches_hub(struct branches *all)
{
	return all->options.hub;
}

struct imagefiles *branches_images(struct branches *all)
{
	return all->options.images;
}

bool branches_knows(struct branches *all, const char *name)
{
	_cleanup_(branch_unrefp) struct branch *b = branches_find_named(all, name);

	return b && branch_is_known(b);
}

struct poke *branches_poke(struct branches *all)
{
	return all->poke;
}

void branches_wait(struct branches *all, uint64_t patience_us,
		   void (*stalled)(void *arg, const char *name), void *arg)
{
	inval_wait(all->inval, patience_us, stalled, arg);
}

static void count_one(void *arg, struct branch *b)
{
	struct branches_stats *stats = arg;
	LOCK_HOLD(&b->lock);

	stats->n_branches++;
	stats->n_kept_bytes += b->n_kept_bytes;
	if (!b->index)
		return;
	stats->n_indexes++;
	stats->n_nodes += b->index->n_nodes;
}

void branches_count(struct branches *all, struct branches_stats *ret)
{
	*ret = (struct branches_stats){.n_stalled = inval_n_stalled(all->inval)};
	for_all(all, count_one, ret);
}

/* Takes up what an earlier worker has told. */
static int take_up(void *arg, const char *name, uint32_t serial, struct index **index)
{
	struct branches *all = arg;
	const struct source *s = all->options.source;
	/* Also when it has no record now: one that returns fills the same directory. */
	struct instance *i = s->ops->remember(s->ctx, name);
	_cleanup_(branch_unrefp) struct branch *b = i ? branch_new(all, i, serial) : NULL;

	instance_unref(i);
	if (!b || !add(all, b))
		return -ENOMEM;
	/* A worker can die between writing the file and counting it. */
	if (all->options.shared->last_serial < serial)
		all->options.shared->last_serial = serial;
	if (*index)
		branch_restore(b, steal_ptr(index));
	return 0;
}

/* That the kernel forgot it an earlier worker may have been told and no more. */
static void inherit(void *arg, struct kept **k)
{
	struct branches *all = arg;
	_cleanup_(branch_unrefp) struct branch *b = branches_find(all, tree_serial((*k)->id));

	if (b && inval_knows(all->inval, (*k)->id))
		branch_inherit(b, steal_ptr(k));
}

static int want_sockets(void *arg, const char *name, bool is_listed)
{
	branches_changed(arg, name);
	return 0;
}

int branches_new(const struct branches_options *options, struct branches **ret)
{
	_cleanup_(branches_freep) struct branches *all = calloc(1, sizeof(*all));
	const struct source *s = options->source;
	int r;

	if (!all)
		return -ENOMEM;
	all->options = *options;
	pthread_rwlock_init(&all->lock, NULL);
	all->told_fd = told_open(options->run_dir);
	if (all->told_fd < 0)
		return all->told_fd;
	all->kept_fd = kept_open(all->told_fd);
	if (all->kept_fd < 0)
		return all->kept_fd;
	all->is_successor = options->shared->n_workers > 1;
	all->started_ms = (uint32_t)(now_us() / 1000);
	r = inval_new(options->fuse_fd, tell_one, all, &all->inval);
	if (r == 0 && options->poke_fd >= 0)
		r = poke_new(options->poke_fd, all->inval, options->shared, &all->poke);
	if (r == 0)
		r = told_load(all->told_fd, options->shared->mount_id, take_up, all);
	if (r == 0)
		r = kept_load(all->kept_fd, options->shared->mount_id, inherit, all);
	if (r == 0)
		r = s->ops->each(s->ctx, want_sockets, all);
	if (r < 0)
		return r;
	for_all(all, change_one, all);
	/* Also what was found to be different by now: an earlier worker may have died before it wrote what it told. */
	all->started_ns = now_ns();
	*ret = steal_ptr(&all);
	return 0;
}

struct branches *branches_free(struct branches *all)
{
	struct branch *b, *next;

	if (!all)
		return NULL;
	inval_free(all->inval);
	poke_free(all->poke);
	while ((b = all->untold)) {
		all->untold = b->next_untold == b ? NULL : b->next_untold;
		branch_unref(b);
	}
	HASH_ITER (hh, all->by_serial, b, next) {
		HASH_DELETE(hh, all->by_serial, b);
		HASH_DELETE(hh_name, all->by_name, b);
		branch_unref(b);
	}
	closep(&all->kept_fd);
	closep(&all->told_fd);
	pthread_rwlock_destroy(&all->lock);
	free(all);
	return NULL;
}
