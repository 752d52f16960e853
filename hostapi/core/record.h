#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The content of one record file, compact and immutable
 *
 * What a guest can see, what it may read and what decides who it is; everything
 * else a file may say (members LXD prints) stays in the file. Instances and
 * profiles share the form: a profile uses config and devices only. Made by
 * store/parse, read by everybody.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

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

/* What a name of the tree has that no rule matches. */
#define FILE_RULE_MODE 0400

/* Who inside the guest may read and write the names of the tree that a pattern matches. */
struct file_rule {
	char *path; /* the pattern, below the instance's directory */
	uint32_t mode;
	uint32_t uid, gid; /* ids inside the guest; 0 is its root */
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
	char *source;            /* the file it came from, for messages */
	struct timespec written; /* when that file was; zero without one */
	struct table *config;
	size_t n_devices, n_profiles, n_files;
	struct device *devices;  /* sorted by name */
	char **profiles;         /* in the order of application */
	struct file_rule *files; /* as written: the last one that matches counts */
	void *packed; /* the block of the texts, profiles and files, after record_pack() */
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

/* Whether both say the same about the guest. When and where they were written is not looked at. */
bool record_equal(const struct record *a, const struct record *b);

/*
 * The rule for @path, a path of the tree as in "config/user.db", "devices/eth0/hwaddr" or "meta-data": the last one
 * whose pattern matches, as fnmatch(3) does with FNM_PATHNAME ('*' does not match '/'). NULL when none does.
 */
const struct file_rule *record_file_rule(const struct record *r, const char *path);
