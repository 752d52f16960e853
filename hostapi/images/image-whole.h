#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether the end of a part is there, and all that it needs
 */
#include "base/buf.h"
#include "images/image-type.h"
#include "images/image-watch.h"

/*
 * Looks at @fd, @size bytes. What is packed is unpacked to its end; the others say themselves how long they are. Returns 0, -EINVAL with *error, what @watch returns, or -errno.
 */
int image_whole_check(int fd, const struct image_type *type, uint64_t size,
		      const struct image_watch *watch, struct buf *error);
