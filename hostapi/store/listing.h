#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of the records in a directory
 *
 * Sorted, each once, whatever number of files and directories says it.
 */
#include <stdbool.h>
#include <stddef.h>

#include "store/parse.h"

/* Zero-initialised by its owner. */
struct listing {
	char **names; /* with room for a NULL at the end */
	size_t n;
};

/* Frees the names; a zeroed listing is fine. */
void listing_finish(struct listing *l);

/* Adds a copy of @name. Returns 0 or -ENOMEM. */
int listing_add(struct listing *l, const char *name);

/*
 * Adds the names of the records of @kind below the CONF or STATE directory @fd; no directory of
 * theirs is an empty one. Returns 0 or -errno.
 */
int listing_read(struct listing *l, int fd, enum record_kind kind, bool in_state);

/*
 * Sorts the names, drops doubles and hands them over, NULL-terminated (never NULL itself); the caller frees
 * each and the array. Returns 0 or -ENOMEM.
 */
int listing_steal(struct listing *l, char ***ret, size_t *ret_n);
