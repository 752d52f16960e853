#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metadata.yaml: what an image says of itself
 */
#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Reads the @n bytes of @text. *ret is a new object {"architecture", "creation_date", "properties"}, the last one of texts. Guests'
 * managers take no image without the first two. Pure. Returns 0, -EINVAL with *error (line and column, never a value), or -ENOMEM.
 */
int image_metadata_parse(const char *text, size_t n, json_t **ret, struct buf *error);
