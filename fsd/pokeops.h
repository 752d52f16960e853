#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the poker is answered
 *
 * Each returns whether the request was the poker's, about what is in flight, and has been answered; else it is anybody's. To
 * it alone a replaced content is still there under its name, one that was added is not there yet, and making, opening for
 * writing, setting a length and removing succeed, without any effect. The kernel keeps nothing of that for others.
 */
#include "ops.h"

/* What its path leads to. */
bool pokeops_lookup(struct ops *o, fuse_req_t req, fuse_ino_t parent, const char *name);
/* Of an old node. */
bool pokeops_getattr(struct ops *o, fuse_req_t req, fuse_ino_t id);
/* A length, of an old node or a current one. */
bool pokeops_setattr(struct ops *o, fuse_req_t req, fuse_ino_t id, int to_set);
/* For writing, as well. */
bool pokeops_open(struct ops *o, fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
/* Of what was added: it is the current node then. */
bool pokeops_mknod(struct ops *o, fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
/* Of what was removed. */
bool pokeops_unlink(struct ops *o, fuse_req_t req, fuse_ino_t parent, const char *name);
