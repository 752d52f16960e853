/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See image-staging.h. */
#include "images/image-staging.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "store/ownership.h"

#define PREFIX ".import-"

static DIR *open_listing(int dir_fd)
{
	_cleanup_(closep) int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir)
		fd = -1; /* dir's */
	return dir;
}

/* With the files in it; it has no directories. */
static int remove_directory(int parent_fd, int fd, const char *name)
{
	_cleanup_(file_closedirp) DIR *dir = open_listing(fd);
	const struct dirent *e;

	if (!dir)
		return -errno;
	while ((e = readdir(dir)))
		if (!streq(e->d_name, ".") && !streq(e->d_name, "..") &&
		    unlinkat(fd, e->d_name, 0) < 0)
			return -errno;
	return unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Opens it and holds it. -EWOULDBLOCK when another one does. */
static int hold(int parent_fd, const char *name)
{
	_cleanup_(closep) int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return steal_fd(&fd);
}

static int remove_dead(int parent_fd)
{
	_cleanup_(file_closedirp) DIR *dir = open_listing(parent_fd);
	const struct dirent *e;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		_cleanup_(closep) int fd =
			text_has_prefix(e->d_name, PREFIX) ? hold(parent_fd, e->d_name) : -1;

		/* One that somebody has put a directory into stays, and is in nobody's way. */
		if (fd >= 0)
			(void)remove_directory(parent_fd, fd, e->d_name);
	}
	return 0;
}

static int choose_name(char name[IMAGE_STAGING_NAME_SIZE])
{
	uint64_t salt;

	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
		return -EIO;
	snprintf(name, IMAGE_STAGING_NAME_SIZE, PREFIX "%016llx", (unsigned long long)salt);
	return 0;
}

int image_staging_new(struct image_store *s, struct image_staging *ret)
{
	int parent_fd = image_store_fd(s), r = remove_dead(parent_fd);
	_cleanup_(ownership_return) struct ownership o = ownership_take(parent_fd);
	struct image_staging i = {.store = s};

	if (r == 0)
		r = choose_name(i.name);
	if (r == 0 && mkdirat(parent_fd, i.name, 0700) < 0)
		r = -errno;
	if (r < 0)
		return r;
	i.fd = hold(parent_fd, i.name);
	if (i.fd < 0) {
		unlinkat(parent_fd, i.name, AT_REMOVEDIR);
		return i.fd;
	}
	*ret = i;
	return 0;
}

static int give_group(int dir_fd, const char *name, gid_t gid, mode_t mode)
{
	if (fchownat(dir_fd, name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return fchmodat(dir_fd, name, mode, 0) < 0 ? -errno : 0;
}

/* The group of the store's directory, which the daemon's keeper has chosen, may read it from now on. */
static int open_to_group(const struct image_staging *i)
{
	int parent_fd = image_store_fd(i->store), r = 0;
	_cleanup_(file_closedirp) DIR *dir = open_listing(i->fd);
	const struct dirent *e;
	struct stat st;

	if (!dir || fstat(parent_fd, &st) < 0)
		return -errno;
	while (r == 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			r = give_group(i->fd, e->d_name, st.st_gid, 0640);
	return r < 0 ? r : give_group(parent_fd, i->name, st.st_gid, 0750 | (st.st_mode & S_ISGID));
}

int image_staging_commit(struct image_staging *i, const char *fingerprint)
{
	int parent_fd = image_store_fd(i->store), r = open_to_group(i);

	if (r < 0)
		return r;
	if (fsync(i->fd) < 0 ||
	    renameat2(parent_fd, i->name, parent_fd, fingerprint, RENAME_NOREPLACE) < 0)
		return -errno;
	r = fsync(parent_fd) < 0 ? -errno : 0;
	/* Who is told that it failed shall not find it there. */
	if (r < 0 && renameat2(parent_fd, fingerprint, parent_fd, i->name, RENAME_NOREPLACE) == 0)
		return r;
	closep(&i->fd);
	i->fd = -1;
	return r;
}

void image_staging_finish(struct image_staging *i)
{
	if (i->fd < 0)
		return;
	(void)remove_directory(image_store_fd(i->store), i->fd, i->name);
	closep(&i->fd);
	i->fd = -1;
}

int image_staging_remove(struct image_store *s, const char *fingerprint)
{
	int parent_fd = image_store_fd(s);
	/* Not held: the daemon's worker can open it, and could keep it so. */
	_cleanup_(closep) int fd =
		openat(parent_fd, fingerprint, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char name[IMAGE_STAGING_NAME_SIZE];
	int r = fd < 0 ? -errno : choose_name(name);

	if (r < 0)
		return r;
	if (renameat2(parent_fd, fingerprint, parent_fd, name, RENAME_NOREPLACE) < 0 ||
	    fsync(parent_fd) < 0)
		return -errno;
	return remove_directory(parent_fd, fd, name);
}
