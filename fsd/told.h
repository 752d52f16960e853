#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN/published/NAME.json: what the kernel was told of an instance's directory
 *
 * {"mount": "id of the mount", "serial": N, "nodes": {"config/user.role": [HASH, CHANGED_NS], ...}}
 *
 * The serial is what the instance's node ids begin with, bound to its name for the life of the mount; it is
 * on file before the kernel sees it. The nodes are written after the kernel was told of a change, so that a worker that
 * finds something else in the store tells it again; they also keep the times of changes.
 * Files of another mount mean nothing and are removed.
 */
#include <stdint.h>

#include "index.h"

/* Opens RUN/published, made if missing (0700; by the keeper, which gives it to the account of the worker). Returns a descriptor or -errno. */
int told_open(const char *run_dir);

/* Writes the file; @x may be NULL: no nodes yet. Returns 0 or -errno. */
int told_save(int dir_fd, const char *mount_id, const char *name, uint32_t serial,
	      const struct index *x);

/*
 * Parses the @n bytes of a file. Returns 1 with the serial and an index without contents, NULL when nothing was told
 * yet; 0: it is of another mount; -EINVAL or -ENOMEM.
 */
int told_parse(const char *text, size_t n, const char *mount_id, uint32_t *ret_serial,
	       struct index **ret_index);

/* Removes it. Harmless when there is none. */
void told_remove(int dir_fd, const char *name);

/*
 * Calls @each for every file of this mount, with an index without contents that it may take (set *index to NULL), NULL
 * when nothing was told yet. What cannot be read is logged and left out. Returns 0, what @each returned, or -errno.
 */
int told_load(int dir_fd, const char *mount_id,
	      int (*each)(void *arg, const char *name, uint32_t serial, struct index **index),
	      void *arg);
