/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See place.h. openat2() keeps a guest's symbolic links inside the guest's root. A guest may have
 * mounted a file system there that never answers, and who asks it cannot even be killed; so a child
 * looks, and is left behind if need be.
 */
#include "ctl/place.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"

#define PATIENCE_MS 2000

static enum place look(pid_t pid, const char *run_dir)
{
	const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	_cleanup_(freep) char *root = NULL, *ours = NULL;
	_cleanup_(closep) int root_fd = -1, fd = -1;
	struct stat theirs, own;

	if (asprintf(&root, "/proc/%d/root", (int)pid) < 0) {
		root = NULL;
		return PLACE_UNKNOWN;
	}
	if (asprintf(&ours, "%s/sock", run_dir) < 0) {
		ours = NULL;
		return PLACE_UNKNOWN;
	}
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return PLACE_UNKNOWN;
	fd = (int)syscall(SYS_openat2, root_fd, "dev/lxd/sock", &how, sizeof(how));
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? PLACE_NOTHING : PLACE_UNKNOWN;
	if (fstat(fd, &theirs) < 0 || stat(ours, &own) < 0)
		return PLACE_OTHER;
	return theirs.st_dev == own.st_dev && theirs.st_ino == own.st_ino ? PLACE_OURS
									  : PLACE_OTHER;
}

/* Writes what look() says to @fd and ends, which only a child may do. */
static _Noreturn void look_and_tell(pid_t pid, const char *run_dir, int fd)
{
	char place;

	/* Whoever reads our output must not wait for a child that is left behind. */
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		close(i);
	place = (char)look(pid, run_dir);
	_exit(write(fd, &place, 1) == 1 ? 0 : 1);
}

enum place place_of(pid_t pid, const char *run_dir)
{
	_cleanup_(closep) int ours = -1, theirs = -1;
	struct pollfd answer = {.events = POLLIN};
	char place = PLACE_UNKNOWN;
	int pair[2];
	pid_t child;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return PLACE_UNKNOWN;
	ours = pair[0];
	theirs = pair[1];
	child = fork();
	if (child < 0)
		return PLACE_UNKNOWN;
	if (child == 0)
		look_and_tell(pid, run_dir, theirs);
	answer.fd = ours;
	if (poll(&answer, 1, PATIENCE_MS) <= 0)
		return PLACE_SILENT;
	if (read(ours, &place, 1) != 1)
		place = PLACE_UNKNOWN;
	waitpid(child, NULL, 0);
	return (enum place)place;
}

const char *place_explain(enum place place)
{
	static const char *const texts[] = {
		[PLACE_OURS] = "this daemon's socket",
		[PLACE_OTHER] = "something else than this daemon's socket; bind-mount sock of the "
				"daemon's --run-dir there again",
		[PLACE_NOTHING] = "nothing; bind-mount sock of the daemon's --run-dir to "
				  "/dev/lxd/sock in the guest",
		[PLACE_SILENT] = "a file system that does not answer; unmount it in the guest",
		[PLACE_UNKNOWN] = "not known: the process is gone, or this needs root",
	};

	return texts[place];
}
