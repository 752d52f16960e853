/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See image-whole.h. Numbers in the files are of the width and order that their formats have. */
#include "images/image-whole.h"

#include <endian.h>

#include "base/cleanup.h"
#include "images/image-archive.h"

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

struct qcow2_head {
	uint32_t magic, version;
	uint64_t backing_offset;
	uint32_t backing_size, cluster_bits;
	uint64_t disk_size;
	uint32_t encryption, l1_entries;
	uint64_t l1_offset, refcount_offset;
	uint32_t refcount_clusters, n_snapshots;
	uint64_t snapshots_offset, incompatible; /* version 3 */
} __attribute__((packed));

#define QCOW2_EXTERNAL_DATA (1 << 2)

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

static bool is_within(uint64_t offset, uint64_t n, uint64_t size)
{
	return n <= size && offset <= size - n;
}

static int check_qcow2(int fd, uint64_t size, struct buf *error)
{
	struct qcow2_head head = {0};
	uint32_t version, bits;
	int r = read_at(fd, &head, offsetof(struct qcow2_head, incompatible), 0, error);

	if (r < 0)
		return r;
	version = be32toh(head.version);
	bits = be32toh(head.cluster_bits);
	if (version == 3)
		r = read_at(fd, &head, sizeof(head), 0, error);
	if (r < 0)
		return r;
	if ((version != 2 && version != 3) || bits < 9 || bits > 21)
		return complain(error, "it is not qcow2 of version 2 or 3");
	if (head.backing_offset || (be64toh(head.incompatible) & QCOW2_EXTERNAL_DATA))
		return complain(error, "it needs another file; convert it with qemu-img");
	if (!is_within(be64toh(head.l1_offset), (uint64_t)be32toh(head.l1_entries) * 8, size) ||
	    !is_within(be64toh(head.refcount_offset),
		       (uint64_t)be32toh(head.refcount_clusters) << bits, size))
		return complain(error, NOT_COMPLETE);
	return 0;
}

int image_whole_check(int fd, const struct image_type *type, uint64_t size,
		      const struct image_watch *watch, struct buf *error)
{
	if (type->form == IMAGE_FORM_SQUASHFS)
		return check_squashfs(fd, size, error);
	if (type->form == IMAGE_FORM_QCOW2)
		return check_qcow2(fd, size, error);
	if (type->packing == IMAGE_PACKING_NONE)
		return check_tar(fd, size, error);
	return image_archive_check(fd, type, size, watch, error);
}
