#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tar archives, read with libarchive
 *
 * Whoever made the archive is not trusted: exactly the one packing that its first bytes name is undone, nothing is written out, and
 * what is unpacked is bounded.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "images/image-type.h"
#include "images/image-watch.h"

#define IMAGE_ARCHIVE_METADATA_MAX (1 << 20)

struct image_archive {
	struct buf metadata; /* the text of metadata.yaml */
	bool has_metadata;   /* there is such a file */
	bool has_rootfs;     /* a directory rootfs, or something in it */
	bool has_disk;       /* a file rootfs.img */
};

void image_archive_finish(struct image_archive *a); /* frees what it holds; zeroed is fine */

/*
 * Goes through @fd, @size bytes, until it has found metadata.yaml, and with @is_unified the root file system as well, or the end.
 * Returns 0 whatever it has found; -EINVAL with *error; what @watch returns; or -ENOMEM.
 */
int image_archive_read(int fd, const struct image_type *type, uint64_t size, bool is_unified,
		       const struct image_watch *watch, struct image_archive *ret,
		       struct buf *error);

/*
 * Undoes the packing of @fd to its end, which has to be there. Returns as above.
 */
int image_archive_check(int fd, const struct image_type *type, uint64_t size,
			const struct image_watch *watch, struct buf *error);
