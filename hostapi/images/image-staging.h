#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories of images that are not there yet, or not any more: STATE/images/.import-*
 *
 * Who works in one holds a flock on it, so one that nobody holds is a dead one's and is removed by the next who comes.
 * The store's lock is held by the callers of new, commit and remove. Until
 * it is committed the directory is its maker's alone.
 */
#include "images/image-store.h"

#define IMAGE_STAGING_NAME_SIZE sizeof(".import-0123456789abcdef")

struct image_staging {
	struct image_store *store; /* borrowed */
	int fd;                    /* of the directory; -1: there is none */
	char name[IMAGE_STAGING_NAME_SIZE];
};

/* Removes what the dead have left, and makes an empty one. Returns 0 or -errno; image_staging_finish() it after 0. */
int image_staging_new(struct image_store *s, struct image_staging *ret);

/* It is the image @fingerprint from now on, on disk. Returns 0, -EEXIST when that is there already, or -errno. */
int image_staging_commit(struct image_staging *i, const char *fingerprint);

/* Removes the directory unless it was committed. Zeroed but for fd is fine. */
void image_staging_finish(struct image_staging *i);

/* Removes the image, in one step for who looks. Returns 0 or -errno. */
int image_staging_remove(struct image_store *s, const char *fingerprint);
