/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See image-archive.h. libarchive would guess packings, one within the other, and step over an entry in one call, however much there
 * is to unpack; so it is told which one, and entries are read block by block.
 */
#include "images/image-archive.h"

#include <archive.h>
#include <archive_entry.h>

#include "base/cleanup.h"
#include "base/text.h"

#define STAGE "checking"

enum {
	BLOCK_BYTES = 1 << 18,
	RATIO_MAX = 256, /* bytes out of one that is read, beyond the first SLACK_BYTES */
	SLACK_BYTES = 1 << 30,
};

struct reading {
	struct archive *archive;
	uint64_t size, max;
	bool is_packed;
	const struct image_watch *watch;
	struct buf *error;
};

static void archive_freep(struct archive **a)
{
	archive_read_free(*a);
}

void image_archive_finish(struct image_archive *a)
{
	buf_finish(&a->metadata);
	*a = (struct image_archive){0};
}

static int complain(struct buf *error, const char *what)
{
	return buf_puts(error, what) ?: -EINVAL;
}

/* What libarchive says, as far as it is one line. */
static int complain_of(const struct reading *r)
{
	const char *text = archive_error_string(r->archive);
	int code = archive_errno(r->archive);

	if (code == ENOMEM || code == EIO)
		return -code;
	if (!text)
		return complain(r->error, "it is damaged or not complete");
	return buf_printf(r->error, "it is damaged or not complete: %.*s", (int)strcspn(text, "\n"),
			  text)
		       ?: -EINVAL;
}

/* Between two pieces: is it too much, and does somebody want it to end? */
static int pause_for(const struct reading *r)
{
	int64_t out = archive_filter_bytes(r->archive, 0),
		in = archive_filter_bytes(r->archive, -1);

	if (out > 0 && (uint64_t)out > r->max)
		return complain(r->error, "it unpacks to more than an image can be");
	return image_watch_tell(r->watch, STAGE, in > 0 ? (uint64_t)in : 0, r->size);
}

static int open_archive(struct reading *r, int fd, const struct image_type *type, bool is_raw)
{
	static const int filters[] = {
		[IMAGE_PACKING_NONE] = ARCHIVE_FILTER_NONE,
		[IMAGE_PACKING_GZIP] = ARCHIVE_FILTER_GZIP,
		[IMAGE_PACKING_BZIP2] = ARCHIVE_FILTER_BZIP2,
		[IMAGE_PACKING_XZ] = ARCHIVE_FILTER_XZ,
		[IMAGE_PACKING_LZMA] = ARCHIVE_FILTER_LZMA,
		[IMAGE_PACKING_ZSTD] = ARCHIVE_FILTER_ZSTD,
	};
	struct archive *a = r->archive = archive_read_new();

	if (!a)
		return -ENOMEM;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r->is_packed = type->packing != IMAGE_PACKING_NONE;
	r->max = SLACK_BYTES +
		 (r->size < UINT64_MAX / RATIO_MAX / 2 ? r->size * RATIO_MAX : UINT64_MAX / 2);
	if ((is_raw ? archive_read_support_format_raw(a) : archive_read_support_format_tar(a)) !=
		    ARCHIVE_OK ||
	    (r->is_packed && archive_read_append_filter(a, filters[type->packing]) != ARCHIVE_OK) ||
	    archive_read_open_fd(a, fd, BLOCK_BYTES) != ARCHIVE_OK)
		return complain_of(r);
	return 0;
}

/* What is left of an entry. */
static int step_over(struct reading *r)
{
	const void *block;
	size_t n;
	la_int64_t offset;
	int code;

	if (!r->is_packed) {
		code = archive_read_data_skip(r->archive);
		return code < ARCHIVE_WARN ? complain_of(r) : pause_for(r);
	}
	while ((code = archive_read_data_block(r->archive, &block, &n, &offset)) >= ARCHIVE_WARN) {
		int e = code == ARCHIVE_EOF ? 0 : pause_for(r);

		if (e < 0 || code == ARCHIVE_EOF)
			return e;
	}
	return complain_of(r);
}

static int read_metadata(struct reading *r, struct image_archive *ret)
{
	size_t max = IMAGE_ARCHIVE_METADATA_MAX;
	int e = buf_reserve(&ret->metadata, max + 1);

	if (e < 0)
		return e;
	while (ret->metadata.len <= max) {
		la_ssize_t n = archive_read_data(r->archive, ret->metadata.data + ret->metadata.len,
						 max + 1 - ret->metadata.len);

		if (n < 0)
			return complain_of(r);
		if (n == 0) {
			ret->has_metadata = true;
			ret->metadata.data[ret->metadata.len] = '\0';
			return 0;
		}
		ret->metadata.len += (size_t)n;
	}
	return complain(r->error, "its metadata.yaml is larger than 1 MiB");
}

static int take_entry(struct reading *r, struct archive_entry *entry, struct image_archive *ret)
{
	const char *path = archive_entry_pathname(entry);
	bool is_file = archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry);

	if (!path)
		return step_over(r);
	if (text_has_prefix(path, "./"))
		path += 2;
	if (is_file && !ret->has_metadata && streq(path, "metadata.yaml"))
		return read_metadata(r, ret);
	if (is_file && streq(path, "rootfs.img"))
		ret->has_disk = true;
	else if (text_has_prefix(path, "rootfs/") || streq(path, "rootfs"))
		ret->has_rootfs = true;
	return 0;
}

static bool is_enough(const struct image_archive *a, bool is_unified)
{
	return a->has_metadata && (!is_unified || a->has_rootfs || a->has_disk);
}

static int read_entries(struct reading *r, bool is_unified, struct image_archive *ret)
{
	struct archive_entry *entry;
	int code, e = 0;

	while (e == 0 && !is_enough(ret, is_unified)) {
		code = archive_read_next_header(r->archive, &entry);
		if (code == ARCHIVE_EOF)
			return 0;
		if (code < ARCHIVE_WARN)
			return complain_of(r);
		e = pause_for(r);
		if (e == 0)
			e = take_entry(r, entry, ret);
		if (e == 0 && !is_enough(ret, is_unified))
			e = step_over(r);
	}
	return e;
}

int image_archive_read(int fd, const struct image_type *type, uint64_t size, bool is_unified,
		       const struct image_watch *watch, struct image_archive *ret,
		       struct buf *error)
{
	_cleanup_(image_archive_finish) struct image_archive found = {0};
	_cleanup_(archive_freep) struct archive *a = NULL;
	struct reading reading = {.size = size, .watch = watch, .error = error};
	int r = open_archive(&reading, fd, type, false);

	a = reading.archive;
	if (r == 0)
		r = read_entries(&reading, is_unified, &found);
	if (r < 0)
		return r;
	*ret = found;
	found = (struct image_archive){0};
	return 0;
}

int image_archive_check(int fd, const struct image_type *type, uint64_t size,
			const struct image_watch *watch, struct buf *error)
{
	_cleanup_(archive_freep) struct archive *a = NULL;
	struct reading reading = {.size = size, .watch = watch, .error = error};
	struct archive_entry *entry;
	int r = open_archive(&reading, fd, type, true);

	a = reading.archive;
	if (r < 0)
		return r;
	if (archive_read_next_header(a, &entry) < ARCHIVE_WARN)
		return complain_of(&reading);
	return step_over(&reading);
}
