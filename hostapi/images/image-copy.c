/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See image-copy.h. Each way goes on where the one before it has stopped. */
#include "images/image-copy.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"

#define STAGE "copying"

enum {
	STEP_BYTES = 16 << 20, /* between two looks at who watches */
	BLOCK_BYTES = 1 << 20,
};

/* *@done moves on. Returns 0 at the end of @from or where the kernel cannot copy between these two, or -errno. */
static int copy_in_kernel(int from, int to, uint64_t size, uint64_t *done,
			  const struct image_watch *watch)
{
	for (;;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, STEP_BYTES, 0);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ENOSPC || errno == EDQUOT || errno == EIO ? -errno : 0;
		if (n == 0)
			return 0;
		*done += (uint64_t)n;
		r = image_watch_tell(watch, STAGE, *done, size);
		if (r < 0)
			return r;
	}
}

static int copy_through_memory(int from, int to, uint64_t size, uint64_t *done,
			       const struct image_watch *watch)
{
	_cleanup_(freep) char *block = malloc(BLOCK_BYTES);

	if (!block)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(from, block, BLOCK_BYTES);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		r = file_write_all(to, block, (size_t)n);
		*done += (uint64_t)n;
		if (r == 0)
			r = image_watch_tell(watch, STAGE, *done, size);
		if (r < 0)
			return r;
	}
}

int image_copy(int from, int to, uint64_t size, const struct image_watch *watch)
{
	uint64_t done = 0;
	struct stat st;
	int r = image_watch_tell(watch, STAGE, 0, size);

	if (r == 0 && ioctl(to, FICLONE, from) < 0) {
		r = lseek(from, 0, SEEK_SET) < 0 ? -errno : 0;
		if (r == 0)
			r = copy_in_kernel(from, to, size, &done, watch);
		if (r == 0)
			r = copy_through_memory(from, to, size, &done, watch);
	}
	if (r < 0)
		return r;
	if (fstat(to, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != size)
		return -ESTALE;
	return image_watch_tell(watch, STAGE, size, size);
}
