#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What kind of file a part of an image is, by its first bytes
 *
 * Pure. The suffixes are those that LXD gives to what it exports.
 */
#include <stddef.h>

#define IMAGE_TYPE_BYTES 262 /* as many decide */

enum image_form {
	IMAGE_FORM_TAR,
	IMAGE_FORM_SQUASHFS,
	IMAGE_FORM_QCOW2,
};

enum image_packing {
	IMAGE_PACKING_NONE,
	IMAGE_PACKING_GZIP,
	IMAGE_PACKING_BZIP2,
	IMAGE_PACKING_XZ,
	IMAGE_PACKING_LZMA,
	IMAGE_PACKING_ZSTD,
};

struct image_type {
	const char *suffix; /* ".tar.xz" */
	enum image_form form;
	enum image_packing
		packing; /* of a tar archive; that there is one inside is not known yet */
};

/* The type of a file that begins with these @n bytes; static. NULL: none that an image can have. */
const struct image_type *image_type_of(const void *bytes, size_t n);
