#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Grafting: a directory of the tree mounted into, or unmounted from, the mount namespace of a guest
 *
 * The guest's files and mounts are hostile. A child does it, which has in the guest the rights of its root on files and, of the host's, what
 * mounting takes; it follows no link, and is killed if the guest holds it up.
 */
#include <stdbool.h>

#include "attach/liveguest.h"
#include "base/buf.h"

/* The tree to graft from, and whose directory. Texts are borrowed. */
struct graft {
	const char *run_dir; /* the tree is RUN/tree */
	const char *
		device; /* of the file system there, MAJ:MIN; what is mounted of another one is dead */
	const char *instance;
};

/*
 * Mounts the instance's directory at @path, absolute in the guest, unless it is there; the last directory is made if it is missing. What
 * an earlier daemon has left there is unmounted. Returns 0, or -errno with @error saying why (no name, no newline): -ENOENT with an
 * empty @error when the tree has no such directory.
 */
int graft_mount(const struct liveguest *t, const struct graft *g, const char *path,
		struct buf *error);

/* Unmounts the instance's directory, or a dead one, from @path; anything else is left. Returns 0, also when there is nothing to do, or as above. */
int graft_unmount(const struct liveguest *t, const struct graft *g, const char *path,
		  struct buf *error);

/* The device of the tree at RUN/tree, as mountinfo has it, without asking it. Returns 0, -ENOENT when there is none, or -errno. */
int graft_find_tree(const char *run_dir, char ret_device[32]);
