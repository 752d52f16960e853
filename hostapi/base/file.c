/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole files
 *
 * Knows nothing of what is in them. Invariant: under its real name a file is
 * only ever whole; whatever goes wrong leaves the old bytes and no debris.
 */
#include "base/file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/buf.h"
#include "base/cleanup.h"

/* Appends what @fd still has to say, but fails with -EFBIG once @b would hold more than @max. */
static int read_all(int fd, size_t max, struct buf *b)
{
	for (;;) {
		ssize_t n;
		int r = b->size - b->len < 2 ? buf_reserve(b, 4096) : 0;

		if (r < 0)
			return r;
		n = read(fd, b->data + b->len, b->size - b->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		b->len += (size_t)n;
		if (b->len > max)
			return -EFBIG;
	}
	b->data[b->len] = '\0';
	return 0;
}

int file_read(int dir_fd, const char *name, size_t max, char **ret_bytes, size_t *ret_len)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(buf_finish) struct buf b = {0};
	struct stat st;
	int r;

	/* O_NONBLOCK: opening a FIFO without a writer must not wait for one. */
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ENXIO ? -EINVAL : -errno; /* ENXIO: a socket */
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	/* One more than the size, so that the read that finds the end needs no growth. */
	r = buf_reserve(&b, (size_t)st.st_size + 1);
	if (r < 0)
		return r;
	r = read_all(fd, max, &b);
	if (r < 0)
		return r;
	*ret_bytes = buf_steal(&b, ret_len);
	return 0;
}

ssize_t file_read_proc(int dir_fd, const char *name, char *buf, size_t size)
{
	_cleanup_(closep) int fd = -1;
	size_t len = 0;

	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			buf[len] = '\0';
			return (ssize_t)len;
		}
		len += (size_t)n;
	}
	return -EFBIG;
}

int file_write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, bytes, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		bytes += k;
		n -= (size_t)k;
	}
	return 0;
}

/* Syncs the directory that @name, relative to @dir_fd, stands in. @dir_fd itself may be O_PATH. */
static int sync_parent(int dir_fd, const char *name)
{
	const char *slash = strrchr(name, '/');
	_cleanup_(freep) char *parent = NULL;
	_cleanup_(closep) int fd = -1;

	parent = slash ? strndup(name, (size_t)(slash - name) + 1) : strdup(".");
	if (!parent)
		return -ENOMEM;
	fd = openat(dir_fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int temporary_name(const char *name, char **ret)
{
	const char *slash = strrchr(name, '/');
	int n_dir = slash ? (int)(slash - name) + 1 : 0;
	_cleanup_(buf_finish) struct buf b = {0};
	uint64_t salt;
	int r;

	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
		return -EIO;
	r = buf_printf(&b, "%.*s.%s.%016llx", n_dir, name, name + n_dir, (unsigned long long)salt);
	if (r < 0)
		return r;
	*ret = buf_steal(&b, NULL);
	return *ret ? 0 : -ENOMEM;
}

static int fill_and_rename(int dir_fd, int fd, const char *from, const char *to, mode_t mode,
			   const void *bytes, size_t n, enum file_sync sync)
{
	int r;

	if (fchmod(fd, mode) < 0)
		return -errno;
	r = file_write_all(fd, bytes, n);
	if (r < 0)
		return r;
	if (sync == FILE_SYNC_FULL && fsync(fd) < 0)
		return -errno;
	if (renameat(dir_fd, from, dir_fd, to) < 0)
		return -errno;
	return 0;
}

int file_write(int dir_fd, const char *name, mode_t mode, const void *bytes, size_t n,
	       enum file_sync sync)
{
	_cleanup_(freep) char *temporary = NULL;
	_cleanup_(closep) int fd = -1;
	int r;

	r = temporary_name(name, &temporary);
	if (r < 0)
		return r;
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fill_and_rename(dir_fd, fd, temporary, name, mode, bytes, n, sync);
	if (r < 0) {
		unlinkat(dir_fd, temporary, 0);
		return r;
	}
	return sync == FILE_SYNC_FULL ? sync_parent(dir_fd, name) : 0;
}

int file_remove(int dir_fd, const char *name)
{
	if (unlinkat(dir_fd, name, 0) < 0)
		return -errno;
	return sync_parent(dir_fd, name);
}

int file_lock(int dir_fd, const char *name, bool wait)
{
	_cleanup_(closep) int fd = -1;

	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return steal_fd(&fd);
}

/* mkdir(2) whatever the umask; what exists is left alone, -ENOTDIR if it is no directory. */
static int make_directory(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return chmod(path, mode) < 0 ? -errno : 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_mkdirs(const char *path, mode_t mode)
{
	_cleanup_(freep) char *copy = NULL;

	if (!*path)
		return -ENOENT;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; *p; p++) {
		int r;

		if (*p != '/' || p[1] == '/' || !p[1])
			continue;
		*p = '\0';
		r = make_directory(copy, 0755);
		if (r < 0)
			return r;
		*p = '/';
	}
	return make_directory(copy, mode);
}

int file_open_at(int dir_fd, const char *path, int flags, uint64_t resolve)
{
	const struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC, .resolve = resolve};
	int fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

DIR *file_opendir(int dir_fd)
{
	_cleanup_(closep) int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir)
		fd = -1; /* dir's */
	return dir;
}
