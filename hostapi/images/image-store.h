#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * STATE/images, as the command reads and changes it
 *
 * A directory for each image, of its fingerprint's name: its files, and image.json, which core/image.h describes. Images are JSON objects here;
 * one that cannot be used is {"fingerprint", "error"}. What changes anything holds the lock.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct image_store;

enum {
	_IMAGE_STORE_E_SUCCESS,
	IMAGE_STORE_E_NOT_FOUND,
	IMAGE_STORE_E_AMBIGUOUS, /* a beginning that several fingerprints have */
	IMAGE_STORE_E_INVALID,   /* *error says why */
};

/* Opens STATE/images; with @to_write it is made where it is missing, else that is an empty one. Returns 0 or -errno. */
int image_store_open(const char *state_dir, bool to_write, struct image_store **ret);
struct image_store *image_store_close(struct image_store *s); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct image_store *, image_store_close);

/* Waits for the lock. Returns the descriptor that holds it, the caller's to close, or -errno. */
int image_store_lock(struct image_store *s);

/* The directory's descriptor, the store's; -1 when there is none. */
int image_store_fd(const struct image_store *s);

/* All of them, by fingerprint, in a new array. Returns 0 or -errno. */
int image_store_list(struct image_store *s, json_t **ret);

/*
 * The image that @word means: an alias, a fingerprint or the beginning of exactly one. *ret is a new reference, untouched on failure.
 * Returns 0, IMAGE_STORE_E_NOT_FOUND, IMAGE_STORE_E_AMBIGUOUS or -errno.
 */
int image_store_find(struct image_store *s, const char *word, json_t **ret);

/* The fingerprint of the image in @images that has the alias; borrowed. NULL: none has. */
const char *image_store_alias_holder(const json_t *images, const char *alias);

/*
 * Writes @image (borrowed) as image.json into the directory @name of the store, when it is valid. Returns 0, IMAGE_STORE_E_INVALID with
 * *error, or -errno (the old file is whole).
 */
int image_store_write(struct image_store *s, const char *name, const json_t *image,
		      struct buf *error);
