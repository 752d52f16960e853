/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See place.h. openat2(2) keeps a guest's symbolic links inside the guest's root. A guest may have
 * mounted a file system there that never answers, and our own tree does not answer while no worker serves; so another
 * process looks.
 */
#include "ctl/place.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/text.h"
#include "base/apart.h"

struct question {
	pid_t pid;
	const char *run_dir, *instance;
};

/* What @name is in RUN. Returns 0 or -errno. */
static int stat_ours(const struct question *q, const char *name, struct stat *ret)
{
	_cleanup_(buf_finish) struct buf path = {0};

	if (buf_printf(&path, "%s/%s", q->run_dir, name) < 0)
		return -ENOMEM;
	return lstat(path.data, ret) < 0 ? -errno : 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whose the directory is, which it says itself; nothing that a guest has mounted there is asked. */
static void read_name(int dir_fd, char ret[PLACE_NAME_SIZE])
{
	_cleanup_(closep) int fd =
		file_open_at(dir_fd, "name", O_RDONLY | O_NONBLOCK,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	char name[PLACE_NAME_SIZE + 1] = "";

	if (fd < 0 || read(fd, name, sizeof(name) - 1) < 0)
		return;
	name[strcspn(name, "\n")] = '\0';
	if (text_is_name(name))
		memcpy(ret, name, strlen(name) + 1);
}

/* /dev/lxd is @fd, of the tree. */
static void look_in_tree(const struct question *q, int fd, const struct stat *theirs,
			 const struct stat *tree, struct place *ret)
{
	_cleanup_(buf_finish) struct buf name = {0};
	struct stat own;

	if (is_same(theirs, tree)) {
		ret->kind = PLACE_TREE;
		return;
	}
	ret->kind = PLACE_DIRECTORY;
	if (q->instance && strlen(q->instance) < sizeof(ret->instance) &&
	    buf_printf(&name, "tree/%s", q->instance) == 0 && stat_ours(q, name.data, &own) == 0 &&
	    is_same(theirs, &own))
		memcpy(ret->instance, q->instance, strlen(q->instance) + 1);
	else
		read_name(fd, ret->instance);
}

static enum place_kind look_at_socket(const struct question *q, int root_fd)
{
	_cleanup_(closep) int fd = file_open_at(root_fd, "dev/lxd/sock", O_PATH, RESOLVE_IN_ROOT);
	struct stat theirs, own;

	if (fd == -ENOTCONN)
		return PLACE_DEAD;
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? PLACE_NOTHING : PLACE_UNKNOWN;
	if (fstat(fd, &theirs) < 0 || stat_ours(q, "sock", &own) < 0)
		return PLACE_OTHER;
	return is_same(&theirs, &own) ? PLACE_SOCKET : PLACE_OTHER;
}

static void look(const void *ctx, void *answer)
{
	const struct question *q = ctx;
	_cleanup_(closep) int root_fd = -1, fd = -1;
	struct place *ret = answer;
	struct stat theirs, tree, run;
	struct statfs fs;
	char root[32];

	snprintf(root, sizeof(root), "/proc/%d/root", (int)q->pid);
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return;
	fd = file_open_at(root_fd, "dev/lxd", O_PATH, RESOLVE_IN_ROOT);
	/* One that nobody serves may still have its attributes in the cache. */
	if (fd >= 0 && fstatfs(fd, &fs) < 0 && errno == ENOTCONN)
		ret->kind = PLACE_DEAD;
	else if (fd >= 0 && fstat(fd, &theirs) == 0 && S_ISDIR(theirs.st_mode) &&
		 stat_ours(q, "", &run) == 0 && stat_ours(q, "tree", &tree) == 0 &&
		 tree.st_dev != run.st_dev && tree.st_dev == theirs.st_dev)
		look_in_tree(q, fd, &theirs, &tree, ret);
	else
		ret->kind = look_at_socket(q, root_fd);
}

struct place place_of(pid_t pid, const char *run_dir, const char *instance)
{
	const struct question q = {pid, run_dir, instance};
	struct place place = {.kind = PLACE_UNKNOWN};

	if (apart_call(look, &q, &place, sizeof(place)) == -ETIMEDOUT)
		place.kind = PLACE_SILENT;
	return place;
}

const char *place_explain(enum place_kind kind)
{
	static const char *const texts[] = {
		[PLACE_DIRECTORY] = "a directory of this daemon's tree",
		[PLACE_TREE] = "the whole tree, with the names of all instances; bind-mount its "
			       "own directory of it there instead",
		[PLACE_SOCKET] = "this daemon's socket",
		[PLACE_DEAD] = "a directory that nobody serves any more: its daemon has ended; "
			       "bind-mount tree/NAME of the daemon's --run-dir there again",
		[PLACE_OTHER] = "something else than this daemon's socket; bind-mount sock of the "
				"daemon's --run-dir there again",
		[PLACE_NOTHING] = "nothing; bind-mount tree/NAME of the daemon's --run-dir to "
				  "/dev/lxd in the guest, or sock to /dev/lxd/sock",
		[PLACE_SILENT] = "a file system that does not answer; unmount it in the guest, or "
				 "see devlxdfs check if it is this daemon's tree",
		[PLACE_UNKNOWN] = "not known: the process is gone, or this needs root",
	};

	return texts[kind];
}
