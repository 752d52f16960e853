#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mount of the tree: made, shaken hands with, taken down
 *
 * The keeper's part of FUSE. No libfuse: the kernel's first request is answered with a fixed reply,
 * so that what was agreed on does not depend on which worker came first, and is kept for
 * workers to replay. Nothing here asks the file system anything, which could block.
 */
#include "shared.h"

#define MOUNT_NAME "tree" /* in RUN */
/* As /proc/mounts calls it. */
#define MOUNT_TYPE "fuse.devlxdfs"

/*
 * Takes down what an earlier daemon left at @path, makes the directory, mounts and answers FUSE_INIT, which
 * is put into @s. *ret_fd, the caller's, is /dev/fuse, non-blocking: the mount lives while somebody
 * holds it open. Logs what is wrong. Returns 0 or -errno.
 */
int mount_tree(const char *path, struct shared *s, int *ret_fd);

/* The minor number of the device that ours at @path, the topmost one, is; 0: there is none. */
uint32_t mount_number(const char *path);

/* Whether the kernel can send requests again that a worker has read and did not live to answer (6.9), and is to be asked to. */
bool mount_has_resend(const struct shared *s);

/* Whether the kernel can read a file behind a node by itself (6.9). */
bool mount_has_passthrough(const struct shared *s);

/*
 * Takes down all of ours that is mounted at @path, lazily: whoever is inside keeps a dead directory. Nobody waits for an answer
 * any more, also when a process that cannot end still holds /dev/fuse.
 */
void mount_take_down(const char *path);
