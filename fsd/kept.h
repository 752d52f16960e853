#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN/published/kept/ID: contents that were replaced while they were open, for the next worker
 *
 * A descriptor outlives the worker that opened it, and reads on what it opened. One file each, named by the node's id;
 * RUN is a tmpfs and the files mean something to one mount only. Values are in them, so nobody but the daemon may look.
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

/* Bytes of replaced contents kept for one instance; the oldest goes first. */
#define KEPT_MAX (1 << 20)

struct kept {
	_Atomic unsigned refs;
	uint64_t id;
	int64_t changed_ns;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	bool is_inherited; /* an earlier worker may have opened it, and nobody knows how often */
	struct kept *prev, *next; /* branch::kept, oldest first */
	size_t size;
	char bytes[];
};
struct kept *kept_unref(struct kept *k); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct kept *, kept_unref);

/* Opens the directory in @published_fd, made if missing (0700). Returns a descriptor or -errno. */
int kept_open(int published_fd);

/* Writes its file. Returns 0 or -errno. */
int kept_save(int dir_fd, const char *mount_id, const struct kept *k);

/* Removes the file of the node @id. Harmless when there is none. */
void kept_remove(int dir_fd, uint64_t id);

/*
 * Parses the @n bytes of the file of the node @id. *ret is inherited and has one reference. Returns 1; 0: it is of another mount; -EINVAL or -ENOMEM.
 */
int kept_parse(const char *bytes, size_t n, const char *mount_id, uint64_t id, struct kept **ret);

/*
 * Calls @each for every file of this mount, which takes *k over (and sets it to NULL) or leaves it, whose file is then removed. Other
 * files are removed. Returns 0 or -errno.
 */
int kept_load(int dir_fd, const char *mount_id, void (*each)(void *arg, struct kept **k),
	      void *arg);
