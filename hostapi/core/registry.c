/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registry: all instances, by name and by the cgroups that claim to be them
 *
 * Two hashes: slots by name, paths by cgroup path. A slot embeds its two claims
 * (match and binding), each linked into the list of its path; a path without
 * claims is not kept. A slot without a snapshot is idle: it carries no claims
 * and goes when the registry is the last to hold its instance.
 *
 * Locks: `changing` orders changes and is held for all of one; who holds it may
 * read everything. `lock` is taken for writing around the steps of a change
 * that lookups must not see halfway. What can fail comes before what cannot.
 */
#include "core/registry.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

/* Running out of memory leaves the element out, which its hh.tbl == NULL tells. */
#define HASH_NONFATAL_OOM 1
/* The default one falls through its switch in a way that clang warns of. */
#define HASH_FUNCTION HASH_OAT
#include <uthash.h>
#include <utlist.h>

#include "core/diff.h"
#include "core/lock.h"
#include "core/snapshot.h"

#define N_CLAIM_KINDS (CLAIM_BINDING + 1)

struct path {
	struct held_claim *claims;
	UT_hash_handle hh; /* registry::paths */
	char name[];
};

struct held_claim {
	struct slot *slot; /* the one it is part of */
	struct path *path; /* NULL: no claim */
	uint64_t cgroup_id;
	struct held_claim *prev, *next; /* path::claims */
};

struct slot {
	struct instance *instance; /* the registry's reference */
	bool in_force;             /* it has a snapshot; else it is in registry::idle */
	struct held_claim claims[N_CLAIM_KINDS];
	struct slot *prev, *next; /* registry::idle */
	UT_hash_handle hh;        /* registry::slots */
};

struct registry {
	pthread_mutex_t changing;
	pthread_rwlock_t lock;
	struct slot *slots;
	struct path *paths;
	struct slot *idle;
	size_t n_in_force;
	_Atomic uint64_t generation;
};

struct registry *registry_new(void)
{
	struct registry *r = calloc(1, sizeof(*r));
	pthread_rwlockattr_t attr;

	if (!r)
		return NULL;
	pthread_mutex_init(&r->changing, NULL);
	/* A stream of lookups, which guests cause, must not hold up a change. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&r->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return r;
}

static struct slot *slot_find(struct registry *r, const char *name)
{
	struct slot *slot;

	HASH_FIND_STR(r->slots, name, slot);
	return slot;
}

static struct slot *slot_find_in_force(struct registry *r, const char *name)
{
	struct slot *slot = slot_find(r, name);

	return slot && slot->in_force ? slot : NULL;
}

/* Adds an idle slot. NULL = no memory. */
static struct slot *slot_add(struct registry *r, const char *name)
{
	_cleanup_(freep) struct slot *slot = calloc(1, sizeof(*slot));
	_cleanup_(instance_unrefp) struct instance *i = NULL;

	if (!slot)
		return NULL;
	i = instance_new(name);
	if (!i)
		return NULL;
	HASH_ADD_KEYPTR(hh, r->slots, instance_name(i), strlen(name), slot);
	if (!slot->hh.tbl)
		return NULL;
	slot->instance = steal_ptr(&i);
	for (size_t kind = 0; kind < N_CLAIM_KINDS; kind++)
		slot->claims[kind].slot = slot;
	DL_APPEND(r->idle, slot);
	return steal_ptr(&slot);
}

static void slot_delete(struct registry *r, struct slot *slot)
{
	HASH_DEL(r->slots, slot); /* NOLINT(clang-analyzer-core.NullDereference): it is in there */
	instance_unref(slot->instance);
	free(slot);
}

/* Forgets the idle slots whose instance nobody else holds. */
static void sweep_idle(struct registry *r)
{
	struct slot *slot, *next;

	DL_FOREACH_SAFE (r->idle, slot, next) {
		if (instance_is_shared(slot->instance))
			continue;
		DL_DELETE(r->idle, slot);
		slot_delete(r, slot);
	}
}

static struct path *path_find(struct registry *r, const char *name)
{
	struct path *path;

	HASH_FIND_STR(r->paths, name, path);
	return path;
}

/* The path @name, made when it is new. NULL = no memory. */
static struct path *path_get(struct registry *r, const char *name)
{
	struct path *path = path_find(r, name);
	size_t size = strlen(name) + 1;

	if (path)
		return path;
	assert(size <= CGROUP_PATH_MAX);
	path = calloc(1, sizeof(*path) + size);
	if (!path)
		return NULL;
	memcpy(path->name, name, size);
	HASH_ADD_STR(r->paths, name, path);
	if (!path->hh.tbl) {
		free(path);
		return NULL;
	}
	return path;
}

/* Moves a claim to @path (NULL: nowhere); a path that loses its last claim goes. */
static void claim_move(struct registry *r, struct held_claim *c, struct path *path,
		       uint64_t cgroup_id)
{
	struct path *old = c->path;

	if (old == path && c->cgroup_id == cgroup_id)
		return;
	if (old)
		DL_DELETE(old->claims, c);
	if (path)
		DL_APPEND(path->claims, c);
	c->path = path;
	c->cgroup_id = cgroup_id;
	r->generation++;
	if (old && !old->claims) {
		HASH_DEL(r->paths, old); /* NOLINT(clang-analyzer-core.NullDereference): as above */
		free(old);
	}
}

struct registry *registry_free(struct registry *r)
{
	struct slot *slot, *next;

	if (!r)
		return NULL;
	HASH_ITER (hh, r->slots, slot, next) {
		for (size_t kind = 0; kind < N_CLAIM_KINDS; kind++)
			claim_move(r, &slot->claims[kind], NULL, 0);
		slot_delete(r, slot);
	}
	pthread_rwlock_destroy(&r->lock);
	pthread_mutex_destroy(&r->changing);
	free(r);
	return NULL;
}

struct instance *registry_find(struct registry *r, const char *name)
{
	LOCK_HOLD_SHARED(&r->lock);
	struct slot *slot = slot_find(r, name);

	return slot ? instance_ref(slot->instance) : NULL;
}

struct instance *registry_remember(struct registry *r, const char *name)
{
	LOCK_HOLD(&r->changing);
	LOCK_HOLD_ALONE(&r->lock);
	struct slot *slot = slot_find(r, name) ?: slot_add(r, name);

	return slot ? instance_ref(slot->instance) : NULL;
}

/* The swap that lookups must not see halfway. */
static int put_in_force(struct registry *r, struct snapshot *s)
{
	LOCK_HOLD_ALONE(&r->lock);
	const struct record *record = snapshot_record(s);
	struct slot *slot = slot_find(r, record->name) ?: slot_add(r, record->name);
	struct path *path = NULL;

	if (slot && record->match_cgroup)
		path = path_get(r, record->match_cgroup);
	if (!slot || (record->match_cgroup && !path)) {
		sweep_idle(r);
		return -ENOMEM;
	}
	instance_set_snapshot(slot->instance, s);
	claim_move(r, &slot->claims[CLAIM_MATCH], path, 0);
	if (!slot->in_force) {
		DL_DELETE(r->idle, slot);
		slot->in_force = true;
		r->n_in_force++;
	}
	sweep_idle(r);
	return 0;
}

int registry_publish(struct registry *r, struct snapshot *s, struct diff **ret_diff)
{
	LOCK_HOLD(&r->changing);
	_cleanup_(snapshot_unrefp) struct snapshot *old = NULL;
	_cleanup_(diff_freep) struct diff *diff = NULL;
	struct slot *slot = slot_find(r, snapshot_name(s));
	int err;

	if (slot)
		old = instance_snapshot(slot->instance);
	err = diff_new(old, s, &diff) ?: put_in_force(r, s);
	if (err < 0)
		return err;
	*ret_diff = steal_ptr(&diff);
	return 0;
}

static void take_out_of_force(struct registry *r, struct slot *slot)
{
	LOCK_HOLD_ALONE(&r->lock);

	instance_set_snapshot(slot->instance, NULL);
	for (size_t kind = 0; kind < N_CLAIM_KINDS; kind++)
		claim_move(r, &slot->claims[kind], NULL, 0);
	slot->in_force = false;
	r->n_in_force--;
	DL_APPEND(r->idle, slot);
	sweep_idle(r);
}

int registry_withdraw(struct registry *r, const char *name, struct diff **ret_diff)
{
	LOCK_HOLD(&r->changing);
	_cleanup_(snapshot_unrefp) struct snapshot *old = NULL;
	struct slot *slot = slot_find_in_force(r, name);
	int err;

	if (!slot)
		return -ENOENT;
	old = instance_snapshot(slot->instance);
	err = diff_new(old, NULL, ret_diff);
	if (err < 0)
		return err;
	take_out_of_force(r, slot);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(instance_name(*(struct instance *const *)a),
		      instance_name(*(struct instance *const *)b));
}

/* In no order, with references. NULL = no memory. */
static struct instance **collect(struct registry *r, size_t *ret_n)
{
	LOCK_HOLD_SHARED(&r->lock);
	/* One more, so that an empty list is a block, too. */
	struct instance **list = calloc(r->n_in_force + 1, sizeof(struct instance *));
	size_t n = 0;

	for (struct slot *slot = r->slots; list && slot; slot = slot->hh.next)
		if (slot->in_force)
			list[n++] = instance_ref(slot->instance);
	*ret_n = n;
	return list;
}

int registry_list(struct registry *r, struct instance ***ret, size_t *ret_n)
{
	size_t n;
	struct instance **list = collect(r, &n);

	if (!list)
		return -ENOMEM;
	qsort(list, n, sizeof(struct instance *), compare_names);
	*ret = list;
	*ret_n = n;
	return 0;
}

void registry_list_free(struct instance **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		instance_unref(list[i]);
	free(list);
}

size_t registry_size(struct registry *r)
{
	LOCK_HOLD_SHARED(&r->lock);

	return r->n_in_force;
}

size_t registry_claims(struct registry *r, const char *path, struct claim ret[CLAIMS_MAX])
{
	LOCK_HOLD_SHARED(&r->lock);
	const struct path *p = path_find(r, path);
	size_t n = 0;

	for (struct held_claim *c = p ? p->claims : NULL; c && n < CLAIMS_MAX; c = c->next)
		ret[n++] = (struct claim){.kind = c - c->slot->claims,
					  .instance = instance_ref(c->slot->instance),
					  .cgroup_id = c->cgroup_id};
	return n;
}

void claim_finish(struct claim *c)
{
	c->instance = instance_unref(c->instance);
}

int registry_bind(struct registry *r, const char *name, const char *path, uint64_t cgroup_id)
{
	LOCK_HOLD(&r->changing);
	LOCK_HOLD_ALONE(&r->lock);
	struct slot *slot = slot_find_in_force(r, name);
	struct path *p;

	if (strlen(path) >= CGROUP_PATH_MAX)
		return -EINVAL;
	if (!slot)
		return -ENOENT;
	p = path_get(r, path);
	if (!p)
		return -ENOMEM;
	claim_move(r, &slot->claims[CLAIM_BINDING], p, cgroup_id);
	return 0;
}

int registry_unbind(struct registry *r, const char *name)
{
	LOCK_HOLD(&r->changing);
	LOCK_HOLD_ALONE(&r->lock);
	struct slot *slot = slot_find(r, name);

	if (!slot || !slot->claims[CLAIM_BINDING].path)
		return -ENOENT;
	claim_move(r, &slot->claims[CLAIM_BINDING], NULL, 0);
	return 0;
}

int registry_binding(struct registry *r, const char *name, char ret_path[CGROUP_PATH_MAX],
		     uint64_t *ret_cgroup_id)
{
	LOCK_HOLD_SHARED(&r->lock);
	const struct slot *slot = slot_find(r, name);
	const struct held_claim *c = slot ? &slot->claims[CLAIM_BINDING] : NULL;

	if (!c || !c->path)
		return -ENOENT;
	memcpy(ret_path, c->path->name, strlen(c->path->name) + 1);
	*ret_cgroup_id = c->cgroup_id;
	return 0;
}

uint64_t registry_claims_generation(struct registry *r)
{
	return r->generation;
}
