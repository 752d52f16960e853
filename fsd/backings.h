#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backings: files that the kernel reads by itself for nodes of the tree, registered by the keeper
 *
 * FUSE passthrough (6.9); registering takes CAP_SYS_ADMIN. A number belongs to the mount and outlives workers. The keeper knows of each
 * node what it has registered, so that a worker which asks again is told the same.
 */
#include "shared.h"

struct backings {
	struct {
		uint64_t node; /* 0: free */
		int32_t id;
	} list[SHARED_BACKINGS_MAX];
};

/* What an earlier keeper registered. */
void backings_take_up(struct backings *b, const struct shared *s);

/*
 * Registers @fd (lent) for @node, if it is a file below STATE/images that is open for reading only. Returns the number, from 1; -EACCES when it is
 * anything else; -ENOSPC when there are too many; or -errno, -ELOOP and -EOPNOTSUPP of file systems that cannot be read so.
 */
int backings_open(struct backings *b, int fuse_fd, const char *state_dir, uint64_t node, int fd);

/* Gives the number back; who has the node open reads on. Unknown ones are fine. */
void backings_close(struct backings *b, int fuse_fd, uint64_t node);
