/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN: the lock and the sockets
 *
 * A socket file without a listener is the worst a client can meet (it is
 * refused where it would otherwise see that there is no DevLXD), so the files
 * go first when the daemon stops, and what a killed one left goes first at the start.
 */
#include "rundir.h"

#include <fcntl.h>
#include <linux/un.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sock.h"
#include "notify.h"

#define GUEST_NAME   "sock"
#define GUEST_HIDDEN ".sock"
#define ADMIN_NAME   "admin.sock"

static int bind_at(const char *dir, const char *name, mode_t mode)
{
	_cleanup_(buf_finish) struct buf path = {0};

	if (buf_printf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	return sock_bind(path.data, mode);
}

/* Removes @name if it is a socket. Returns 0, -EEXIST when it is something else, or -errno. */
static int remove_socket(int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* Takes the lock and writes our pid into it, for whoever finds it taken. */
static int take_lock(struct rundir *d)
{
	char pid[16] = "";

	d->lock_fd = file_lock(d->fd, "lock", false);
	if (d->lock_fd == -EWOULDBLOCK) {
		if (file_read_proc(d->fd, "lock", pid, sizeof(pid)) < 0)
			pid[0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		log_error("\"%s\" is served by another devlxdfsd, process %s; stop that one or "
			  "give another --run-dir",
			  d->path, *pid ? pid : "unknown");
		return -EBUSY;
	}
	if (d->lock_fd < 0)
		return d->lock_fd;
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(d->lock_fd, 0) < 0 || pwrite(d->lock_fd, pid, strlen(pid), 0) < 0)
		return -errno;
	return 0;
}

/* Says which file is in the way, and passes @r on. */
static int in_the_way(const struct rundir *d, const char *name, int r)
{
	if (r == -EEXIST)
		log_error("\"%s/%s\" is not a socket; remove it", d->path, name);
	return r;
}

static int open_dir(struct rundir *d)
{
	int r = file_mkdirs(d->path, 0755);

	if (r < 0)
		return r;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0)
		return -errno;
	return take_lock(d);
}

/* Whether the socket @fd is bound to what stands at @name. */
static bool is_at(int dir_fd, int fd, const char *name)
{
	_cleanup_(closep) int file_fd = ioctl(fd, SIOCUNIXFILE);
	struct stat a, b;

	return file_fd >= 0 && fstat(file_fd, &a) == 0 &&
	       fstatat(dir_fd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* The kept socket @stored if it still stands at @name or @hidden, or -1. */
static int take(const struct rundir *d, struct fdstore *store, const char *stored, const char *name,
		const char *hidden)
{
	_cleanup_(closep) int fd = store ? fdstore_take(store, stored) : -1;

	if (fd < 0 || is_at(d->fd, fd, name) || is_at(d->fd, fd, hidden))
		return steal_fd(&fd);
	log_warn("the service manager's socket \"%s\" is not the one in \"%s\", making another",
		 stored, d->path);
	notify_forget(stored);
	return -1;
}

static int bind_guest(struct rundir *d)
{
	int r = in_the_way(d, GUEST_NAME, remove_socket(d->fd, GUEST_NAME));

	return r < 0 ? r : in_the_way(d, GUEST_HIDDEN, bind_at(d->path, GUEST_HIDDEN, 0666));
}

static int open_all(struct rundir *d, struct fdstore *store)
{
	int r = open_dir(d);

	if (r < 0)
		return r;
	d->guest_fd = take(d, store, FDSTORE_GUEST, GUEST_NAME, GUEST_HIDDEN);
	if (d->guest_fd < 0) {
		d->guest_fd = bind_guest(d);
		if (d->guest_fd >= 0 && store)
			fdstore_put(store, FDSTORE_GUEST, d->guest_fd);
	}
	if (d->guest_fd < 0)
		return d->guest_fd;
	d->admin_fd = take(d, store, FDSTORE_ADMIN, ADMIN_NAME, ADMIN_NAME);
	if (d->admin_fd < 0) {
		d->admin_fd = in_the_way(d, ADMIN_NAME, bind_at(d->path, ADMIN_NAME, 0600));
		if (d->admin_fd >= 0 && store)
			fdstore_put(store, FDSTORE_ADMIN, d->admin_fd);
	}
	return d->admin_fd < 0 ? d->admin_fd : 0;
}

static int open_with(const char *path, bool with_sockets, struct fdstore *store, struct rundir *ret)
{
	_cleanup_(rundir_finish) struct rundir d = {
		.fd = -1,
		.lock_fd = -1,
		.guest_fd = -1,
		.admin_fd = -1,
		.path = strdup(path),
	};
	int r = -ENOMEM;

	if (d.path)
		r = with_sockets ? open_all(&d, store) : open_dir(&d);

	if (r < 0 && r != -EBUSY && r != -EEXIST)
		log_error("cannot use the run directory \"%s\": %s", path, strerror(-r));
	if (r < 0)
		return r;
	*ret = d;
	d = (struct rundir){.fd = -1, .lock_fd = -1, .guest_fd = -1, .admin_fd = -1};
	return 0;
}

int rundir_open(const char *path, struct fdstore *store, struct rundir *ret)
{
	return open_with(path, true, store, ret);
}

int rundir_lock(const char *path, struct rundir *ret)
{
	return open_with(path, false, NULL, ret);
}

int rundir_publish(struct rundir *d)
{
	if (is_at(d->fd, d->guest_fd, GUEST_NAME))
		return 0;
	return renameat(d->fd, GUEST_HIDDEN, d->fd, GUEST_NAME) < 0 ? -errno : 0;
}

void rundir_unpublish(struct rundir *d)
{
	static const char *const names[] = {GUEST_NAME, GUEST_HIDDEN, ADMIN_NAME};

	if (d->is_kept)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)remove_socket(d->fd, names[i]);
}

void rundir_finish(struct rundir *d)
{
	/* Without the lock they are not ours. */
	if (d->lock_fd >= 0)
		rundir_unpublish(d);
	closep(&d->guest_fd);
	closep(&d->admin_fd);
	closep(&d->lock_fd);
	closep(&d->fd);
	free(d->path);
	*d = (struct rundir){.fd = -1, .lock_fd = -1, .guest_fd = -1, .admin_fd = -1};
}
