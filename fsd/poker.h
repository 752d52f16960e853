#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Poker: the process that makes inotify speak
 *
 * The kernel tells watchers of what is done through a file system, not of what a server notifies it of. So this
 * process does something harmless through the mount, for each name that has changed: makes a node, opens a
 * file for writing and sets its length to what it is, removes a name. The worker answers it, and it alone, with
 * success, and changes nothing (pokeops.h).
 *
 * A guest can hold the lock of its own directory, and who makes or removes a name there then hangs for as long as that
 * guest likes. So this is a process of its own, a child of the keeper, that nobody waits for; it holds no descriptor
 * of /dev/fuse, and has another thread at hand while there are fewer than POKER_THREADS_MAX.
 *
 * The worker asks by a SOCK_SEQPACKET pair that the keeper made once, so that what waits in it outlives both ends.
 */
#include "shared.h"

enum poker_op {
	POKER_ADD,
	POKER_CHANGE,
	POKER_REMOVE,
	_POKER_N_OPS,
};

#define POKER_PATH_MAX 1024

/* Sent as far as the path goes, its NUL included. */
struct poker_request {
	uint64_t number;
	uint32_t op;
	char path[POKER_PATH_MAX]; /* below the root of the mount */
};

struct poker_answer {
	uint64_t
		number; /* 0: another process reads now; what an earlier one took may have been lost */
	int32_t error; /* 0: done; a negative errno */
};

struct poker {
	pid_t pid; /* 0: there is none */
	int pid_fd;
};

/* Starts it for the mount at @path; @channel_fd, its end, is lent. Returns 0 with *ret or -errno. */
int poker_start(const char *path, int channel_fd, struct shared *shared, struct poker *ret);

/* It is gone: forgets its threads, then reaps it. */
void poker_reap(struct poker *p, struct shared *shared);

/* Kills it, and does not wait for its end, which may never come. Harmless when there is none. */
void poker_stop(struct poker *p, struct shared *shared);

/* Whether the thread @tid, which waits for an answer, is one of its threads. */
bool poker_has_thread(const struct shared *shared, pid_t tid);
