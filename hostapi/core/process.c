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

/* Enough for /proc/PID/cgroup with a long path in each of a dozen older hierarchies. */
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

/* The next number of *rest, which moves on behind it. */
static int next_number(const char **rest, uint64_t *ret)
{
	const char *p = *rest + strspn(*rest, " \t");
	size_t n = strspn(p, "0123456789");
	char number[16];

	if (n == 0 || n >= sizeof(number))
		return -EINVAL;
	memcpy(number, p, n);
	number[n] = '\0';
	*rest = p + n;
	return text_to_u64(number, 0, UINT32_MAX, ret);
}

int process_parse_uid_map(const char *text, uid_t *ret_uid)
{
	uid_t uid = PROCESS_NO_UID;

	while (*text) {
		uint64_t inside, outside, count;

		if (next_number(&text, &inside) < 0 || next_number(&text, &outside) < 0 ||
		    next_number(&text, &count) < 0 || *text != '\n')
			return -EINVAL;
		text++;
		if (inside == 0 && count > 0)
			uid = (uid_t)outside;
	}
	*ret_uid = uid;
	return 0;
}

/* False also when we may not look: uid_map decides then. */
static bool is_in_our_user_namespace(pid_t pid)
{
	char path[64];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	return stat("/proc/self/ns/user", &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

int process_root_uid(pid_t pid, uid_t *ret_uid)
{
	char text[TEXT_MAX]; /* a map has at most 340 lines */
	ssize_t n;

	/* The kernel shows the map of a reader's own namespace as the namespace above sees it. */
	if (is_in_our_user_namespace(pid)) {
		*ret_uid = 0;
		return 0;
	}
	n = read_text(pid, "uid_map", text, sizeof(text));
	return n < 0 ? (int)n : process_parse_uid_map(text, ret_uid);
}

int process_uid(pid_t pid, uid_t *ret_uid)
{
	char text[8192];
	ssize_t n = read_text(pid, "status", text, sizeof(text));
	const char *line = n < 0 ? NULL : strstr(text, "\nUid:");
	uint64_t real, effective;

	if (n < 0)
		return (int)n;
	if (!line)
		return -EINVAL;
	line += strlen("\nUid:");
	if (next_number(&line, &real) < 0 || next_number(&line, &effective) < 0)
		return -EINVAL;
	*ret_uid = (uid_t)effective;
	return 0;
}
