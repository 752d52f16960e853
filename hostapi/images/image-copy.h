#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of a file into another, in the way that costs least
 */
#include "images/image-watch.h"

/*
 * Copies the @size bytes of @from, a regular file, into the empty file @to: sharing them where the file system can, else
 * in the kernel, else through memory. Returns 0, -ESTALE when @from does not have that size any more, what @watch returns, or -errno.
 */
int image_copy(int from, int to, uint64_t size, const struct image_watch *watch);
