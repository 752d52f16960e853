/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See place.h. openat2() keeps a guest's symbolic links inside the guest's root. */
#include "ctl/place.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

enum place place_of(pid_t pid, const char *run_dir)
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

const char *place_explain(enum place place)
{
	static const char *const texts[] = {
		[PLACE_OURS] = "this daemon's socket",
		[PLACE_OTHER] = "something else than this daemon's socket; bind-mount sock of the "
				"daemon's --run-dir there again",
		[PLACE_NOTHING] = "nothing; bind-mount sock of the daemon's --run-dir to "
				  "/dev/lxd/sock in the guest",
		[PLACE_UNKNOWN] = "not known: the process is gone, or this needs root",
	};

	return texts[place];
}
