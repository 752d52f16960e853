/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tar archives of images and the metadata.yaml in them: found within bounds, or refused with one line. */
#include <assert.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "images/image-archive.h"
#include "images/image-metadata.h"
#include "images/image-whole.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_line(int r, const struct buf *error)
{
	assert(r == 0 || r == -EINVAL);
	assert(!!error->len == (r < 0));
	assert(!error->len || !memchr(error->data, '\n', error->len));
}

static void parse(const struct image_archive *a)
{
	_cleanup_(buf_finish) struct buf error = {0};
	json_auto_t *json = NULL;

	assert_line(image_metadata_parse(a->metadata.data, a->metadata.len, &json, &error), &error);
}

/* Packed data may become a lot: whoever watches has it end. */
static int tell(void *ctx, const char *stage, uint64_t done, uint64_t total)
{
	unsigned *left = ctx;

	return (*left)-- > 0 ? 0 : -EINTR;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct image_type *type = image_type_of(data, size);
	_cleanup_(closep) int fd = type ? memfd_create("image", MFD_CLOEXEC) : -1;
	unsigned left = 1000;
	const struct image_watch watch = {tell, &left};

	if (!type || write(fd, data, size) != (ssize_t)size)
		return 0;
	for (int is_unified = 0; type->form == IMAGE_FORM_TAR && is_unified < 2; is_unified++) {
		_cleanup_(image_archive_finish) struct image_archive a = {0};
		_cleanup_(buf_finish) struct buf error = {0};
		int r = image_archive_read(fd, type, size, is_unified, &watch, &a, &error);

		if (r == -EINTR)
			return 0;
		assert_line(r, &error);
		assert(a.metadata.len <= IMAGE_ARCHIVE_METADATA_MAX);
		if (a.has_metadata)
			parse(&a);
	}
	_cleanup_(buf_finish) struct buf error = {0};
	int r = image_whole_check(fd, type, size, &watch, &error);

	if (r != -EINTR)
		assert_line(r, &error);
	return 0;
}
