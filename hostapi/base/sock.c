/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unix stream sockets
 *
 * Knows paths and descriptors, nothing of what is spoken over them. The only
 * place that fills a sockaddr_un.
 */
#include "base/sock.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/cleanup.h"

/*
 * Fills *@ret_address with a name for @path. A long one leads through
 * *@ret_dir_fd, which the caller keeps open while it uses the address; -1 when
 * not needed. Returns 0 or -errno.
 */
static int address_of(const char *path, struct sockaddr_un *ret_address, int *ret_dir_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *slash = strrchr(path, '/');
	_cleanup_(freep) char *parent = NULL;
	_cleanup_(closep) int dir_fd = -1;
	int n;

	if (!*path)
		return -ENOENT;
	if (strlen(path) < sizeof(address.sun_path)) {
		memcpy(address.sun_path, path, strlen(path) + 1);
	} else {
		parent = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
		if (!parent)
			return -ENOMEM;
		dir_fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir_fd < 0)
			return -errno;
		n = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
			     dir_fd, slash ? slash + 1 : path);
		if (n < 0 || (size_t)n >= sizeof(address.sun_path))
			return -ENAMETOOLONG;
	}
	*ret_address = address;
	*ret_dir_fd = steal_fd(&dir_fd);
	return 0;
}

static int remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int sock_bind(const char *path, mode_t mode)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(closep) int dir_fd = -1;
	struct sockaddr_un address;
	int r;

	r = address_of(path, &address, &dir_fd);
	if (r < 0)
		return r;
	r = remove_stale(path);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* The inode is born with the socket's own mode less the umask: never wider than @mode. */
	if (fchmod(fd, mode) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EADDRINUSE ? -EEXIST : -errno;
	if (fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) < 0) {
		r = -errno;
		unlink(path);
		return r;
	}
	return steal_fd(&fd);
}

int sock_listen(int fd, int backlog)
{
	return listen(fd, backlog) < 0 ? -errno : 0;
}

int sock_connect(const char *path)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(closep) int dir_fd = -1;
	struct sockaddr_un address;
	int r;

	r = address_of(path, &address, &dir_fd);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return steal_fd(&fd);
}

uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
