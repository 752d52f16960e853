#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs: which run of a guest is going on, and who is root in it
 *
 * Both are told by the guest's first process, the oldest in the claimed cgroup and below. It is
 * remembered by cgroup id and believed for as long as that same process lives. Thread-safe.
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "core/instance.h"

struct idmap;
struct runs;

struct run {
	struct boot boot;
	uid_t root_uid; /* as the host sees it; PROCESS_NO_UID: nobody is root */
};

/* Remembers at most @max guests. NULL = no memory. */
struct runs *runs_new(size_t max);
struct runs *runs_free(struct runs *r); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct runs *, runs_free);

/*
 * The run in the cgroup @path with id @cgroup_id. Returns 0, -ENOENT when nothing runs there or
 * it is another cgroup by now, -EAGAIN when its first process changes all the time, -E2BIG when
 * there is too much in it to say, or -errno.
 */
int runs_current(struct runs *r, int root_fd, const char *path, uint64_t cgroup_id,
		 struct run *ret);

/*
 * Reads the uid map of @run's first process again: a starter may have had no map yet, or that of
 * the host. Returns 0, or -errno when it has gone.
 */
int runs_reread_root(struct runs *r, struct run *run);

/*
 * Who the ids of @boot's first process are for the host now; finish it. Empty while its user
 * namespace has no maps. Returns 0, -ESRCH when it has gone, -ENOMEM, or -errno.
 */
int runs_idmap(const struct boot *boot, struct idmap *ret);
