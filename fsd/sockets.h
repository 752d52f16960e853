#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets in the tree: made and held by the keeper, bound by the helper, listened on by workers
 *
 * One that all guests see, and one for each instance that is recognised by its mount. A bound
 * socket keeps its node, whoever serves the mount. The shared state has a copy of what is bound, for workers.
 */
#include "helper.h"
#include "shared.h"

struct fdstore;

struct socket_slot {
	uint32_t serial; /* of the instance; 0: the slot is free */
	uint32_t job;    /* tells it from what was in the slot before */
	int fd;
	bool is_bound;
};

struct sockets {
	struct shared *
		shared; /* borrowed; written for workers, who can write there as well: never read */
	const char *path; /* of the mount; borrowed */
	int fd;           /* the one for all */
	bool is_bound;    /* that one */
	bool is_kept;     /* what comes and goes is told to the service manager (fdstore.h) */
	struct socket_slot slots[SHARED_LISTENERS_MAX]; /* of one instance each */
	struct helper helper;
	/* The helper has one job at a time: a channel holds a few hundred, and a slot may be taken away meanwhile. */
	bool is_busy;
	uint32_t busy_serial, busy_job, last_job;
};

/* As sockets_init(), with the socket for all, which is taken over, and those of single instances that are in @store. */
void sockets_take_up(struct sockets *s, const char *path, struct shared *shared, int fd,
		     struct fdstore *store);

/* Makes the socket for all, unbound. @path and @shared are borrowed. Finish it with sockets_finish() in any case. Returns 0 or -errno. */
int sockets_init(struct sockets *s, const char *path, struct shared *shared);

/* Writes the shared state anew, whatever an earlier worker made of it. */
void sockets_show(const struct sockets *s);

/* Stops the helper and closes all. For one that was never used: descriptors -1. */
void sockets_finish(struct sockets *s);

/* Starts the helper, and has it bind what is not bound. A worker must serve, or it waits for one. Returns 0 or -errno. */
int sockets_start_helper(struct sockets *s);

/* Forgets the helper that has died. */
void sockets_helper_died(struct sockets *s);

/*
 * The helper's channel can be read. Returns 0 with what it says: *ret_serial of what (0: the socket for all) and *ret_error,
 * 0 or why it could not be bound; -EAGAIN: nothing; -EPIPE: it is gone.
 */
int sockets_take_answer(struct sockets *s, uint32_t *ret_serial, int *ret_error);

/* Makes the own socket of the instance @serial and has it bound, unless that was done. Returns 0, -EMFILE when there are too many, or -errno. */
int sockets_add(struct sockets *s, uint32_t serial);

/* Closes it. Unknown ones are fine. */
void sockets_remove(struct sockets *s, uint32_t serial);

/* The descriptor of the instance's own socket, still the keeper's, once it is bound; else -1. */
int sockets_find(const struct sockets *s, uint32_t serial);
