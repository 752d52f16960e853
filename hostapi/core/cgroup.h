#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cgroup2 hierarchy as the host has it
 *
 * Unified (mounted at /sys/fs/cgroup), hybrid (somewhere else), or not mounted:
 * found in /proc/self/mountinfo, never assumed. Paths are those of the "0::"
 * line of /proc/PID/cgroup, from the host's cgroup root.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Longest cgroup path handled, NUL included (PATH_MAX). */
#define CGROUP_PATH_MAX 4096

/*
 * Opens the root of the cgroup2 hierarchy (O_PATH). Returns the descriptor, -ENOENT when none is
 * mounted where we can see it whole, or -errno. *ret_where (may be NULL) is set to the mount
 * point, caller frees.
 */
int cgroup_open_root(char **ret_where);

/*
 * Finds the path in the text of a /proc/PID/cgroup. Pure. Refuses (-EINVAL) paths that are not
 * absolute, leave our cgroup namespace ("/../") or contain "." or ".." components, and a text that
 * was cut; -ESTALE for a removed cgroup (" (deleted)"); -ENOENT without a "0::" line.
 */
int cgroup_parse_proc(const char *text, size_t n, char ret_path[CGROUP_PATH_MAX]);

/*
 * Brings an operator's spelling into the form the kernel prints: one leading
 * '/', no '//', no trailing '/'. Returns 0, or -EINVAL for an empty path, a relative one, "." or
 * "..", or the root itself (everything would match).
 */
int cgroup_normalise(const char *path, char ret_path[CGROUP_PATH_MAX]);

/*
 * Walks from @path to its ancestors by whole components: cuts the last
 * component off @path in place ("/a/b" -> "/a"). False when "/" was reached.
 */
bool cgroup_parent(char *path);

/* Whether @path is @top or below it, by whole components; "/" is above all. */
bool cgroup_is_within(const char *path, const char *top);

/* The id (inode number) of the cgroup at @path. Returns 0 or -errno (-ENOENT: gone). */
int cgroup_id(int root_fd, const char *path, uint64_t *ret_id);

/*
 * A descriptor (O_PATH) of the cgroup with this id, for a process that is not there any more to be asked. Needs
 * CAP_DAC_READ_SEARCH. The caller's, or -ESTALE when it was removed, -EPERM, or -errno.
 */
int cgroup_open_id(int root_fd, uint64_t id);

/* The path of the cgroup that @fd is. Returns 0, -ESTALE when it was removed, or -errno. */
int cgroup_path_of_fd(int root_fd, int fd, char ret_path[CGROUP_PATH_MAX]);

/* Processes and cgroups together that cgroup_first_process() is willing to look at. */
#define CGROUP_WALK_MAX 4096

/* Whether the cgroup or one below has processes that have not ended; what its cgroup.events says and the kernel tells of. */
bool cgroup_is_populated(int root_fd, const char *path);

/*
 * The first process of the cgroup and everything below it: the oldest by start time.
 * *ret_start is field 22 of its stat. Returns 0, -ENOENT when it is empty, -E2BIG when there is more
 * than CGROUP_WALK_MAX to look at (the oldest of a part would be a guess), or -errno.
 */
int cgroup_first_process(int root_fd, const char *path, pid_t *ret_pid, uint64_t *ret_start);
