#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking at record files
 *
 * Brings the book's sources up to date with the files and touches the entries
 * this concerns. Hints come doubled and late: a file whose version is known is
 * not read again. Logs warnings about files as they are read.
 */
#include <stdbool.h>
#include <stddef.h>

#include "store/book.h"

/* How long a missing file, and one made but not yet written, is given. */
#define LOAD_GRACE_US 1000000

enum load_how {
	LOAD_HINTED, /* something happened to the file; a missing one is believed later */
	LOAD_MADE,   /* it was made a moment ago: looked at later unless another hint comes */
	LOAD_NOW,    /* what is found counts at once */
};

/*
 * Looks at @file in the directory number @directory. Returns 0, also when the file is bad, missing or not a
 * record's, or -ENOMEM.
 */
int load_file(struct book *b, size_t directory, const char *file, enum load_how how);

/*
 * Looks at all files of a directory, and for all that were there before. A directory that cannot be read
 * changes nothing but its error. Returns 0 or -ENOMEM.
 */
int load_directory(struct book *b, size_t directory);

/* Looks at what is due. Returns 0 or -ENOMEM; b->due is what is left. */
int load_due(struct book *b);
