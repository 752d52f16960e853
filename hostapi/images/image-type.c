/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See image-type.h. */
#include "images/image-type.h"

#include "base/cleanup.h"

static const struct {
	size_t offset, n;
	const char *magic;
	struct image_type type;
} types[] = {
	{257, 5, "ustar", {".tar", IMAGE_FORM_TAR, IMAGE_PACKING_NONE}},
	{0, 2, "\x1f\x8b", {".tar.gz", IMAGE_FORM_TAR, IMAGE_PACKING_GZIP}},
	{0, 3, "BZh", {".tar.bz2", IMAGE_FORM_TAR, IMAGE_PACKING_BZIP2}},
	{0,
	 6,
	 "\xfd"
	 "7zXZ\0",
	 {".tar.xz", IMAGE_FORM_TAR, IMAGE_PACKING_XZ}},
	{0, 3, "\x5d\0\0", {".tar.lzma", IMAGE_FORM_TAR, IMAGE_PACKING_LZMA}},
	{0, 4, "\x28\xb5\x2f\xfd", {".tar.zst", IMAGE_FORM_TAR, IMAGE_PACKING_ZSTD}},
	{0, 4, "hsqs", {".squashfs", IMAGE_FORM_SQUASHFS, IMAGE_PACKING_NONE}},
	{0, 4, "QFI\xfb", {".qcow2", IMAGE_FORM_QCOW2, IMAGE_PACKING_NONE}},
};

const struct image_type *image_type_of(const void *bytes, size_t n)
{
	const char *at = bytes;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].offset + types[i].n <= n &&
		    memcmp(at + types[i].offset, types[i].magic, types[i].n) == 0)
			return &types[i].type;
	return NULL;
}
