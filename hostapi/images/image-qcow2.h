#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks in QEMU's format, as far as it takes to see that all of one is there
 */
#include "base/buf.h"
#include "images/image-watch.h"

/*
 * Looks at @fd, @size bytes: every cluster that its tables name begins within. One that needs another file is refused: that file would be one of whoever uses the
 * image. Returns 0, -EINVAL with *error, what @watch returns, or -errno.
 */
int image_qcow2_check(int fd, uint64_t size, const struct image_watch *watch, struct buf *error);
