/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backings: files that the kernel reads by itself for nodes of the tree, registered by the keeper
 *
 * Structs and numbers are repeated here because the headers of Debian 12 lack them (include/uapi/linux/fuse.h).
 */
#include "backings.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/text.h"

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define IOC_BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)

static size_t find(const struct backings *b, uint64_t node)
{
	size_t i = 0;

	while (i < SHARED_BACKINGS_MAX && b->list[i].node != node)
		i++;
	return i;
}

void backings_take_up(struct backings *b, const struct shared *s)
{
	for (size_t i = 0; i < SHARED_BACKINGS_MAX; i++) {
		b->list[i].id = s->backings[i].id;
		b->list[i].node = b->list[i].id > 0 ? (uint64_t)s->backings[i].node : 0;
	}
}

/* The path of @fd as the kernel has it, which nobody without rights there can make up. */
static bool is_below(int fd, const char *state_dir)
{
	char link[32], path[PATH_MAX], images[PATH_MAX + 16], real[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || !realpath(state_dir, real))
		return false;
	path[n] = '\0';
	snprintf(images, sizeof(images), "%s/images/", real);
	return text_has_prefix(path, images);
}

static bool is_image(int fd, const char *state_dir)
{
	struct stat st;
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) == O_RDONLY && !(flags & O_PATH) &&
	       fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_below(fd, state_dir);
}

int backings_open(struct backings *b, int fuse_fd, const char *state_dir, uint64_t node, int fd)
{
	const struct backing_map map = {.fd = fd};
	size_t i = node ? find(b, node) : SHARED_BACKINGS_MAX;
	int r;

	if (!node || !is_image(fd, state_dir))
		return -EACCES;
	if (i < SHARED_BACKINGS_MAX)
		return b->list[i].id;
	i = find(b, 0);
	if (i == SHARED_BACKINGS_MAX)
		return -ENOSPC;
	r = ioctl(fuse_fd, IOC_BACKING_OPEN, &map);
	if (r <= 0)
		return r < 0 ? -errno : -EPROTO;
	b->list[i].node = node;
	b->list[i].id = r;
	return r;
}

void backings_close(struct backings *b, int fuse_fd, uint64_t node)
{
	size_t i = node ? find(b, node) : SHARED_BACKINGS_MAX;
	uint32_t id;

	if (i == SHARED_BACKINGS_MAX)
		return;
	id = (uint32_t)b->list[i].id;
	if (ioctl(fuse_fd, IOC_BACKING_CLOSE, &id) < 0)
		log_debug("cannot give up a file that the kernel reads, ignoring: %m");
	b->list[i].node = 0;
	b->list[i].id = 0;
}
