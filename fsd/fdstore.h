#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The service manager's store of descriptors: what outlives a keeper
 *
 * Descriptors are given to the manager by name, FDSTORE=1 of sd_notify(3), and are there again for the next
 * keeper, sd_listen_fds(3). Knows names and numbers only; whether what was kept is of use, others say.
 */
#include <stdbool.h>
#include <stdint.h>

#define FDSTORE_GUEST "guest"
#define FDSTORE_ADMIN "admin"

struct shared;

/* The mount and what goes with it. */
struct fdstore_tree {
	int fuse_fd, shared_fd, journal_fd, listen_fd;
	int poke_fds[2];
};

struct fdstore {
	bool is_on;
	int n;
	char **names; /* of the descriptors from 3 on; empty: it was taken */
};

/* @is_wanted: uses the store, if there is a manager that offers one. */
void fdstore_open(struct fdstore *s, bool is_wanted);
/* Closes what nobody took, and has the manager forget it. Harmless when repeated. */
void fdstore_finish(struct fdstore *s);

/* The kept descriptor @name, which is the caller's then, or -1. */
int fdstore_take(struct fdstore *s, const char *name);
/* Gives @fd (lent) to the manager. */
void fdstore_put(const struct fdstore *s, const char *name, int fd);

/*
 * Takes the tree that is mounted at @path: all its descriptors; what was the dead keeper's children's is forgotten in *ret_shared. Logs why not. Returns 0; -ENOENT: nothing was
 * kept; -ESTALE: what was kept is of no use.
 */
int fdstore_take_tree(struct fdstore *s, const char *path, struct fdstore_tree *ret,
		      struct shared **ret_shared);
void fdstore_put_tree(const struct fdstore *s, const struct fdstore_tree *tree);

/* Takes the listener of some instance, the caller's then. Returns it, or -1 when there are no more. */
int fdstore_take_listener(struct fdstore *s, uint32_t *ret_serial);

/* The listener of the instance @serial comes, before it is bound, and goes. */
void fdstore_put_listener(uint32_t serial, int fd);
void fdstore_forget_listener(uint32_t serial);
