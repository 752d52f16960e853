#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations of image files, a part of ops.c
 *
 * The node of one is in many directories, and through which of them it is opened the kernel does not say: who opens it decides.
 */
#include "node.h"
#include "ops.h"

/* Opens the node @id if it is one that all share. Whether it was; then it is answered. */
bool imageops_open(struct ops *o, fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);

/* Opens the instance's own node @id, which it may. Returns 0 when it is answered, or -errno. */
int imageops_open_own(struct ops *o, fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);

/* The same of closing. */
bool imageops_release(struct ops *o, fuse_req_t req, fuse_ino_t id,
		      const struct fuse_file_info *fi);

/* Answers with bytes of @n, a TREE_FILE. Returns 0 when it is answered, or -errno. */
int imageops_read(struct ops *o, fuse_req_t req, const struct node *n, size_t size, off_t offset);
