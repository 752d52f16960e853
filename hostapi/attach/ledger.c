/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See ledger.h. */
#include "attach/ledger.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"

#define ENTRY_BYTES_MAX (64 * 1024)

void ledger_entry_finish(struct ledger_entry *e)
{
	for (size_t i = 0; i < e->n_paths; i++)
		free(e->paths[i]);
	free(e->paths);
	*e = (struct ledger_entry){0};
}

int ledger_open(const char *run_dir)
{
	_cleanup_(buf_finish) struct buf path = {0};
	int r = buf_printf(&path, "%s/attached", run_dir), fd;

	if (r == 0)
		r = file_mkdirs(path.data, 0700);
	if (r < 0)
		return r;
	fd = open(path.data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Between opening and locking, another may have removed it. */
static bool is_linked(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

int ledger_lock(int dir_fd, const char *instance, bool make)
{
	for (;;) {
		_cleanup_(closep) int fd = openat(
			dir_fd, instance,
			O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (make ? O_CREAT : 0), 0600);

		if (fd < 0 || (flock(fd, LOCK_EX) < 0 && errno != EINTR))
			return -errno;
		if (is_linked(fd))
			return steal_fd(&fd);
	}
}

static int copy_paths(const json_t *paths, struct ledger_entry *e)
{
	size_t i;
	json_t *path;

	e->paths = calloc(json_array_size(paths) + 1, sizeof(char *));
	if (!e->paths)
		return -ENOMEM;
	json_array_foreach (paths, i, path) {
		if (!json_is_string(path))
			return -EINVAL;
		e->paths[i] = strdup(json_string_value(path));
		if (!e->paths[i])
			return -ENOMEM;
		e->n_paths++;
	}
	return 0;
}

static int parse(const char *text, size_t n, struct ledger_entry *ret)
{
	json_auto_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	_cleanup_(ledger_entry_finish) struct ledger_entry e = {0};
	json_int_t pid, start;
	json_t *paths;
	int r;

	if (json_unpack(json, "{s:I, s:I, s:o, s:b}", "pid", &pid, "start", &start, "paths", &paths,
			"done", &e.is_done) < 0 ||
	    pid <= 0 || pid > INT32_MAX || start < 0)
		return -EINVAL;
	e.pid = (pid_t)pid;
	e.start = (uint64_t)start;
	r = copy_paths(paths, &e);
	if (r == 0) {
		*ret = e;
		e = (struct ledger_entry){0};
	}
	return r;
}

int ledger_read(int fd, struct ledger_entry *ret)
{
	_cleanup_(freep) char *text = malloc(ENTRY_BYTES_MAX);
	ssize_t n = text ? pread(fd, text, ENTRY_BYTES_MAX, 0) : -1;

	if (!text)
		return -ENOMEM;
	if (n < 0)
		return -errno;
	return n == 0 ? -ENODATA : parse(text, (size_t)n, ret);
}

static json_t *describe(const struct ledger_entry *e)
{
	json_auto_t *paths = json_array();

	for (size_t i = 0; i < e->n_paths; i++)
		if (json_array_append_new(paths, json_string(e->paths[i])) < 0)
			return NULL;
	return json_pack("{s:I, s:I, s:O, s:b}", "pid", (json_int_t)e->pid, "start",
			 (json_int_t)e->start, "paths", paths, "done", e->is_done);
}

int ledger_write(int fd, const struct ledger_entry *e)
{
	json_auto_t *json = describe(e);
	_cleanup_(freep) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	if (ftruncate(fd, 0) < 0)
		return -errno;
	n = pwrite(fd, text, strlen(text), 0);
	if (n < 0)
		return -errno;
	return (size_t)n == strlen(text) ? 0 : -ENOSPC;
}

void ledger_remove(int dir_fd, const char *instance)
{
	unlinkat(dir_fd, instance, 0);
}
