/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounded memory of values by 64-bit id
 *
 * A hash for finding and a list in the order of use, the longest unused at its
 * head. Knows nothing of what it keeps. Invariant: each node is in both.
 */
#include "core/lru.h"

#include <pthread.h>

/* Running out of memory leaves the element out, which its hh.tbl == NULL tells. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "core/lock.h"

struct node {
	uint64_t id;
	struct node *prev, *next; /* lru::used */
	UT_hash_handle hh;        /* lru::nodes */
	max_align_t value[];
};

struct lru {
	pthread_mutex_t lock;
	size_t max, value_size;
	void (*take)(void *value);
	void (*drop)(void *value);
	struct node *nodes;
	struct node *used;
};

struct lru *lru_new(size_t max, size_t value_size, void (*take)(void *value),
		    void (*drop)(void *value))
{
	struct lru *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	l->max = max ? max : 1;
	l->value_size = value_size;
	l->take = take;
	l->drop = drop;
	return l;
}

static void forget(struct lru *l, struct node *node)
{
	DL_DELETE(l->used, node);
	HASH_DEL(l->nodes, node);
	if (l->drop)
		l->drop(node->value);
	free(node);
}

struct lru *lru_free(struct lru *l)
{
	struct node *node, *next;

	if (!l)
		return NULL;
	DL_FOREACH_SAFE (l->used, node, next)
		forget(l, node);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return NULL;
}

static struct node *find(struct lru *l, uint64_t id)
{
	struct node *node;

	HASH_FIND(hh, l->nodes, &id, sizeof(id), node);
	return node;
}

static void copy(struct lru *l, void *to, const void *from)
{
	memcpy(to, from, l->value_size);
	if (l->take)
		l->take(to);
}

bool lru_get(struct lru *l, uint64_t id, void *ret_value)
{
	_cleanup_(lock_endp) pthread_mutex_t *held = lock_hold(&l->lock);
	struct node *node = find(l, id);

	if (!node)
		return false;
	DL_DELETE(l->used, node);
	DL_APPEND(l->used, node);
	copy(l, ret_value, node->value);
	return true;
}

void lru_put(struct lru *l, uint64_t id, const void *value)
{
	_cleanup_(lock_endp) pthread_mutex_t *held = lock_hold(&l->lock);
	_cleanup_(freep) struct node *node = NULL;
	struct node *old = find(l, id);

	if (!old && HASH_COUNT(l->nodes) >= l->max)
		old = l->used;
	if (old)
		forget(l, old);
	node = calloc(1, sizeof(*node) + l->value_size);
	if (!node)
		return;
	node->id = id;
	HASH_ADD(hh, l->nodes, id, sizeof(id), node);
	if (!node->hh.tbl)
		return;
	copy(l, node->value, value);
	DL_APPEND(l->used, node);
	steal_ptr(&node);
}
