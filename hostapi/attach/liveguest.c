/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See liveguest.h. */
#include "attach/liveguest.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "core/idmap.h"
#include "core/pidfd.h"
#include "core/process.h"

#define END_MS_MAX 1000

void liveguest_finish(struct liveguest *t)
{
	closep(&t->pid_fd);
	closep(&t->root_fd);
	closep(&t->ns_fd);
	closep(&t->cgroup_ns_fd);
	closep(&t->mounts_fd);
	*t = (struct liveguest)LIVEGUEST_NONE;
}

bool liveguest_lives(pid_t pid, uint64_t start)
{
	_cleanup_(closep) int fd = pidfd_of_process(pid);
	struct pollfd end = {.fd = fd, .events = POLLIN};
	uint64_t now, ns;

	if (fd < 0 || process_start(pid, &now) < 0 || now != start)
		return false;
	/* A process loses its namespaces first and its cgroup then, which is what tells us to look; its end is near. */
	if (liveguest_mount_ns(pid, &ns) < 0)
		(void)poll(&end, 1, END_MS_MAX);
	return !pidfd_has_ended(fd);
}

int liveguest_mount_ns(pid_t pid, uint64_t *ret)
{
	struct stat st;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (stat(path, &st) < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	*ret = st.st_ino;
	return 0;
}

/* A guest without one that we know has ours. */
static int read_root_ids(struct liveguest *t)
{
	_cleanup_(idmap_finish) struct idmap map = {0};
	uint32_t uid = 0, gid = 0;
	int r = process_idmap(t->pid, &map);

	if (r < 0)
		return r;
	(void)idmap_to_host(&map.uid, 0, &uid);
	(void)idmap_to_host(&map.gid, 0, &gid);
	t->uid = uid;
	t->gid = gid;
	return 0;
}

static int open_all(struct liveguest *t, const char *root)
{
	_cleanup_(closep) int proc_fd = -1, own_root_fd = -1;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)t->pid);
	proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -errno;
	own_root_fd = openat(proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	t->ns_fd = openat(proc_fd, "ns/mnt", O_RDONLY | O_CLOEXEC);
	t->cgroup_ns_fd = openat(proc_fd, "ns/cgroup", O_RDONLY | O_CLOEXEC);
	t->mounts_fd = openat(proc_fd, "mountinfo", O_RDONLY | O_CLOEXEC);
	if (own_root_fd < 0 || t->ns_fd < 0 || t->cgroup_ns_fd < 0 || t->mounts_fd < 0)
		return -errno;
	if (!root) {
		t->root_fd = steal_fd(&own_root_fd);
		return 0;
	}
	t->root_fd = file_open_at(own_root_fd, root, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
	return t->root_fd < 0 ? t->root_fd : 0;
}

static int open_living(struct liveguest *t, const char *root)
{
	uint64_t own = 0;
	int r = process_start(t->pid, &t->start);

	if (r == 0)
		r = liveguest_mount_ns(t->pid, &t->mount_ns);
	if (r == 0)
		r = liveguest_mount_ns(getpid(), &own);
	if (r == 0 && own == t->mount_ns)
		return -EXDEV;
	if (r == 0)
		r = open_all(t, root);
	if (r == 0)
		r = read_root_ids(t);
	/* The process may have ended, and its id be another's: then all of that says nothing. */
	return pidfd_has_ended(t->pid_fd) ? -ESRCH : r;
}

int liveguest_open(pid_t pid, const char *root, struct liveguest *ret)
{
	struct liveguest t = LIVEGUEST_NONE;
	int r;

	t.pid = pid;
	t.pid_fd = pidfd_of_process(pid);
	if (t.pid_fd < 0)
		return t.pid_fd;
	r = open_living(&t, root);
	if (r < 0)
		liveguest_finish(&t);
	else
		*ret = t;
	return r;
}

bool liveguest_has_our_root(const struct liveguest *t)
{
	struct stat theirs, ours;

	return fstat(t->root_fd, &theirs) == 0 && stat("/", &ours) == 0 &&
	       theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}
