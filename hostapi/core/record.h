#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The content of one record file, compact and immutable
 *
 * What a guest can see or what decides who it is; everything else a file may
 * say (members LXD prints, file rules before the tree reads them) stays in the
 * file. Instances and profiles share the form: a profile uses config and
 * devices only. Made by store/parse, read by everybody.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct table;

enum instance_type {
	INSTANCE_CONTAINER,
	INSTANCE_VM
};

/* "container" or "virtual-machine": the words of the API. */
const char *instance_type_name(enum instance_type type);

struct device {
	char *name;
	struct table *config;
};

struct record {
	_Atomic unsigned refs;
	enum instance_type type;
	bool match_mount;
	bool has_root;
	uint32_t root_uid, root_gid; /* host ids of the guest's root, when has_root */
	char *name;
	char *hostname; /* NULL: the name */
	char *match_cgroup; /* path below the cgroup2 root, normalised, "/x/y"; NULL when not matched so */
	char *source; /* the file it came from, for messages */
	struct table *config;
	size_t n_devices, n_profiles;
	struct device *devices; /* sorted by name */
	char **profiles;        /* in the order of application */
	void *packed; /* the block of the texts and of the profiles, after record_pack() */
};

/* An empty record with one reference that the caller fills before sharing it; NULL = no memory. */
struct record *record_new(void);
/*
 * Moves the texts of a finished record into one block, as small as they are. Returns 0, or -ENOMEM
 * with the record as it was.
 */
int record_pack(struct record *r);
struct record *record_ref(struct record *r);
struct record *record_unref(struct record *r); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct record *, record_unref);

/* Whether neither a guest nor the identity lookup could tell the two apart. */
bool record_equal(const struct record *a, const struct record *b);
