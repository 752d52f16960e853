#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cgroup tree: which of some cgroups have processes, by inotify
 *
 * A node for each cgroup that is wanted and for each above it. A node that exists has a watch: on its
 * cgroup.events when it is wanted, on its directory when something below it is. So at most two for each wanted one and
 * one for each directory they share. Knows no instance.
 *
 * Not thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct cgtree;
struct cgtree_node;

/* Called when a wanted cgroup has become another, populated or empty; must not add or drop wants. */
typedef void (*cgtree_changed)(void *ctx, struct cgtree_node *node);

/* Returns 0, -ENOENT without a cgroup2 hierarchy, or -errno. */
int cgtree_new(cgtree_changed changed, void *ctx, struct cgtree **ret);
struct cgtree *cgtree_free(struct cgtree *t); /* NULL-safe; always NULL. All wants end. */
DEFINE_CLEANUP(struct cgtree *, cgtree_free);

/* Readable when cgtree_dispatch() has something to do. */
int cgtree_fd(const struct cgtree *t);
/* Reads what the kernel tells, without waiting. */
void cgtree_dispatch(struct cgtree *t);

/*
 * Wants to know of the cgroup @path (as in cgroup.h) from now on; it may be wanted several times. What is there is looked at before
 * it returns; changed() may be called for it. NULL = no memory.
 */
struct cgtree_node *cgtree_want(struct cgtree *t, const char *path);
void cgtree_drop(struct cgtree *t, struct cgtree_node *node);

/* Whether it, or one below it, has processes. */
bool cgtree_is_populated(const struct cgtree_node *node);
/* Its id; 0: it does not exist. */
uint64_t cgtree_id(const struct cgtree_node *node);

/* The caller's, zeroed at first. */
void **cgtree_data(struct cgtree_node *node);
