#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN: the lock and the sockets
 *
 * One daemon per directory, by a lock. The guests' socket is bound under a
 * hidden name and gets its own once it is served, so that nobody finds a
 * socket that does not answer; a stale one is removed before. Knows nothing of who
 * listens on the sockets.
 */
#include "fdstore.h"

struct rundir {
	int fd;      /* of the directory; -1: not open */
	int lock_fd; /* held */
	int guest_fd, admin_fd;
	bool is_kept; /* the sockets are to outlive us: they are left where they are */
	char *path;
};

/*
 * Makes the directory if needed, takes the lock and binds both sockets, without listening, or takes them from @store (NULL: there is none).
 * Logs what is wrong. Returns 0 or -errno (-EEXIST: somebody else's file stands there, -EBUSY: another daemon).
 */
int rundir_open(const char *path, struct fdstore *store, struct rundir *ret);

/* Only the directory and the lock, to be finished as ever. */
int rundir_lock(const char *path, struct rundir *ret);

/* The guests' socket gets its name, unless it has it. Returns 0 or -errno. */
int rundir_publish(struct rundir *d);

/* Removes both sockets, unless they are kept; they can still be listened on. Harmless when repeated. */
void rundir_unpublish(struct rundir *d);

/* Removes the sockets and closes everything. */
void rundir_finish(struct rundir *d);
