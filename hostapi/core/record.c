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

static void free_texts(struct record *r)
{
	if (!r->packed) {
		for (size_t i = 0; r->profiles && i < r->n_profiles; i++)
			free(r->profiles[i]);
		free(r->profiles);
		free(r->name);
		free(r->hostname);
		free(r->match_cgroup);
		free(r->source);
	}
	free(r->packed);
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* Copies @text to *to, which moves on behind it. NULL stays NULL. */
static char *put_text(char **to, const char *text)
{
	char *start = *to;

	if (!text)
		return NULL;
	*to = stpcpy(start, text) + 1;
	return start;
}

int record_pack(struct record *r)
{
	size_t n_pointers = r->n_profiles * sizeof(r->profiles[0]);
	struct record packed = {.n_profiles = r->n_profiles};
	size_t size = n_pointers + text_size(r->name) + text_size(r->hostname) +
		      text_size(r->match_cgroup) + text_size(r->source);
	char *to;

	for (size_t i = 0; i < r->n_profiles; i++)
		size += text_size(r->profiles[i]);
	packed.packed = malloc(size ? size : 1);
	if (!packed.packed)
		return -ENOMEM;
	packed.profiles = packed.packed;
	to = (char *)packed.packed + n_pointers;
	for (size_t i = 0; i < r->n_profiles; i++)
		packed.profiles[i] = put_text(&to, r->profiles[i]);
	packed.name = put_text(&to, r->name);
	packed.hostname = put_text(&to, r->hostname);
	packed.match_cgroup = put_text(&to, r->match_cgroup);
	packed.source = put_text(&to, r->source);
	free_texts(r);
	r->packed = packed.packed;
	r->profiles = packed.profiles;
	r->name = packed.name;
	r->hostname = packed.hostname;
	r->match_cgroup = packed.match_cgroup;
	r->source = packed.source;
	return 0;
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
	free(r->devices);
	free_texts(r);
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
