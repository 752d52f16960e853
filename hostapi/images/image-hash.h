#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fingerprint of files: the SHA-256 of their bytes, one after the other
 */
#include <stddef.h>

#include "images/image-watch.h"

/*
 * Reads the @n files from their beginnings; @total is how many bytes they have. @ret is 64 hex digits and NUL. Returns 0, what @watch
 * returns, or -errno.
 */
int image_hash(const int *fds, size_t n, uint64_t total, const struct image_watch *watch,
	       char ret[65]);
