#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listing: one reply to READDIR or READDIRPLUS
 *
 * Entries come in the order of their cookies, which depend on nothing but their names: what is added or removed between two
 * reads of a directory makes no other entry come twice or not at all, whoever serves the second.
 */
#include "node.h"

struct listing {
	fuse_req_t req;
	bool is_plus; /* with attributes, so that each need not be looked up */
	char *bytes;
	size_t size, used;
};

/* Makes room for @size bytes, or enough; req and is_plus are set. Returns 0 or -ENOMEM. */
int listing_begin(struct listing *l, size_t size);
void listing_finish(struct listing *l);

/* Fills in what comes behind @offset (0: all) of the instances. Returns 0 or -ENOMEM. */
int listing_root(struct listing *l, const struct source *source, uint64_t offset);
/* The same of the directory @dir. Returns 0, -ENOTDIR or -ENOMEM. */
int listing_directory(struct listing *l, const struct node *dir, uint64_t offset);
