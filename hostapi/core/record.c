/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The content of one record file, compact and immutable
 *
 * Owns strings and tables, decides nothing. A record is written by the one who
 * made it and by nobody once it is shared.
 */
#include "core/record.h"

#include <assert.h>

#include "core/table.h"

const char *instance_type_name(enum instance_type type)
{
	return type == INSTANCE_VM ? "virtual-machine" : "container";
}

struct record *record_new(void)
{
	struct record *r = calloc(1, sizeof(*r));

	if (r)
		r->refs = 1;
	return r;
}

struct record *record_ref(struct record *r)
{
	if (r)
		r->refs++;
	return r;
}

struct record *record_unref(struct record *r)
{
	if (!r)
		return NULL;
	assert(r->refs > 0);
	if (--r->refs > 0)
		return NULL;
	for (size_t i = 0; r->devices && i < r->n_devices; i++) {
		free(r->devices[i].name);
		table_unref(r->devices[i].config);
	}
	for (size_t i = 0; r->profiles && i < r->n_profiles; i++)
		free(r->profiles[i]);
	free(r->devices);
	free(r->profiles);
	free(r->name);
	free(r->hostname);
	free(r->match_cgroup);
	free(r->source);
	table_unref(r->config);
	free(r);
	return NULL;
}

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && streq(a, b));
}

static bool devices_equal(const struct record *a, const struct record *b)
{
	if (a->n_devices != b->n_devices)
		return false;
	for (size_t i = 0; i < a->n_devices; i++)
		if (!streq(a->devices[i].name, b->devices[i].name) ||
		    !table_equal(a->devices[i].config, b->devices[i].config))
			return false;
	return true;
}

static bool profiles_equal(const struct record *a, const struct record *b)
{
	if (a->n_profiles != b->n_profiles)
		return false;
	for (size_t i = 0; i < a->n_profiles; i++)
		if (!streq(a->profiles[i], b->profiles[i]))
			return false;
	return true;
}

static bool roots_equal(const struct record *a, const struct record *b)
{
	if (!a->has_root || !b->has_root)
		return a->has_root == b->has_root;
	return a->root_uid == b->root_uid && a->root_gid == b->root_gid;
}

bool record_equal(const struct record *a, const struct record *b)
{
	return a->type == b->type && a->match_mount == b->match_mount && roots_equal(a, b) &&
	       text_equal(a->name, b->name) &&
	       text_equal(a->hostname ?: a->name, b->hostname ?: b->name) &&
	       text_equal(a->match_cgroup, b->match_cgroup) && table_equal(a->config, b->config) &&
	       devices_equal(a, b) && profiles_equal(a, b);
}
