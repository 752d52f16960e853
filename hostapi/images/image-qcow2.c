/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See image-qcow2.h. Two levels of tables say where the clusters of the disk are in the file: L1 names tables, L2 names data. No table is in a whole file
 * twice, so as many are read as there can be and no more.
 */
#include "images/image-qcow2.h"

#include <endian.h>
#include <stddef.h>

#include "base/cleanup.h"

#define STAGE        "checking"
#define NOT_COMPLETE "it is not complete: its end is missing"

#define EXTERNAL_DATA (1 << 2) /* of the incompatible features */
#define EXTENDED_L2   (1 << 4)
#define COMPRESSED    (1ULL << 62)
#define OFFSET_MASK   0x00fffffffffffe00ULL

enum {
	CLUSTER_BITS_MIN = 9,
	CLUSTER_BITS_MAX = 21,
	L1_PIECE = 1024, /* entries */
};

struct head {
	uint32_t magic, version;
	uint64_t backing_offset;
	uint32_t backing_size, cluster_bits;
	uint64_t disk_size;
	uint32_t encryption, l1_entries;
	uint64_t l1_offset, refcount_offset;
	uint32_t refcount_clusters, n_snapshots;
	uint64_t snapshots_offset, incompatible; /* version 3 */
} __attribute__((packed));

struct disk {
	int fd;
	uint64_t size;
	unsigned cluster_bits;
	size_t entry_words; /* of an L2 entry: 1, or 2 with subclusters */
	uint64_t n_tables;  /* read so far */
	uint64_t *table;    /* one cluster */
	const struct image_watch *watch;
	struct buf *error;
};

static int complain(struct buf *error, const char *what)
{
	return buf_puts(error, what) ?: -EINVAL;
}

static bool is_within(uint64_t offset, uint64_t n, uint64_t size)
{
	return n <= size && offset <= size - n;
}

/* All @n bytes at @offset. Returns 0, -EINVAL with a complaint where the file ends before, or -errno. */
static int read_at(const struct disk *d, void *bytes, size_t n, uint64_t offset)
{
	size_t done = 0;

	if (!is_within(offset, n, d->size))
		return complain(d->error, NOT_COMPLETE);
	while (done < n) {
		ssize_t k = pread(d->fd, (char *)bytes + done, n - done, (off_t)(offset + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			return complain(d->error, NOT_COMPLETE);
		done += (size_t)k;
	}
	return 0;
}

/* Where the data of an L2 entry begin; 0: there are none. */
static uint64_t data_offset(const struct disk *d, uint64_t entry)
{
	if (entry & COMPRESSED)
		return entry & ((1ULL << (62 - (d->cluster_bits - 8))) - 1);
	return entry & OFFSET_MASK;
}

static int check_table(struct disk *d, uint64_t offset)
{
	size_t n = ((size_t)1 << d->cluster_bits) / sizeof(uint64_t);
	int r = image_watch_tell(d->watch, STAGE, d->n_tables << d->cluster_bits, d->size);

	if (r == 0 && d->n_tables++ > d->size >> d->cluster_bits)
		return complain(d->error,
				"it is damaged: it has more tables than there is room for");
	if (r == 0)
		r = read_at(d, d->table, n * sizeof(uint64_t), offset);
	for (size_t i = 0; i < n && r == 0; i += d->entry_words)
		if (data_offset(d, be64toh(d->table[i])) >= d->size)
			r = complain(d->error, NOT_COMPLETE);
	return r;
}

static int check_tables(struct disk *d, uint64_t l1_offset, uint32_t n_entries)
{
	_cleanup_(freep) uint64_t *piece = calloc(L1_PIECE, sizeof(*piece));
	int r = piece ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < n_entries && r == 0; i += L1_PIECE) {
		size_t n = n_entries - i < L1_PIECE ? n_entries - i : L1_PIECE;

		r = read_at(d, piece, n * sizeof(*piece), l1_offset + i * sizeof(*piece));
		for (size_t k = 0; k < n && r == 0; k++) {
			uint64_t offset = be64toh(piece[k]) & OFFSET_MASK;

			if (offset)
				r = check_table(d, offset);
		}
	}
	return r;
}

/* What can be said of the head alone. */
static int check_head(struct disk *d, const struct head *h)
{
	uint64_t features = be64toh(h->incompatible);

	d->cluster_bits = be32toh(h->cluster_bits);
	if (d->cluster_bits < CLUSTER_BITS_MIN || d->cluster_bits > CLUSTER_BITS_MAX)
		return complain(d->error, "it is not qcow2 of version 2 or 3");
	if (h->backing_offset || (features & EXTERNAL_DATA))
		return complain(d->error, "it needs another file; convert it with qemu-img");
	d->entry_words = features & EXTENDED_L2 ? 2 : 1;
	if (!is_within(be64toh(h->l1_offset), (uint64_t)be32toh(h->l1_entries) * 8, d->size) ||
	    !is_within(be64toh(h->refcount_offset),
		       (uint64_t)be32toh(h->refcount_clusters) << d->cluster_bits, d->size))
		return complain(d->error, NOT_COMPLETE);
	return 0;
}

int image_qcow2_check(int fd, uint64_t size, const struct image_watch *watch, struct buf *error)
{
	_cleanup_(freep) uint64_t *table = NULL;
	struct disk d = {.fd = fd, .size = size, .watch = watch, .error = error};
	struct head h = {0};
	int r = read_at(&d, &h, offsetof(struct head, incompatible), 0);

	if (r == 0 && be32toh(h.version) == 3)
		r = read_at(&d, &h, sizeof(h), 0);
	else if (r == 0 && be32toh(h.version) != 2)
		r = complain(error, "it is not qcow2 of version 2 or 3");
	if (r == 0)
		r = check_head(&d, &h);
	if (r < 0)
		return r;
	d.table = table = calloc(1, (size_t)1 << d.cluster_bits);
	return table ? check_tables(&d, be64toh(h.l1_offset), be32toh(h.l1_entries)) : -ENOMEM;
}
