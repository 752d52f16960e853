/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * STATE and RUN/published: given to the worker's account
 *
 * Directories of records pass their group on (setgid), so the command need not know the account. Nothing is
 * followed: an earlier worker could write in two of these directories. A file that has another name elsewhere is left alone.
 */
#include "statedir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "login.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"

/* Through /proc: fchmod() takes no O_PATH, and a file must not be opened to be looked at. */
static int change_mode(int path_fd, mode_t mode)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
	return chmod(link, mode) < 0 ? -errno : 0;
}

static int change_owner(int path_fd, uid_t uid, gid_t gid)
{
	return fchownat(path_fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* The bits are dropped by changing the owner, so they are set after it. */
static int give(int path_fd, const struct stat *st, const struct login *a, bool is_workers,
		mode_t mode)
{
	uid_t uid = is_workers ? a->uid : st->st_uid;
	int r = 0;

	if (st->st_uid != uid || st->st_gid != a->gid)
		r = change_owner(path_fd, uid, a->gid);
	if (r == 0 && (st->st_mode & 07777) != mode)
		r = change_mode(path_fd, mode);
	return r;
}

static int give_file(int dir_fd, const char *name, const struct login *a, bool is_workers)
{
	_cleanup_(closep) int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return 0;
	return give(fd, &st, a, is_workers,
		    is_workers ? 0600 : (st.st_mode & 07777 & ~(mode_t)0020) | 0040);
}

static int give_files(int dir_fd, const struct login *a, bool is_workers)
{
	_cleanup_(file_closedirp) DIR *dir = file_opendir(dir_fd);
	const struct dirent *e;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (e = readdir(dir)))
		r = give_file(dir_fd, e->d_name, a, is_workers);
	return r;
}

static int make_and_open(const char *path, bool is_workers)
{
	int flags = O_RDONLY | O_DIRECTORY | (is_workers ? O_NOFOLLOW : 0);
	int r = file_mkdirs(path, 0700), fd = open(path, flags | O_CLOEXEC);

	return fd >= 0 ? fd : r < 0 ? r : -errno;
}

/*
 * Returns a descriptor or -errno. One of the worker's may be in another one of the worker's, who could put something else in its
 * place: no link is followed there, and what is no directory goes.
 */
static int open_dir(const char *path, bool is_workers)
{
	int r = make_and_open(path, is_workers);

	return r < 0 && is_workers && unlink(path) == 0 ? make_and_open(path, true) : r;
}

/* The directory first, so that what is made in it from now on is the group's. */
static int give_dir(int fd, const struct login *a, bool is_workers, bool has_files)
{
	struct stat st;
	int r = fstat(fd, &st) < 0 ? -errno : 0;

	if (r == 0)
		r = change_owner(fd, is_workers ? a->uid : st.st_uid, a->gid);
	if (r == 0 && fchmod(fd, is_workers ? 0700 : 02750) < 0)
		r = -errno;
	return r == 0 && has_files ? give_files(fd, a, is_workers) : r;
}

/* Images have a directory each. What begins with a dot is the command's own: who imports gives an image its group at the end. */
static int give_images(int dir_fd, const struct login *a)
{
	_cleanup_(file_closedirp) DIR *dir = file_opendir(dir_fd);
	const struct dirent *e;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (e = readdir(dir))) {
		_cleanup_(closep) int image_fd = -1;

		if (e->d_name[0] == '.')
			continue;
		image_fd =
			openat(dir_fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		/* Files and links are nobody's image; one may be removed meanwhile. */
		if (image_fd >= 0)
			r = give_dir(image_fd, a, false, true);
		else if (errno != ENOTDIR && errno != ELOOP)
			r = -errno;
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

static int prepare(const char *path, bool is_workers, bool has_files, const struct login *a)
{
	int r = open_dir(path, is_workers);
	_cleanup_(closep) int fd = r;

	if (r >= 0)
		r = give_dir(fd, a, is_workers, has_files);
	if (r < 0)
		log_error("cannot give \"%s\" to the group \"%s\": %s", path, a->group,
			  strerror(-r));
	return r;
}

static int prepare_below(const char *dir, const char *name, bool is_workers, const struct login *a)
{
	_cleanup_(buf_finish) struct buf path = {0};

	if (buf_printf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	return prepare(path.data, is_workers, true, a);
}

static int prepare_images(const char *state_dir, const struct login *a)
{
	_cleanup_(buf_finish) struct buf path = {0};
	_cleanup_(closep) int fd = -1;
	int r = buf_printf(&path, "%s/images", state_dir);

	/* The lock in it is not given: who can open it can keep it. */
	if (r == 0)
		r = prepare(path.data, false, false, a);
	if (r < 0)
		return r;
	fd = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : give_images(fd, a);
	if (r < 0)
		log_error("cannot give what is in \"%s\" to the group \"%s\": %s", path.data,
			  a->group, strerror(-r));
	return r;
}

int statedir_prepare(const char *state_dir, const char *run_dir, const struct login *a)
{
	int r = prepare(state_dir, false, false, a);

	if (r == 0)
		r = prepare_below(state_dir, "instances", false, a);
	if (r == 0)
		r = prepare_below(state_dir, "profiles", false, a);
	if (r == 0)
		r = prepare_images(state_dir, a);
	if (r == 0)
		r = prepare_below(state_dir, "volatile", true, a);
	if (r == 0)
		r = prepare_below(run_dir, "published", true, a);
	return r == 0 ? prepare_below(run_dir, "published/kept", true, a) : r;
}
