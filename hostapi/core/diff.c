/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The difference between two snapshots of one instance
 *
 * A merge over two sorted walks. Knows what changed, not who may see it:
 * readers pick the keys that concern them.
 */
#include "core/diff.h"

#include "core/snapshot.h"
#include "core/table.h"

/* A diff under construction, with room for @size changes. */
struct draft {
	struct diff *diff;
	size_t size;
};

static int draft_add(struct draft *d, struct change change)
{
	if (d->diff->n_changes == d->size) {
		size_t size = d->size > 0 ? d->size * 2 : 8, bytes;
		struct diff *bigger;

		if (__builtin_mul_overflow(size, sizeof(change), &bytes) ||
		    __builtin_add_overflow(bytes, sizeof(*d->diff), &bytes))
			return -ENOMEM;
		bigger = realloc(d->diff, bytes);
		if (!bigger)
			return -ENOMEM;
		d->diff = bigger;
		d->size = size;
	}
	d->diff->changes[d->diff->n_changes++] = change;
	return 0;
}

/* Which of two walks comes first: below 0 the old one, above 0 the new one, 0 both; ended ones last. */
static int compare_heads(const char *old_name, const char *new_name)
{
	if (!old_name || !new_name)
		return !old_name - !new_name;
	return strcmp(old_name, new_name);
}

static enum change_action action_of(int order)
{
	if (order == 0)
		return CHANGE_UPDATED;
	return order < 0 ? CHANGE_REMOVED : CHANGE_ADDED;
}

/* The next key with a value: an empty one counts as unset. At the end pair->key is NULL. */
static void next_pair(const struct snapshot *s, struct table_pair *pair)
{
	do {
		if (!s || !snapshot_config_next(s, &pair->key, &pair->value, &pair->value_len)) {
			pair->key = NULL;
			return;
		}
	} while (pair->value_len == 0);
}

static bool values_equal(const struct table_pair *a, const struct table_pair *b)
{
	return a->value_len == b->value_len && memcmp(a->value, b->value, a->value_len) == 0;
}

static int compare_configs(struct draft *d)
{
	const struct snapshot *old_snapshot = d->diff->old_snapshot;
	const struct snapshot *new_snapshot = d->diff->new_snapshot;
	struct table_pair old = {0}, new = {0};

	next_pair(old_snapshot, &old);
	next_pair(new_snapshot, &new);
	while (old.key || new.key) {
		int order = compare_heads(old.key, new.key), r = 0;
		struct change c = {.kind = CHANGE_CONFIG,
				   .action = action_of(order),
				   .name = order < 0 ? old.key : new.key};

		if (order <= 0) {
			c.old_value = old.value;
			c.old_len = old.value_len;
		}
		if (order >= 0) {
			c.new_value = new.value;
			c.new_len = new.value_len;
		}
		if (order != 0 || !values_equal(&old, &new))
			r = draft_add(d, c);
		if (r < 0)
			return r;
		if (order <= 0)
			next_pair(old_snapshot, &old);
		if (order >= 0)
			next_pair(new_snapshot, &new);
	}
	return 0;
}

static void next_device(const struct snapshot *s, const char **name, const struct table **config)
{
	if (!s || !snapshot_device_next(s, name, config))
		*name = NULL;
}

/* The changes of one @action, by name. */
static int compare_devices(struct draft *d, enum change_action action)
{
	const struct snapshot *old_snapshot = d->diff->old_snapshot;
	const struct snapshot *new_snapshot = d->diff->new_snapshot;
	const char *old_name = NULL, *new_name = NULL;
	const struct table *old = NULL, *new = NULL;

	next_device(old_snapshot, &old_name, &old);
	next_device(new_snapshot, &new_name, &new);
	while (old_name || new_name) {
		int order = compare_heads(old_name, new_name), r = 0;
		struct change c = {.kind = CHANGE_DEVICE,
				   .action = action,
				   .name = order < 0 ? old_name : new_name,
				   .old_config = order <= 0 ? old : NULL,
				   .new_config = order >= 0 ? new : NULL};

		if (action_of(order) == action && (order != 0 || !table_equal(old, new)))
			r = draft_add(d, c);
		if (r < 0)
			return r;
		if (order <= 0)
			next_device(old_snapshot, &old_name, &old);
		if (order >= 0)
			next_device(new_snapshot, &new_name, &new);
	}
	return 0;
}

static int compare(struct draft *d)
{
	static const enum change_action actions[] = {CHANGE_REMOVED, CHANGE_UPDATED, CHANGE_ADDED};
	int r = compare_configs(d);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(actions); i++)
		r = compare_devices(d, actions[i]);
	return r;
}

int diff_new(struct snapshot *old_snapshot, struct snapshot *new_snapshot, struct diff **ret)
{
	struct draft d = {.diff = calloc(1, sizeof(*d.diff))};
	int r;

	if (!d.diff)
		return -ENOMEM;
	d.diff->old_snapshot = snapshot_ref(old_snapshot);
	d.diff->new_snapshot = snapshot_ref(new_snapshot);
	r = compare(&d);
	if (r < 0) {
		diff_free(d.diff);
		return r;
	}
	*ret = d.diff;
	return 0;
}

struct diff *diff_free(struct diff *d)
{
	if (d) {
		snapshot_unref(d->old_snapshot);
		snapshot_unref(d->new_snapshot);
		free(d);
	}
	return NULL;
}
