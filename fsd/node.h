#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Node: one node of the tree, found by its id or its name, and its attributes
 *
 * What stands between an operation and the branches: root, sockets for all, current nodes of an instance, and
 * replaced contents that somebody has open.
 */
#include <sys/stat.h>

#include "branch.h"
#include "session.h"
#include "stream.h"

/* Zeroed before it is filled; finish with node_finish(). The root and the socket for all have no branch, sockets and the root no index. */
struct node {
	uint64_t id;
	struct branches *all;
	enum tree_row row; /* TREE_TOP for the root, TREE_SOCK for the socket for all */
	struct branch *branch;
	struct index *index;             /* NULL with those, and with a kept content */
	const struct index_node *at;     /* in the index */
	struct kept *kept;               /* a replaced content */
	struct source_file file_on_disk; /* of a TREE_FILE that is shared */
	struct stream_file file;         /* of a TREE_LOG */
	bool is_child;                   /* borrows branch and index */
};
void node_finish(struct node *n);

/* Finds @id. Returns 0, -ESTALE when it is nothing now, or -ENOMEM; ret->branch may be set anyway. */
int node_find(struct branches *all, uint64_t id, struct node *ret);
/* The same after asking again, for @uid, who owns the instance's nodes. */
int node_find_owned(struct branches *all, uint64_t id, uid_t uid, struct node *ret);

/* The directory of the instance @name. Returns 0, -ENOENT or -ENOMEM. */
int node_top(struct branches *all, const char *name, struct node *ret);
/* The child of @dir called @name; *ret borrows from @dir and is not finished. Returns 0, -ENOENT, -ENOTDIR. */
int node_child(struct node *dir, const char *name, struct node *ret);
/* The node @at in the directory @dir's index; *ret borrows, too. */
void node_of(const struct node *dir, const struct index_node *at, struct node *ret);
/* The socket for all. Returns 0. */
int node_shared_socket(struct node *ret);
/* The own socket of the instance @serial, whether it is shown yet or not. Returns 0 or -ENOENT. */
int node_own_socket(struct branches *all, uint32_t serial, struct node *ret);

/* What a TREE_FILE is. False: nothing now. */
bool node_file(const struct node *n, struct source_file *ret);

/* Attributes and for how long, in seconds, the kernel may remember them. Returns 0 or -ENOMEM. */
int node_stat(const struct node *n, struct stat *ret, double *ret_timeout);
/* The answer to a lookup. Returns 0 or -ENOMEM. */
int node_entry(const struct node *n, struct fuse_entry_param *ret);

/* The kernel has forgotten @id. */
void node_forgotten(struct branches *all, uint64_t id);
