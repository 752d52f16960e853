#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What /proc says about a process given by its id
 *
 * An id alone is not an identity: callers hold a pidfd, or compare the start time before and after.
 * The parsers are pure.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "core/cgroup.h"

#define PROCESS_NO_UID ((uid_t)-1)

/* The path of its cgroup. Returns 0, -ESRCH, what cgroup_parse_proc() returns, -EACCES (hidepid), or -errno. */
int process_cgroup(pid_t pid, char ret_path[CGROUP_PATH_MAX]);

/* When it started, in clock ticks since the host booted. Returns 0, -ESRCH, or -errno. */
int process_start(pid_t pid, uint64_t *ret_start);

/*
 * What no later process with that id will have: the inode of /proc/PID, which the kernel makes for one
 * process and drops with it. One process may come to have another mark (its inode was reclaimed), so
 * only an equal mark says something. A tenth of the time of process_start().
 */
struct process_mark {
	uint64_t inode;
	struct timespec made;
};

/* Returns 0, -ESRCH, or -errno. */
int process_mark(pid_t pid, struct process_mark *ret);
bool process_mark_equal(const struct process_mark *a, const struct process_mark *b);

/*
 * The uid, as we see it, of the root of the user namespace that @pid is in; PROCESS_NO_UID when that
 * namespace has none. Returns 0, -ESRCH, or -errno.
 */
int process_root_uid(pid_t pid, uid_t *ret_uid);

/* Its effective uid. Returns 0, -ESRCH, or -errno. */
int process_uid(pid_t pid, uid_t *ret_uid);

/* Field 22 of the text of a /proc/PID/stat, whatever the process calls itself. Returns 0 or -EINVAL. */
int process_parse_stat(const char *text, uint64_t *ret_start);

/* What 0 is mapped to in the text of a uid_map. Returns 0 (also with PROCESS_NO_UID) or -EINVAL. */
int process_parse_uid_map(const char *text, uid_t *ret_uid);
