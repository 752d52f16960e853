#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test's own directory, and its own mounts where the kernel allows that
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* A cmocka setup: makes an empty directory, *state is its path (scratch_teardown frees it). */
static inline int scratch_setup(void **state)
{
	const char *parent = getenv("TMPDIR");
	char *path;

	if (asprintf(&path, "%s/devlxdfs-test-XXXXXX", parent ? parent : "/tmp") < 0)
		return -1;
	*state = mkdtemp(path);
	return *state ? 0 : -1;
}

static inline int scratch_remove_(const char *path, const struct stat *st, int type,
				  struct FTW *ftw)
{
	return remove(path);
}

/* A cmocka teardown: removes the directory with all that is in it, but no other file system. */
static inline int scratch_teardown(void **state)
{
	int r = nftw(*state, scratch_remove_, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);

	free(*state);
	return r;
}

/* Opens the directory. Never fails (the test ends). */
static inline int scratch_open(void **state)
{
	int fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		abort();
	return fd;
}

/* The path of @name in the directory; the caller frees it. */
static inline char *scratch_path(void **state, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", (const char *)*state, name) < 0)
		abort();
	return path;
}

/* Gives the process mounts of its own. False, with the reason on stdout, where that is refused. */
static inline bool scratch_private_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0) {
		printf("skipped: no mount namespace of our own: %s\n", strerror(errno));
		return false;
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("skipped: cannot make the mounts private: %s\n", strerror(errno));
		return false;
	}
	return true;
}
