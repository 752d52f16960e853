#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that runs, by one of its processes: what is needed of it to put something into it
 *
 * Everything is opened while the process is known to live; what is open stays that guest's.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct liveguest {
	pid_t pid;
	uint64_t start;
	uint64_t mount_ns; /* its number */
	int pid_fd;
	int root_fd; /* O_PATH */
	int ns_fd;   /* its mount namespace */
	int cgroup_ns_fd;
	int mounts_fd; /* its mountinfo */
	uid_t uid;     /* who the guest's root is for us */
	gid_t gid;
};

#define LIVEGUEST_NONE                                                                             \
	{                                                                                          \
		.pid_fd = -1, .root_fd = -1, .ns_fd = -1, .cgroup_ns_fd = -1, .mounts_fd = -1      \
	}

/*
 * @root: where the guest's root is, from the process's own; NULL: there. *ret is the caller's to finish after 0. Returns 0, -ESRCH when there
 * is no such process, -EXDEV when it is in our own mount namespace, or -errno; -EPERM and -EACCES when we are not root.
 */
int liveguest_open(pid_t pid, const char *root, struct liveguest *ret);
/* Leaves a LIVEGUEST_NONE; one will do. */
void liveguest_finish(struct liveguest *t);

/* Whether the process with this id that started then still lives. */
bool liveguest_lives(pid_t pid, uint64_t start);

/* The number of the mount namespace of @pid. Returns 0, -ESRCH, or -errno. */
int liveguest_mount_ns(pid_t pid, uint64_t *ret);

/* Whether its root is ours: it has not changed it yet. */
bool liveguest_has_our_root(const struct liveguest *t);
