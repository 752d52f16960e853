#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The difference between two snapshots of one instance
 *
 * Computed once per change, in registry_publish(); everything that reacts to a
 * change (log, admin reply, later events and the tree) is made of this.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct snapshot;
struct table;

enum change_kind {
	CHANGE_CONFIG,
	CHANGE_DEVICE
};
enum change_action {
	CHANGE_ADDED,
	CHANGE_UPDATED,
	CHANGE_REMOVED
};

struct change {
	enum change_kind kind;
	enum change_action action;
	const char *name;      /* key or device */
	const char *old_value; /* config: NULL when added */
	size_t old_len;
	const char *new_value; /* config: NULL when removed */
	size_t new_len;
	const struct table *old_config, *new_config; /* device: NULL when added, removed */
};

/* Holds references to both snapshots: the pointers in its changes live as long as it does. */
struct diff {
	struct snapshot *old_snapshot, *new_snapshot; /* NULL: created, deleted */
	size_t n_changes;
	struct change changes[]; /* config by key, then devices: removed, updated, added, by name */
};

/*
 * Compares the expanded views; either side may be NULL (no such instance). A
 * key with an empty value counts as unset, as everywhere.
 * *ret may have no changes. Returns 0 or -ENOMEM.
 */
int diff_new(struct snapshot *old_snapshot, struct snapshot *new_snapshot, struct diff **ret);
struct diff *diff_free(struct diff *d); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct diff *, diff_free);
