#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What /proc says about a process given by its id
 *
 * An id alone is not an identity: callers hold a pidfd, compare the start time before and after,
 * or know that the kernel keeps the thread waiting for us.
 * The parsers are pure.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "core/cgroup.h"

struct idmap;

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

/*
 * Who the ids of the user namespace that @pid is in are for us; finish it. Empty while nobody has
 * written its maps. Returns 0, -ESRCH, -ENOMEM, or -errno.
 */
int process_idmap(pid_t pid, struct idmap *ret);

/*
 * In how many pid namespaces it is, from the one of our /proc inwards: 1 when in no other. A thread
 * will do. Returns 0, -ESRCH, -EFBIG when it is in more groups than we read, or -errno.
 */
int process_depth(pid_t pid, unsigned *ret_depth);

/* The process of which @tid is a thread, itself for a first one. Returns 0, -ESRCH, or -errno. */
int process_of_thread(pid_t tid, pid_t *ret_pid);

/* Its parent; 0 for one that has none in our pid namespace. Returns 0, -ESRCH, or -errno. */
int process_parent(pid_t pid, pid_t *ret_pid);

/* Its effective uid. Returns 0, -ESRCH, or -errno. */
int process_uid(pid_t pid, uid_t *ret_uid);

/* Field 22 of the text of a /proc/PID/stat, whatever the process calls itself. Returns 0 or -EINVAL. */
int process_parse_stat(const char *text, uint64_t *ret_start);

/*
 * The length of the NSpid line of the text of a /proc/PID/status: as process_depth(). Returns 0, or
 * -EINVAL when there is no such line with numbers alone.
 */
int process_parse_depth(const char *status, unsigned *ret_depth);
