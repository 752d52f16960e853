#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding: from a pidfd, or a thread that waits, to a cgroup and the instance that owns it
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct identity;
struct instance;
struct lru;

/* Where a process is and whose that is; immutable and counted. */
struct finding {
	_Atomic unsigned refs;
	int outcome;               /* _IDENTITY_E_SUCCESS, UNKNOWN or CONFLICT */
	uint64_t cgroup_id;        /* 0: not known */
	uint64_t generation;       /* of claims under which it was judged; 0: ask again */
	struct instance *instance; /* with SUCCESS */
	uint64_t claimed_id;       /* the cgroup by which it was recognised; 0: not known */
	char *claimed;             /* its path; NULL unless SUCCESS */
	char path[];
};
struct finding *finding_unref(struct finding *f); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct finding *, finding_unref);

/*
 * Finds the process, or the thread, of @pidfd, whose id is or was @pid. With @fresh nothing is
 * taken from the cache. Returns 0 with *ret (release it), IDENTITY_E_UNKNOWN when it has no path
 * that we could use, IDENTITY_E_GONE, or a negative errno.
 */
int finding_of_process(struct identity *id, int pidfd, pid_t pid, bool fresh, struct finding **ret);

/*
 * The same for a thread, any of its process, of which the kernel says that it waits for us: until
 * we let it go on it cannot end, nor its id be another's. IDENTITY_E_GONE when it does not exist.
 */
int finding_of_thread(struct identity *id, pid_t tid, struct finding **ret);

/* The cache of findings by cgroup id. NULL = no memory. */
struct lru *finding_cache_new(size_t max);

/* Whether @r, a negative errno, says nothing about a process, only about us: memory or descriptors. */
bool finding_is_own_trouble(int r);
