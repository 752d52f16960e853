/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See kept.h
 */
#include "kept.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#define DIRECTORY "kept"
#define NAME_SIZE 21 /* 64 bits in decimal */

/* What a file begins with, in this machine's order: it does not leave the machine. */
struct head {
	char mount_id[40];
	uint64_t id;
	int64_t changed_ns;
	uint32_t mode, uid, gid, size;
};

struct kept *kept_unref(struct kept *k)
{
	if (k && --k->refs == 0)
		free(k);
	return NULL;
}

int kept_open(int published_fd)
{
	int fd;

	if (mkdirat(published_fd, DIRECTORY, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(published_fd, DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

int kept_save(int dir_fd, const char *mount_id, const struct kept *k)
{
	struct head head = {
		.id = k->id,
		.changed_ns = k->changed_ns,
		.mode = k->mode,
		.uid = k->uid,
		.gid = k->gid,
		.size = (uint32_t)k->size,
	};
	_cleanup_(freep) char *bytes = malloc(sizeof(head) + k->size);
	char name[NAME_SIZE];

	if (!bytes)
		return -ENOMEM;
	snprintf(head.mount_id, sizeof(head.mount_id), "%s", mount_id);
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), k->bytes, k->size);
	snprintf(name, sizeof(name), "%" PRIu64, k->id);
	return file_write(dir_fd, name, 0600, bytes, sizeof(head) + k->size, FILE_SYNC_NONE);
}

void kept_remove(int dir_fd, uint64_t id)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%" PRIu64, id);
	(void)unlinkat(dir_fd, name, 0);
}

int kept_parse(const char *bytes, size_t n, const char *mount_id, uint64_t id, struct kept **ret)
{
	struct head head;
	struct kept *k;

	if (n < sizeof(head))
		return -EINVAL;
	memcpy(&head, bytes, sizeof(head));
	head.mount_id[sizeof(head.mount_id) - 1] = '\0';
	if (!streq(head.mount_id, mount_id))
		return 0;
	if (head.id != id || head.size != n - sizeof(head) || head.mode & ~0777U ||
	    head.changed_ns < 0)
		return -EINVAL;
	k = malloc(sizeof(*k) + head.size);
	if (!k)
		return -ENOMEM;
	*k = (struct kept){
		.refs = 1,
		.id = id,
		.changed_ns = head.changed_ns,
		.mode = head.mode,
		.uid = head.uid,
		.gid = head.gid,
		.is_inherited = true,
		.size = head.size,
	};
	memcpy(k->bytes, bytes + sizeof(head), head.size);
	*ret = k;
	return 1;
}

/* The id that a file is named by; 0: it is none of ours. */
static uint64_t id_of(const char *name)
{
	uint64_t id;

	return *name != '0' && text_to_u64(name, 1, UINT64_MAX, &id) == 0 ? id : 0;
}

int kept_load(int dir_fd, const char *mount_id, void (*each)(void *arg, struct kept **k), void *arg)
{
	_cleanup_(file_closedirp) DIR *dir = file_opendir(dir_fd);
	const struct dirent *e;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		_cleanup_(freep) char *bytes = NULL;
		_cleanup_(kept_unrefp) struct kept *k = NULL;
		uint64_t id = id_of(e->d_name);
		size_t n;
		int r;

		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		r = id ? file_read(dir_fd, e->d_name, KEPT_MAX + sizeof(struct head), &bytes, &n)
		       : -EINVAL;
		if (r == 0)
			r = kept_parse(bytes, n, mount_id, id, &k);
		if (r < 0)
			log_debug("published/kept/%s: %s, removing it", e->d_name, strerror(-r));
		if (r == 1)
			each(arg, &k);
		/* What was taken is in use. */
		if (r != 1 || k)
			(void)unlinkat(dir_fd, e->d_name, 0);
	}
	return 0;
}
