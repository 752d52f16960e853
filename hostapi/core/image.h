#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image: what a guest may fetch to make guests of its own
 *
 * One file ("unified") or two (metadata and root file system, "split"), known by its fingerprint: the SHA-256 of their bytes, metadata first, in
 * hex. Immutable and reference-counted. The bytes are on disk; that they are still those that were imported is known by size and time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define IMAGE_FINGERPRINT_LEN 64
#define IMAGE_PARTS_MAX       2

struct image_part {
	const char *
		name; /* of the file, for people: "metadata.tar.xz", "rootfs.squashfs", "image.tar.gz" */
	const char
		*suffix; /* of its type, by its first bytes: ".tar.xz"; "" when it is not known */
	uint64_t size;
	int64_t mtime_ns; /* of the file, when it was imported */
};

struct image {
	_Atomic unsigned n_refs;
	char fingerprint[IMAGE_FINGERPRINT_LEN + 1]; /* lower case */
	bool is_public, is_cached;                   /* either lets guests have it */
	bool is_vm;
	size_t n_parts; /* 1: unified; 2: metadata, then root file system */
	struct image_part parts[IMAGE_PARTS_MAX];
	const char *const *aliases; /* sorted; ends with NULL */
	size_t n_aliases;
	int64_t imported_ns; /* realtime */
};

/* References; the image goes with the last one. */
struct image *image_ref(struct image *i);
struct image *image_unref(struct image *i); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct image *, image_unref);

/* Whether it is 64 lower case hex digits. */
bool image_is_fingerprint(const char *text);

/*
 * Reads image.json (@n bytes): {"fingerprint", "type": "container"|"virtual-machine", "public", "cached", "aliases": [TEXT...],
 * "parts": [{"name", "suffix", "size", "mtime_ns"}...], "imported_ns", more that is for people}. Pure. *ret is the caller's reference. Returns 0, -EINVAL with
 * @error saying what is wrong, or -ENOMEM.
 */
int image_parse(const char *text, size_t n, struct image **ret, struct buf *error);

/* Whether guests may have it. */
static inline bool image_is_offered(const struct image *i)
{
	return i->is_public || i->is_cached;
}

/*
 * Opens part @part for reading; @images_fd is STATE/images. The caller's descriptor, -ESTALE when the file is not what was imported,
 * -ENOENT, or -errno.
 */
int image_open(const struct image *i, int images_fd, size_t part);
