/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See image-whole.h. Numbers in the files are of the width and order that their formats have. */
#include "images/image-whole.h"

#include <endian.h>

#include "base/cleanup.h"
#include "images/image-archive.h"
#include "images/image-qcow2.h"

#define NOT_COMPLETE "it is not complete: its end is missing"

enum {
	TAR_BLOCK = 1 << 9,
	TAR_END = 2 * TAR_BLOCK, /* of zeros */
};

struct squashfs_head {
	uint32_t magic, n_inodes, made, block_size, n_fragments;
	uint16_t compression, block_log, flags, n_ids, major, minor;
	uint64_t root, bytes_used;
} __attribute__((packed));

static int complain(struct buf *error, const char *what)
{
	return buf_puts(error, what) ?: -EINVAL;
}

/* All @n bytes at @offset. Returns 0, -EINVAL with *error where the file ends before, or -errno. */
static int read_at(int fd, void *bytes, size_t n, uint64_t offset, struct buf *error)
{
	ssize_t k;

	do
		k = pread(fd, bytes, n, (off_t)offset);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return -errno;
	return (size_t)k == n ? 0 : complain(error, NOT_COMPLETE);
}

static int check_tar(int fd, uint64_t size, struct buf *error)
{
	static const char zeros[TAR_END];
	char end[TAR_END];
	int r;

	if (size % TAR_BLOCK || size < TAR_END)
		return complain(error, NOT_COMPLETE);
	r = read_at(fd, end, sizeof(end), size - TAR_END, error);
	if (r < 0)
		return r;
	return memcmp(end, zeros, TAR_END) == 0 ? 0 : complain(error, NOT_COMPLETE);
}

static int check_squashfs(int fd, uint64_t size, struct buf *error)
{
	struct squashfs_head head;
	int r = read_at(fd, &head, sizeof(head), 0, error);

	if (r < 0)
		return r;
	if (le16toh(head.major) != 4)
		return complain(error, "it is not squashfs of version 4");
	return le64toh(head.bytes_used) <= size ? 0 : complain(error, NOT_COMPLETE);
}

int image_whole_check(int fd, const struct image_type *type, uint64_t size,
		      const struct image_watch *watch, struct buf *error)
{
	if (type->form == IMAGE_FORM_SQUASHFS)
		return check_squashfs(fd, size, error);
	if (type->form == IMAGE_FORM_QCOW2)
		return image_qcow2_check(fd, size, watch, error);
	if (type->packing == IMAGE_PACKING_NONE)
		return check_tar(fd, size, error);
	return image_archive_check(fd, type, size, watch, error);
}
