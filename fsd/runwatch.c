/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See runwatch.h. What instances claim is compared with the registry when told that it may differ, by name; which cgroups are
 * populated is the tree's (cgtree.h). Both, and the table of instances, belong to the thread alone; a lock
 * guards only the names that wait to be compared.
 */
#include "runwatch.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION     HASH_OAT
#include <uthash.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/log.h"
#include "cgtree.h"
#include "core/lock.h"
#include "core/registry.h"
#include "core/snapshot.h"

#define N_CLAIMS (CLAIM_BINDING + 1)

/* One claim of an instance on a node. */
struct use {
	struct watched *owner;
	struct cgtree_node *node; /* NULL: no claim */
	char *path;
	uint64_t id;             /* only while the cgroup has it; 0: any */
	struct use *prev, *next; /* of the node: cgtree_data() */
};

struct watched {
	bool is_running;
	struct use uses[N_CLAIMS];
	UT_hash_handle hh; /* runwatch::instances */
	char name[];
};

struct runwatch {
	struct registry *registry;
	runwatch_told told;
	runwatch_watched watched;
	void *ctx;
	struct cgtree *tree; /* NULL: there are no cgroups to watch */
	struct watched *instances;
	bool is_silent; /* while the first state is taken */
	pthread_t thread;
	bool has_thread;
	int wake_fd;
	pthread_mutex_t lock; /* guards what follows */
	struct buf names;     /* to be compared, each with its NUL */
	bool is_all;          /* or all of them, since there was no memory for a name */
	bool is_ending;
};

static void evaluate(struct runwatch *w, struct watched *i)
{
	bool is_running = false;

	for (size_t kind = 0; kind < N_CLAIMS; kind++) {
		const struct use *u = &i->uses[kind];

		if (u->node && cgtree_is_populated(u->node) &&
		    (u->id == 0 || u->id == cgtree_id(u->node)))
			is_running = true;
	}
	if (is_running == i->is_running)
		return;
	i->is_running = is_running;
	if (!w->is_silent)
		w->told(w->ctx, i->name, is_running);
}

/* A cgroup has become another, populated or empty. */
static void on_cgroup(void *ctx, struct cgtree_node *node)
{
	struct use *first = *cgtree_data(node), *u;

	DL_FOREACH (first, u)
		evaluate(ctx, u->owner);
}

static void use_end(struct runwatch *w, struct use *u)
{
	struct use *first;

	free(steal_ptr(&u->path));
	u->id = 0;
	if (!u->node)
		return;
	first = *cgtree_data(u->node);
	DL_DELETE(first, u);
	*cgtree_data(u->node) = first;
	cgtree_drop(w->tree, steal_ptr(&u->node));
}

/* Returns 0 or -ENOMEM, and then it is no claim. */
static int use_begin(struct runwatch *w, struct use *u, const char *path, uint64_t id)
{
	struct use *first;

	u->path = strdup(path);
	u->node = u->path ? cgtree_want(w->tree, path) : NULL;
	if (!u->node) {
		free(steal_ptr(&u->path));
		return -ENOMEM;
	}
	u->id = id;
	first = *cgtree_data(u->node);
	DL_APPEND(first, u);
	*cgtree_data(u->node) = first;
	return 0;
}

/* Makes the claim the one on @path (NULL: none). What is wanted still is not let go in between. */
static int use_set(struct runwatch *w, struct use *u, const char *path, uint64_t id)
{
	if (u->path && path && streq(u->path, path)) {
		u->id = id;
		return 0;
	}
	use_end(w, u);
	return path ? use_begin(w, u, path, id) : 0;
}

static void watched_free(struct runwatch *w, struct watched *i)
{
	for (size_t kind = 0; kind < N_CLAIMS; kind++)
		use_end(w, &i->uses[kind]);
	HASH_DEL(w->instances, i); /* NOLINT(clang-analyzer-core.NullDereference): it is in there */
	free(i);
}

/* NULL = no memory. */
static struct watched *watched_get(struct runwatch *w, const char *name)
{
	struct watched *i;

	HASH_FIND_STR(w->instances, name, i);
	if (i)
		return i;
	i = calloc(1, sizeof(*i) + strlen(name) + 1);
	if (!i)
		return NULL;
	memcpy(i->name, name, strlen(name) + 1);
	for (size_t kind = 0; kind < N_CLAIMS; kind++)
		i->uses[kind].owner = i;
	HASH_ADD_STR(w->instances, name, i);
	if (!i->hh.tbl) {
		free(i);
		return NULL;
	}
	return i;
}

/* Makes what is watched for @name what the registry says. Returns 0 or -ENOMEM. */
static int compare(struct runwatch *w, const char *name)
{
	_cleanup_(instance_unrefp) struct instance *instance = registry_find(w->registry, name);
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		instance ? instance_snapshot(instance) : NULL;
	char binding[CGROUP_PATH_MAX];
	bool is_bound, is_new;
	uint64_t id = 0;
	struct watched *i;
	int r, r2;

	HASH_FIND_STR(w->instances, name, i);
	if (!s) {
		if (i)
			watched_free(w, i);
		return 0;
	}
	is_bound = registry_binding(w->registry, name, binding, &id) == 0;
	if (!i && !is_bound && !snapshot_record(s)->match_cgroup)
		return 0;
	i = watched_get(w, name);
	if (!i)
		return -ENOMEM;
	is_new = is_bound && id != i->uses[CLAIM_BINDING].id;
	r = use_set(w, &i->uses[CLAIM_MATCH], snapshot_record(s)->match_cgroup, 0);
	r2 = use_set(w, &i->uses[CLAIM_BINDING], is_bound ? binding : NULL, id);
	evaluate(w, i);
	if (is_new && !w->is_silent && w->watched)
		w->watched(w->ctx, i->name);
	return r ?: r2;
}

static int compare_all(struct runwatch *w)
{
	struct instance **list = NULL;
	struct watched *i, *next;
	size_t n = 0;
	int r = 0, r2;

	HASH_ITER (hh, w->instances, i, next) {
		r2 = compare(w, i->name);
		r = r ?: r2;
	}
	r2 = registry_list(w->registry, &list, &n);
	r = r ?: r2;
	for (size_t k = 0; k < n; k++) {
		r2 = compare(w, instance_name(list[k]));
		r = r ?: r2;
	}
	registry_list_free(list, n);
	return r;
}

/* Compares what waits for it. Returns false at the end. */
static bool compare_waiting(struct runwatch *w)
{
	_cleanup_(buf_finish) struct buf names = {0};
	bool is_all;
	int r = 0;

	{
		LOCK_HOLD(&w->lock);

		if (w->is_ending)
			return false;
		names = w->names;
		w->names = (struct buf){0};
		is_all = w->is_all;
		w->is_all = false;
	}
	if (is_all)
		r = compare_all(w);
	for (size_t at = 0; !is_all && at < names.len; at += strlen(names.data + at) + 1)
		r = compare(w, names.data + at) ?: r;
	if (r < 0)
		log_error("no memory to watch guests start and stop, ignoring some");
	return true;
}

static void *watch(void *arg)
{
	struct runwatch *w = arg;
	struct pollfd fds[] = {{.fd = w->wake_fd, .events = POLLIN},
			       {.fd = cgtree_fd(w->tree), .events = POLLIN}};
	eventfd_t n;

	pthread_setname_np(pthread_self(), "runs");
	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			break;
		if (eventfd_read(w->wake_fd, &n) == 0 && !compare_waiting(w))
			break;
		cgtree_dispatch(w->tree);
	}
	return NULL;
}

int runwatch_new(struct registry *registry, runwatch_told told, runwatch_watched watched, void *ctx,
		 struct runwatch **ret)
{
	_cleanup_(runwatch_freep) struct runwatch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->registry = registry;
	w->told = told;
	w->watched = watched;
	w->ctx = ctx;
	pthread_mutex_init(&w->lock, NULL);
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0)
		return -errno;
	r = cgtree_new(on_cgroup, w, &w->tree);
	if (r == -ENOENT) {
		*ret = steal_ptr(&w);
		return 0;
	}
	if (r < 0)
		return r;
	w->is_silent = true;
	r = compare_all(w);
	w->is_silent = false;
	if (r == 0)
		r = -pthread_create(&w->thread, NULL, watch, w);
	if (r < 0)
		return r;
	w->has_thread = true;
	*ret = steal_ptr(&w);
	return 0;
}

static void wake(struct runwatch *w)
{
	(void)eventfd_write(w->wake_fd, 1);
}

struct runwatch *runwatch_free(struct runwatch *w)
{
	struct watched *i, *next;

	if (!w)
		return NULL;
	if (w->has_thread) {
		pthread_mutex_lock(&w->lock);
		w->is_ending = true;
		pthread_mutex_unlock(&w->lock);
		wake(w);
		pthread_join(w->thread, NULL);
	}
	HASH_ITER (hh, w->instances, i, next)
		watched_free(w, i);
	cgtree_free(w->tree);
	closep(&w->wake_fd);
	buf_finish(&w->names);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

void runwatch_changed(struct runwatch *w, const char *name)
{
	if (!w->has_thread)
		return;
	{
		LOCK_HOLD(&w->lock);

		if (buf_append(&w->names, name, strlen(name) + 1) < 0)
			w->is_all = true;
	}
	wake(w);
}
