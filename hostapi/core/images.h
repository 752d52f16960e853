#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images: all that this host has, STATE/images/FINGERPRINT/{image.json, the files}
 *
 * Read from disk when told to, and swapped as a whole; lookups return references. Thread-safe.
 */
#include "core/image.h"

struct images;

/* @state_dir: STATE; its "images" need not be there. Has none until images_load(). NULL = no memory. */
struct images *images_new(const char *state_dir);
struct images *images_free(struct images *i); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct images *, images_free);

/*
 * Reads the directory. What cannot be used is left out, with a line in @complaints. Returns 0; *ret_changed (may be NULL) whether anything is
 * different; or -errno, and then all is as before.
 */
int images_load(struct images *i, bool *ret_changed, struct buf *complaints);

/* By its whole fingerprint. A reference, or NULL. */
struct image *images_find(struct images *i, const char *fingerprint);

/* All, sorted by fingerprint, a reference each; release with images_list_free(). Returns 0 or -ENOMEM. */
int images_list(struct images *i, struct image ***ret, size_t *ret_n);
void images_list_free(struct image **list, size_t n); /* NULL-safe */

/* As image_open(). */
int images_open(struct images *i, const struct image *image, size_t part);

/* Changes whenever anything does. */
uint64_t images_generation(struct images *i);
