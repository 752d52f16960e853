/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The content of one record file, compact and immutable
 *
 * Owns strings and tables, decides nothing. A record is written by the one who
 * made it and by nobody once it is shared.
 */
#include "core/record.h"

#include <assert.h>
#include <fnmatch.h>

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
		for (size_t i = 0; r->files && i < r->n_files; i++)
			free(r->files[i].path);
		free(r->files);
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

static size_t packed_size(const struct record *r)
{
	size_t size = r->n_files * sizeof(r->files[0]) + r->n_profiles * sizeof(r->profiles[0]) +
		      text_size(r->name) + text_size(r->hostname) + text_size(r->match_cgroup) +
		      text_size(r->source);

	for (size_t i = 0; i < r->n_files; i++)
		size += text_size(r->files[i].path);
	for (size_t i = 0; i < r->n_profiles; i++)
		size += text_size(r->profiles[i]);
	return size;
}

int record_pack(struct record *r)
{
	struct record packed = *r;
	size_t size = packed_size(r);
	char *to;

	packed.packed = malloc(size ? size : 1);
	if (!packed.packed)
		return -ENOMEM;
	/* What wants to be aligned comes first. */
	packed.files = packed.packed;
	packed.profiles = (void *)(packed.files + r->n_files);
	to = (char *)(packed.profiles + r->n_profiles);
	for (size_t i = 0; i < r->n_files; i++) {
		packed.files[i] = r->files[i];
		packed.files[i].path = put_text(&to, r->files[i].path);
	}
	for (size_t i = 0; i < r->n_profiles; i++)
		packed.profiles[i] = put_text(&to, r->profiles[i]);
	packed.name = put_text(&to, r->name);
	packed.hostname = put_text(&to, r->hostname);
	packed.match_cgroup = put_text(&to, r->match_cgroup);
	packed.source = put_text(&to, r->source);
	free_texts(r);
	*r = packed;
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

static bool files_equal(const struct record *a, const struct record *b)
{
	if (a->n_files != b->n_files)
		return false;
	for (size_t i = 0; i < a->n_files; i++) {
		const struct file_rule *x = &a->files[i], *y = &b->files[i];

		if (!streq(x->path, y->path) || x->mode != y->mode || x->uid != y->uid ||
		    x->gid != y->gid)
			return false;
	}
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
	       devices_equal(a, b) && profiles_equal(a, b) && files_equal(a, b);
}

const struct file_rule *record_file_rule(const struct record *r, const char *path)
{
	for (size_t i = r->n_files; i-- > 0;)
		if (fnmatch(r->files[i].path, path, FNM_PATHNAME) == 0)
			return &r->files[i];
	return NULL;
}
