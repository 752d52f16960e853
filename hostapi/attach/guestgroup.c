/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See guestgroup.h. */
#include "attach/guestgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/apart.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "core/cgroup.h"
#include "core/process.h"

#define OURS "devlxdfs"
/* It forks while it is moved, and a sweep may remove what is still empty. */
#define ATTEMPTS_MAX 100
#define DEPTH_MAX    32

struct move {
	const struct liveguest *guest;
	uint64_t host_ns;       /* our mount namespace */
	uint64_t supervisor_ns; /* that of the parent of the guest's process; 0: not known */
	uint64_t own_pid_ns;    /* ours */
	uint64_t pid_ns;        /* the guest's, 0: it has none of its own */
};

static int namespace_of(pid_t pid, const char *kind, uint64_t *ret)
{
	struct stat st;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kind);
	if (stat(path, &st) < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	*ret = st.st_ino;
	return 0;
}

static int look_at_guest(const struct liveguest *t, struct move *ret)
{
	pid_t parent;
	int r = liveguest_mount_ns(getpid(), &ret->host_ns);

	ret->guest = t;
	if (r == 0)
		r = namespace_of(getpid(), "pid", &ret->own_pid_ns);
	if (r == 0)
		r = namespace_of(t->pid, "pid", &ret->pid_ns);
	if (r == 0 && ret->pid_ns == ret->own_pid_ns)
		ret->pid_ns = 0;
	if (r == 0 && process_parent(t->pid, &parent) == 0 &&
	    liveguest_mount_ns(parent, &ret->supervisor_ns) < 0)
		ret->supervisor_ns = 0;
	return r;
}

/* Whether it is in that pid namespace, or in one below it. There is no way up from ours. */
static bool is_in_pid_ns(pid_t pid, uint64_t wanted)
{
	char path[48];
	struct stat st;
	int fd, parent;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	for (fd = open(path, O_RDONLY | O_CLOEXEC); fd >= 0; fd = parent) {
		found = fstat(fd, &st) == 0 && st.st_ino == wanted;
		parent = found ? -1 : ioctl(fd, NS_GET_PARENT);
		close(fd);
	}
	return found;
}

/* Whether it is one of the guest's: in its pid namespace, or where it has none, in its mount namespace. */
static bool is_guests(const struct move *m, pid_t pid)
{
	uint64_t ns;

	if (m->pid_ns)
		return is_in_pid_ns(pid, m->pid_ns);
	return liveguest_mount_ns(pid, &ns) == 0 && ns == m->guest->mount_ns;
}

static bool is_outside(const struct move *m, pid_t pid)
{
	uint64_t ns;

	if (liveguest_mount_ns(pid, &ns) < 0 || ns == m->guest->mount_ns)
		return false;
	return ns == m->host_ns || ns == m->supervisor_ns;
}

/* Whether it is in a guest, and not in this one. */
static bool is_other_guests(const struct move *m, pid_t pid)
{
	uint64_t ns = 0;

	return m->pid_ns && namespace_of(pid, "pid", &ns) == 0 && ns != m->own_pid_ns &&
	       !is_guests(m, pid);
}

/*
 * systemd-nspawn divides the cgroup that it is started in into supervisor/ and payload/, and the next one that the same shell starts
 * uses these, too. A service has one.
 */
static bool is_for_more(int root_fd, const char *path)
{
	static const char service[] = ".service";
	const char *last = strrchr(path, '/');
	char sibling[CGROUP_PATH_MAX + sizeof("./supervisor")];
	int n = (int)(last - path), n_end = sizeof(service) - 1;

	if (!streq(last, "/payload") ||
	    (n > n_end && memcmp(last - n_end, service, (size_t)n_end) == 0))
		return false;
	snprintf(sibling, sizeof(sibling), ".%.*s/supervisor", n, path);
	return faccessat(root_fd, sibling, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static FILE *open_procs(int root_fd, const char *path)
{
	int dir_fd = openat(root_fd, *path == '/' && path[1] ? path + 1 : ".",
			    O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir_fd < 0 ? -1 : openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *procs = fd < 0 ? NULL : fdopen(fd, "re");

	closep(&dir_fd);
	if (!procs)
		closep(&fd);
	return procs;
}

static bool next_pid(FILE *procs, pid_t *ret)
{
	char line[32];
	uint64_t pid;

	while (fgets(line, sizeof(line), procs)) {
		line[strcspn(line, "\n")] = '\0';
		if (text_to_u64(line, 1, INT32_MAX, &pid) == 0) {
			*ret = (pid_t)pid;
			return true;
		}
	}
	return false;
}

/*
 * Whether the cgroup at @path was there for others before it was the guest's. Who is outside and younger has been sent into a guest: what
 * lxc-attach(1) and its like start. Returns 1, 0 or -errno.
 */
static int is_shared(const struct move *m, int root_fd, const char *path)
{
	uint64_t guest = m->guest->start, outside = UINT64_MAX, start;
	_cleanup_(fclosep) FILE *procs = NULL;
	pid_t pid;

	if (streq(path, "/") || is_for_more(root_fd, path))
		return 1;
	procs = open_procs(root_fd, path);
	if (!procs)
		return errno == ENOENT ? -ESRCH : -errno;
	while (next_pid(procs, &pid)) {
		if (is_other_guests(m, pid))
			return 1;
		if (process_start(pid, &start) < 0)
			continue;
		if (is_outside(m, pid))
			outside = start < outside ? start : outside;
		else if (is_guests(m, pid))
			guest = start < guest ? start : guest;
	}
	return outside <= guest;
}

/* -ENODEV and -ENOENT: it was swept away. */
static int put(int group_fd, pid_t pid)
{
	_cleanup_(closep) int fd = openat(group_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", (int)pid);

	if (fd < 0)
		return -errno;
	return write(fd, text, (size_t)n) < 0 && errno != ESRCH ? -errno : 0;
}

/* Once through the old cgroup. Returns how many were moved, or -errno. */
static int move_all(const struct move *m, int root_fd, const char *path, int group_fd)
{
	_cleanup_(fclosep) FILE *procs = open_procs(root_fd, path);
	int n = 0, r = 0;
	pid_t pid;

	if (!procs)
		return -errno;
	while (r == 0 && next_pid(procs, &pid)) {
		if (!is_guests(m, pid))
			continue;
		r = put(group_fd, pid);
		n++;
	}
	return r < 0 ? r : n;
}

static int open_group(int root_fd, const char *instance, pid_t pid)
{
	char name[128];
	int fd;

	snprintf(name, sizeof(name), OURS "/%s.%d", instance, (int)pid);
	if (mkdirat(root_fd, OURS, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (mkdirat(root_fd, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(root_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int move(const struct move *m, int root_fd, const char *path, const char *instance)
{
	int r = -EAGAIN;

	for (int i = 0; i < ATTEMPTS_MAX && r != 0; i++) {
		_cleanup_(closep) int group_fd = open_group(root_fd, instance, m->guest->pid);

		r = group_fd < 0 ? group_fd : move_all(m, root_fd, path, group_fd);
		if (r < 0 && r != -ENOENT && r != -ENODEV)
			return r;
	}
	return r > 0 ? -EAGAIN : r;
}

int guestgroup_ensure(const struct liveguest *t, const char *instance)
{
	_cleanup_(closep) int root_fd = cgroup_open_root(NULL);
	_cleanup_(freep) char *path = malloc(CGROUP_PATH_MAX);
	struct move m = {0};
	int r;

	if (root_fd < 0)
		return root_fd;
	if (!path)
		return -ENOMEM;
	r = look_at_guest(t, &m);
	if (r == 0)
		r = process_cgroup(t->pid, path);
	if (r == 0)
		r = is_shared(&m, root_fd, path);
	return r == 1 ? move(&m, root_fd, path, instance) : r;
}

struct top {
	uint64_t id; /* 0: not known */
};

/* In a child: its cgroup namespace has a cgroup2 file system of its own to show, which begins at its root. */
static void find_top(const void *ctx, void *answer)
{
	const struct liveguest *t = ctx;
	struct top *ret = answer;
	_cleanup_(closep) int fs_fd = -1, fd = -1;
	struct stat st;

	if (setns(t->cgroup_ns_fd, CLONE_NEWCGROUP) < 0)
		return;
	fs_fd = fsopen("cgroup2", FSOPEN_CLOEXEC);
	if (fs_fd < 0 || fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return;
	fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, 0);
	if (fd >= 0 && fstat(fd, &st) == 0)
		ret->id = st.st_ino;
}

static bool has_own_namespace(const struct liveguest *t)
{
	struct stat own, theirs;

	return stat("/proc/self/ns/cgroup", &own) == 0 && fstat(t->cgroup_ns_fd, &theirs) == 0 &&
	       own.st_ino != theirs.st_ino;
}

static int path_of_top(const struct liveguest *t, int root_fd, char ret_path[CGROUP_PATH_MAX])
{
	_cleanup_(closep) int fd = -1;
	struct top top = {0};
	int r = apart_call(find_top, t, &top, sizeof(top));

	if (r < 0 || top.id == 0)
		return r < 0 ? r : -ENOENT;
	fd = cgroup_open_id(root_fd, top.id);
	return fd < 0 ? fd : cgroup_path_of_fd(root_fd, fd, ret_path);
}

int guestgroup_top(const struct liveguest *t, char ret_path[CGROUP_PATH_MAX])
{
	_cleanup_(closep) int root_fd = cgroup_open_root(NULL);
	_cleanup_(freep) char *top = malloc(CGROUP_PATH_MAX);
	struct move m = {0};
	int r = root_fd < 0 ? root_fd : process_cgroup(t->pid, ret_path);

	if (r < 0)
		return r;
	if (!top)
		return -ENOMEM;
	/* It may have been moved out of it, or have made its namespace where others are. */
	if (has_own_namespace(t) && path_of_top(t, root_fd, top) == 0 &&
	    cgroup_is_within(ret_path, top) && look_at_guest(t, &m) == 0 &&
	    is_shared(&m, root_fd, top) == 0)
		memcpy(ret_path, top, strlen(top) + 1);
	return 0;
}

/* What guests have made in theirs goes first. */
static void remove_empty(int dir_fd, const char *name, unsigned depth)
{
	_cleanup_(closep) int fd =
		openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(file_closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir)
		return;
	fd = -1; /* dir's */
	while (depth < DEPTH_MAX && (e = readdir(dir)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			remove_empty(dirfd(dir), e->d_name, depth + 1);
	unlinkat(dir_fd, name, AT_REMOVEDIR);
}

void guestgroup_sweep(void)
{
	_cleanup_(freep) char *where = NULL;
	_cleanup_(closep) int root_fd = cgroup_open_root(&where);

	if (root_fd >= 0)
		remove_empty(root_fd, OURS, 0);
}
