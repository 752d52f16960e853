/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What /proc says about a process given by its id
 *
 * Knows the texts of /proc and nothing of guests. A process may choose its own
 * name, so nothing here looks at a name except to step over it.
 */
#include "core/process.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "core/idmap.h"

/*
 * Enough for /proc/PID/cgroup with a long path in each of a dozen older hierarchies, for a map of
 * 340 lines, and for /proc/PID/status with some thousand groups.
 */
#define TEXT_MAX (64 * 1024)

/* Reads /proc/PID/@name. The number of bytes, -ESRCH, or -errno. */
static ssize_t read_text(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	n = file_read_proc(AT_FDCWD, path, buf, size);
	return n == -ENOENT ? -ESRCH : n;
}

int process_cgroup(pid_t pid, char ret_path[CGROUP_PATH_MAX])
{
	char text[TEXT_MAX];
	ssize_t n = read_text(pid, "cgroup", text, sizeof(text));

	return n < 0 ? (int)n : cgroup_parse_proc(text, (size_t)n, ret_path);
}

int process_parse_stat(const char *text, uint64_t *ret_start)
{
	/* The name, in parentheses, is the second field and may contain anything, ") " too. */
	const char *p = strrchr(text, ')');
	char field[24];
	size_t n;

	for (int i = 2; p && i < 22; i++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	n = p ? strcspn(p, " ") : 0;
	if (n == 0 || n >= sizeof(field))
		return -EINVAL;
	memcpy(field, p, n);
	field[n] = '\0';
	return text_to_u64(field, 0, UINT64_MAX, ret_start) < 0 ? -EINVAL : 0;
}

int process_start(pid_t pid, uint64_t *ret_start)
{
	char text[4096];
	ssize_t n = read_text(pid, "stat", text, sizeof(text));

	return n < 0 ? (int)n : process_parse_stat(text, ret_start);
}

int process_mark(pid_t pid, struct process_mark *ret)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (stat(path, &st) < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	*ret = (struct process_mark){.inode = st.st_ino, .made = st.st_ctim};
	return 0;
}

bool process_mark_equal(const struct process_mark *a, const struct process_mark *b)
{
	return a->inode == b->inode && a->made.tv_sec == b->made.tv_sec &&
	       a->made.tv_nsec == b->made.tv_nsec;
}

/*
 * Whether ids of @pid are as ours: it is in our user namespace, or in one below that maps each to itself. Who may not look at
 * another's namespace compares the maps: the kernel shows ours as the namespace above sees it, and one below, all of
 * whose ids are ours, can only read the same when it changes none.
 */
static bool has_our_ids(pid_t pid)
{
	char ours[TEXT_MAX], theirs[TEXT_MAX], path[64];
	struct stat our_ns, their_ns;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	if (stat("/proc/self/ns/user", &our_ns) == 0 && stat(path, &their_ns) == 0)
		return our_ns.st_dev == their_ns.st_dev && our_ns.st_ino == their_ns.st_ino;
	for (size_t i = 0; i < 2; i++) {
		const char *name = i == 0 ? "uid_map" : "gid_map";

		if (read_text(getpid(), name, ours, sizeof(ours)) <= 0 ||
		    read_text(pid, name, theirs, sizeof(theirs)) < 0 || !streq(ours, theirs))
			return false;
	}
	return true;
}

/* The table in /proc/PID/@name. Returns 0, -ESRCH, or -errno. */
static int read_table(pid_t pid, const char *name, struct idmap_table *ret)
{
	char text[TEXT_MAX];
	ssize_t n = read_text(pid, name, text, sizeof(text));

	return n < 0 ? (int)n : idmap_table_parse(text, ret);
}

int process_idmap(pid_t pid, struct idmap *ret)
{
	_cleanup_(idmap_finish) struct idmap map = {0};
	int r;

	/* The kernel shows the map of a reader's own namespace as the namespace above sees it. */
	if (has_our_ids(pid))
		return idmap_of_range(0, 0, UINT32_MAX, ret);
	r = read_table(pid, "uid_map", &map.uid);
	if (r == 0)
		r = read_table(pid, "gid_map", &map.gid);
	if (r < 0)
		return r;
	*ret = map;
	map = (struct idmap){0}; /* handed over */
	return 0;
}

int process_root_uid(pid_t pid, uid_t *ret_uid)
{
	_cleanup_(idmap_table_finish) struct idmap_table table = {0};
	int r = 0;

	if (has_our_ids(pid)) { /* as in process_idmap() */
		*ret_uid = 0;
		return 0;
	}
	r = read_table(pid, "uid_map", &table);
	if (r == 0 && !idmap_to_host(&table, 0, ret_uid))
		*ret_uid = PROCESS_NO_UID;
	return r;
}

/* Behind "@name:" at the start of a line of a /proc/PID/status, or NULL. */
static const char *find_line(const char *status, const char *name)
{
	size_t n = strlen(name);

	/* The process's name is in there as well, but with its newlines escaped. */
	for (const char *line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (text_has_prefix(line, name) && line[n] == ':')
			return line + n + 1;
	}
	return NULL;
}

int process_parse_depth(const char *status, unsigned *ret_depth)
{
	const char *rest = find_line(status, "NSpid");
	unsigned depth = 0;
	uint64_t pid;

	if (!rest)
		return -EINVAL;
	while (text_next_u64(&rest, INT32_MAX, &pid) == 0)
		depth++;
	if (depth == 0 || *rest != '\n')
		return -EINVAL;
	*ret_depth = depth;
	return 0;
}

int process_depth(pid_t pid, unsigned *ret_depth)
{
	char text[TEXT_MAX];
	ssize_t n = read_text(pid, "status", text, sizeof(text));

	return n < 0 ? (int)n : process_parse_depth(text, ret_depth);
}

/* The process id in the line @name of the status of @id. */
static int read_pid(pid_t id, const char *name, pid_t *ret_pid)
{
	char text[TEXT_MAX];
	ssize_t n = read_text(id, "status", text, sizeof(text));
	const char *rest = n < 0 ? NULL : find_line(text, name);
	uint64_t pid;

	if (n < 0)
		return (int)n;
	if (!rest || text_next_u64(&rest, INT32_MAX, &pid) < 0)
		return -EINVAL;
	*ret_pid = (pid_t)pid;
	return 0;
}

int process_of_thread(pid_t tid, pid_t *ret_pid)
{
	return read_pid(tid, "Tgid", ret_pid);
}

int process_parent(pid_t pid, pid_t *ret_pid)
{
	return read_pid(pid, "PPid", ret_pid);
}

int process_uid(pid_t pid, uid_t *ret_uid)
{
	char text[TEXT_MAX];
	ssize_t n = read_text(pid, "status", text, sizeof(text));
	const char *rest = n < 0 ? NULL : find_line(text, "Uid");
	uint64_t real, effective;

	if (n < 0)
		return (int)n;
	if (!rest || text_next_u64(&rest, UINT32_MAX, &real) < 0 ||
	    text_next_u64(&rest, UINT32_MAX, &effective) < 0)
		return -EINVAL;
	*ret_uid = (uid_t)effective;
	return 0;
}
