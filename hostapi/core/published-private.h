#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What journal.c, writing, shares with journal-view.c, reading
 */
#include <stdint.h>

/* Running out of memory leaves the element out, which its hh.tbl == NULL tells. */
#define HASH_NONFATAL_OOM 1
/* The default one falls through its switch in a way that clang warns of. */
#define HASH_FUNCTION HASH_OAT
#include <uthash.h>

#include "core/published.h"

#define PUBLISHED_RECENT 16

/* Positions count bytes from the end of this page. */
struct published_head {
	uint64_t magic;
	uint64_t version;
	uint64_t start, end;
	uint64_t tidy_size; /* bytes that counted when they were last written again */
};

/* A profile that is in the journal. */
struct published_profile {
	struct pubstate_id id;
	UT_hash_handle hh; /* journal::profiles */
};

struct published {
	int fd;
	off_t offset;
	struct published_head *head;
	struct published_profile *profiles;
	struct {
		struct record *record; /* NULL: free */
		struct pubstate_id id;
	} recent[PUBLISHED_RECENT]; /* profiles whose hash is known */
	size_t next_recent;
};

/* The entries, from start to end; the caller frees them. Returns 0 or -errno. */
int published_bytes(const struct published *j, char **ret, size_t *ret_n);
/* Notes that the profile is in it. */
void published_has(struct published *j, struct pubstate_id id);
/*
 * Fills @e with what is said of @s: content and profiles' ids are in @content and @ids. With @writes, profiles that are not there yet
 * are added. Returns 0 or -errno.
 */
int published_describe(struct published *j, struct snapshot *s, bool writes, struct buf *content,
		       struct buf *ids, struct pubstate_entry *e);
/* Adds entries. Returns 0 or -errno. */
int published_append(struct published *j, const struct buf *entries);
/* Appends to @b what of the view counts, as if all lines had reached their logs. Returns 0 or -errno. */
int published_view_put(const struct published_view *v, struct buf *b);
