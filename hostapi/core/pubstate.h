#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The form in which published states are kept
 *
 * A row of entries. One of type PUBSTATE_PROFILE has what events are made of in one profile, under the hash of that; it is there
 * once, however many instances use it. One of type PUBSTATE_STATE has the same of an instance's own record, and the hashes of its
 * profiles; PUBSTATE_GONE says that there is no such instance any more. With a state come the number of the first line of events that
 * leads to it from the state before, how many lines those are, and their time: they can be made again.
 *
 * Bytes in the order of the machine: who reads them is another process of the same one. Any bytes may be read.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"

struct record;

enum pubstate_type {
	PUBSTATE_PROFILE = 1,
	PUBSTATE_STATE,
	PUBSTATE_GONE,
	_KEPT_TYPE_N,
};

struct pubstate_id {
	uint64_t low, high;
};

/* The lines that lead to a state. */
struct pubstate_step {
	uint64_t first_n; /* number of the first in the instance's log */
	uint64_t n_lines;
	struct timespec time;
};

/* What it points to is not aligned, nor ended by a NUL. */
struct pubstate_entry {
	enum pubstate_type type;
	struct pubstate_id id; /* of the content; of a state: of all that it says */
	struct pubstate_step step;
	const char *name; /* of the instance; empty of a profile */
	size_t name_len;
	const char *profiles; /* ids, in the order of application */
	size_t n_profiles;
	const char *content;
	size_t content_len;
};

/* The hash that is an id. */
struct pubstate_id pubstate_hash(const void *bytes, size_t n);

/* Appends what events are made of in @r: keys a guest hears of, whether it may ask at all, and devices. Returns 0, -EFBIG or -ENOMEM. */
int pubstate_put_content(struct buf *b, const struct record *r);

/* Reads that back into a record called @name. Returns 0, -EINVAL or -ENOMEM. */
int pubstate_read_content(const char *bytes, size_t n, const char *name, struct record **ret);

/* Appends an entry. Returns 0, -EFBIG or -ENOMEM. */
int pubstate_put(struct buf *b, const struct pubstate_entry *e);

/* Reads the entry that the @n > 0 bytes begin with. Returns its length or -EINVAL. */
ssize_t pubstate_read(const char *bytes, size_t n, struct pubstate_entry *ret);

/* The id at @i < n_profiles. */
struct pubstate_id pubstate_profile(const struct pubstate_entry *e, size_t i);
