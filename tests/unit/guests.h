#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real cgroups and real processes for tests of identity
 *
 * A world has a cgroup of its own under the host's hierarchy, a registry, an identity and a listening socket.
 * Its processes are children that live until the test lets them go; guests_finish() ends and
 * removes all that guests_init() and the others made. What fails here ends the test.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/cgroup.h"

#define GUESTS_MAX 16

struct child {
	pid_t pid;
	int control; /* end of file on it lets the child end */
};

struct guests {
	struct registry *registry;
	struct identity *identity;
	int root_fd, listen_fd;
	char base[64]; /* the world's cgroup */
	struct child children[GUESTS_MAX];
	size_t n_children;
};

/* False where no cgroup can be made; the reason is on stdout. */
bool guests_init(struct guests *g, size_t cache_max);
void guests_finish(struct guests *g);

/* Whether guests_init() works here; main() returns 77, "skipped", when not. */
bool guests_are_possible(void);

/* The path of cgroup @name (may have slashes) of this world. Valid until the end of the test. */
const char *guests_path(struct guests *g, const char *name);
/* Makes it, also its parents, and gives its id. */
uint64_t guests_make(struct guests *g, const char *name);
void guests_remove(struct guests *g, const char *name);
/* Moves a process there. */
void guests_move(struct guests *g, const char *name, pid_t pid);

/* A record that matches cgroup @name (NULL: none). @root_uid < 0: the record does not say. */
void guests_record(struct guests *g, const char *instance, const char *name, int64_t root_uid);
void guests_withdraw(struct guests *g, const char *instance);

struct start {
	const char *cgroup; /* where it is from its first moment; NULL: the world's own */
	int unshare;        /* namespaces to make, after that */
	const char *map;    /* the uid map of its new user namespace */
	uid_t uid;          /* which it then takes, as it sees it; 0 also for "as it is" */
	int connect_fd;     /* a socket to connect to the listener; <= 0: none */
	int (*then)(void *data, int control); /* run in the child instead of waiting for the end */
	void *data;
	pid_t pid; /* the id it must get; 0: any */
};

/* Starts a child; returns when it has done all that is asked for. */
pid_t guests_start(struct guests *g, const struct start *start);
/* Lets a child end and reaps it. */
void guests_end(struct guests *g, pid_t pid);
/* Waits until the child, with its own .then, has written a byte to its control socket. */
void guests_hear(struct guests *g, pid_t pid);

/* A .then: the child has a second thread, until its end. */
int guests_two_threads(void *data, int control);
/* The id of the thread of @pid that is not its first. */
pid_t guests_second_thread(pid_t pid);

/* An unconnected stream socket; and the other end of what was connected first. Close both. */
int guests_socket(void);
int guests_accept(struct guests *g);

/* Starts a process in @cgroup that connects, and gives our end of that; the process lives on. */
int guests_caller(struct guests *g, struct start start, pid_t *ret_pid);
