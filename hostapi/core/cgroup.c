/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cgroup2 hierarchy as the host has it
 *
 * The text of /proc/PID/cgroup is partly the guest's: it names its own cgroups. The kernel keeps
 * '/' and newlines out of names and nothing else, so what is not plainly one whole path is refused,
 * never repaired. Invariant: a path that leaves here starts with '/', consists of whole components,
 * and none of them is "." or "..".
 */
#include "core/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/mountinfo.h"
#include "base/text.h"
#include "core/process.h"

#define PROCS_SIZE (64 * 1024) /* of one cgroup.procs: several thousand processes */

/* Opens @where if that is what one sees there: a later mount may hide it. */
static int open_hierarchy(const char *where)
{
	_cleanup_(closep) int fd = open(where, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	return fs.f_type == CGROUP2_SUPER_MAGIC ? steal_fd(&fd) : -ENOENT;
}

int cgroup_open_root(char **ret_where)
{
	_cleanup_(fclosep) FILE *mounts = fopen("/proc/self/mountinfo", "re");
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;

	if (!mounts)
		return -errno;
	while (getline(&line, &size, mounts) >= 0) {
		struct mountinfo m;
		_cleanup_(closep) int fd = mountinfo_parse(line, &m) == 0 &&
							   streq(m.type, "cgroup2") &&
							   streq(m.root, "/")
						   ? open_hierarchy(m.point)
						   : -1;

		if (fd < 0)
			continue;
		if (ret_where && !(*ret_where = strdup(m.point)))
			return -ENOMEM;
		return steal_fd(&fd);
	}
	return ferror(mounts) ? -EIO : -ENOENT;
}

/* Whether the @n bytes can stand between two slashes. */
static bool is_component(const char *s, size_t n)
{
	return n > 0 && !memchr(s, '\0', n) && !(n == 1 && s[0] == '.') &&
	       !(n == 2 && s[0] == '.' && s[1] == '.');
}

/* Whether the @n bytes are "/" or one whole path below it. */
static bool is_path(const char *path, size_t n)
{
	if (n == 0 || n >= CGROUP_PATH_MAX || path[0] != '/')
		return false;
	for (size_t start = 1; n > 1 && start <= n;) {
		const char *slash = memchr(path + start, '/', n - start);
		size_t end = slash ? (size_t)(slash - path) : n;

		if (!is_component(path + start, end - start))
			return false;
		start = end + 1;
	}
	return true;
}

int cgroup_parse_proc(const char *text, size_t n, char ret_path[CGROUP_PATH_MAX])
{
	static const char unified[] = "0::", deleted[] = " (deleted)";
	const size_t n_unified = sizeof(unified) - 1, n_deleted = sizeof(deleted) - 1;
	const char *path = NULL, *newline;
	size_t n_path = 0;

	/* A line without its end may have lost more than that. */
	for (; n > 0; n -= (size_t)(newline + 1 - text), text = newline + 1) {
		size_t n_line;

		newline = memchr(text, '\n', n);
		if (!newline)
			return -EINVAL;
		n_line = (size_t)(newline - text);
		if (n_line < n_unified || memcmp(text, unified, n_unified) != 0)
			continue;
		if (path)
			return -EINVAL;
		path = text + n_unified;
		n_path = n_line - n_unified;
	}
	if (!path)
		return -ENOENT;
	if (!is_path(path, n_path))
		return -EINVAL;
	if (n_path >= n_deleted && memcmp(path + n_path - n_deleted, deleted, n_deleted) == 0)
		return -ESTALE;
	memcpy(ret_path, path, n_path);
	ret_path[n_path] = '\0';
	return 0;
}

int cgroup_normalise(const char *path, char ret_path[CGROUP_PATH_MAX])
{
	char buf[CGROUP_PATH_MAX];
	size_t n = 0;

	if (path[0] != '/')
		return -EINVAL;
	while (*(path += strspn(path, "/"))) {
		size_t n_component = strcspn(path, "/");

		/* The slash before it and the NUL. */
		if (!is_component(path, n_component) || n + 1 + n_component + 1 > sizeof(buf))
			return -EINVAL;
		buf[n++] = '/';
		memcpy(buf + n, path, n_component);
		n += n_component;
		path += n_component;
	}
	if (n == 0)
		return -EINVAL;
	memcpy(ret_path, buf, n);
	ret_path[n] = '\0';
	return 0;
}

bool cgroup_parent(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash > path)
		*slash = '\0';
	else
		path[1] = '\0';
	return slash > path;
}

/* @path as seen from the root's descriptor. */
static const char *below_root(const char *path)
{
	return path[1] ? path + 1 : ".";
}

bool cgroup_is_within(const char *path, const char *top)
{
	size_t n = streq(top, "/") ? 0 : strlen(top);

	return strlen(path) >= n && memcmp(path, top, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

int cgroup_id(int root_fd, const char *path, uint64_t *ret_id)
{
	struct stat st;

	if (fstatat(root_fd, below_root(path), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOENT;
	*ret_id = st.st_ino;
	return 0;
}

/* A file handle as open_by_handle_at(2) has it, of the type that kernfs has for an id alone. */
struct kernfs_handle {
	unsigned bytes;
	int type;
	uint64_t id;
};
#define FILEID_KERNFS 0xfe

int cgroup_open_id(int root_fd, uint64_t id)
{
	struct kernfs_handle handle = {sizeof(handle.id), FILEID_KERNFS, id};
	_cleanup_(closep) int mount_fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = mount_fd < 0 ? -1
			      : open_by_handle_at(mount_fd, (struct file_handle *)&handle,
						  O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static ssize_t read_link(int fd, char *ret, size_t size)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, ret, size);
}

int cgroup_path_of_fd(int root_fd, int fd, char ret_path[CGROUP_PATH_MAX])
{
	char root[CGROUP_PATH_MAX], path[CGROUP_PATH_MAX + sizeof(root)];
	ssize_t n_root = read_link(root_fd, root, sizeof(root));
	ssize_t n = n_root < 0 ? -1 : read_link(fd, path, sizeof(path));

	if (n < 0)
		return -errno;
	if (n <= n_root || memcmp(path, root, (size_t)n_root) != 0 ||
	    !is_path(path + n_root, (size_t)(n - n_root)))
		return -ESTALE;
	memcpy(ret_path, path + n_root, (size_t)(n - n_root));
	ret_path[n - n_root] = '\0';
	return 0;
}

/* The walk of cgroup_first_process(). */
struct walk {
	int root_fd;
	unsigned n_left; /* processes and cgroups that may still be looked at */
	struct buf todo; /* paths of cgroups, each with its NUL */
	char *procs;     /* PROCS_SIZE bytes */
	pid_t pid;       /* the oldest so far, 0: none */
	uint64_t start;
};

static void walk_finish(struct walk *w)
{
	buf_finish(&w->todo);
	free(w->procs);
}

/* A process that has gone meanwhile is no error; neither is one outside our pid namespace (0). */
static int consider(struct walk *w, const char *line)
{
	uint64_t pid, start;
	int r;

	if (text_to_u64(line, 1, INT32_MAX, &pid) < 0)
		return 0;
	if (w->n_left-- == 0)
		return -E2BIG;
	r = process_start((pid_t)pid, &start);
	if (r < 0)
		return r == -ESRCH ? 0 : r;
	if (w->pid == 0 || start < w->start || (start == w->start && (pid_t)pid < w->pid)) {
		w->pid = (pid_t)pid;
		w->start = start;
	}
	return 0;
}

static int look_at_processes(struct walk *w, int dir_fd)
{
	ssize_t n = file_read_proc(dir_fd, "cgroup.procs", w->procs, PROCS_SIZE);
	char *rest = w->procs, *line;
	int r = 0;

	if (n == -EFBIG)
		return -E2BIG;
	/* Not supported: a threaded cgroup, whose processes its parent lists. Else: just removed. */
	if (n < 0)
		return n == -EOPNOTSUPP || n == -ENODEV || n == -ENOENT ? 0 : (int)n;
	while (r == 0 && (line = strsep(&rest, "\n")))
		r = consider(w, line);
	return r;
}

static int note_children(struct walk *w, int dir_fd_consumed, const char *path)
{
	_cleanup_(closep) int dir_fd = dir_fd_consumed;
	_cleanup_(file_closedirp) DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	steal_fd(&dir_fd);
	while (r == 0 && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (w->n_left-- == 0)
			return -E2BIG;
		r = buf_printf(&w->todo, "%s/%s%c", path[1] ? path : "", entry->d_name, '\0');
	}
	return r;
}

bool cgroup_is_populated(int root_fd, const char *path)
{
	_cleanup_(closep) int fd =
		openat(root_fd, below_root(path), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char text[256];

	return fd >= 0 && file_read_proc(fd, "cgroup.events", text, sizeof(text)) > 0 &&
	       strstr(text, "populated 1");
}

static int look_at_cgroup(struct walk *w, const char *path)
{
	_cleanup_(closep) int fd = openat(w->root_fd, below_root(path),
					  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0)
		return errno == ENOENT || errno == ENAMETOOLONG ? 0 : -errno;
	r = look_at_processes(w, fd);
	return r < 0 ? r : note_children(w, steal_fd(&fd), path);
}

int cgroup_first_process(int root_fd, const char *path, pid_t *ret_pid, uint64_t *ret_start)
{
	_cleanup_(walk_finish) struct walk w = {.root_fd = root_fd, .n_left = CGROUP_WALK_MAX};
	int r;

	w.procs = malloc(PROCS_SIZE);
	if (!w.procs)
		return -ENOMEM;
	r = buf_append(&w.todo, path, strlen(path) + 1);
	/* The last one first: a deep hierarchy then needs no long list. */
	while (r == 0 && w.todo.len > 0) {
		const char *before = memrchr(w.todo.data, '\0', w.todo.len - 1);
		size_t start = before ? (size_t)(before + 1 - w.todo.data) : 0;
		_cleanup_(freep) char *cgroup = strdup(w.todo.data + start);

		if (!cgroup)
			return -ENOMEM;
		w.todo.len = start;
		r = look_at_cgroup(&w, cgroup);
	}
	if (r < 0)
		return r;
	if (w.pid == 0)
		return -ENOENT;
	*ret_pid = w.pid;
	*ret_start = w.start;
	return 0;
}
