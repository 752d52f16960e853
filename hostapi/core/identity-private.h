#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What identity.c shares with finding.c and explain.c
 */
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "core/runs.h"

struct callers;
struct finding;
struct lru;
struct registry;

struct identity {
	struct registry *registry; /* borrowed */
	int root_fd;               /* of the cgroup2 hierarchy; negative: none is mounted */
	char *where;               /* its mount point; NULL: none */
	int (*open_cgroup)(void *ctx, uint64_t cgroup_id); /* NULL: cgroup_open_id() */
	void *open_cgroup_ctx;
	struct lru *findings; /* by id of the caller's own cgroup */
	struct runs *runs;
	struct callers *callers; /* threads that asked lately */
	/* Calls that were found missing are not tried again. */
	atomic_bool lacks_peerpidfd, lacks_get_info, lacks_pidfd_thread;
};

/* Who is root where a finding says. */
struct identity_root {
	uid_t uid;        /* as the host sees it; PROCESS_NO_UID: nobody, or not known */
	bool from_record; /* else from the uid map of the guest's first process */
	bool by_mount;    /* the record says match.mount */
	int run_error;    /* 0, or the negative errno for which @run is not known and all zero */
	struct run run;
};

/*
 * The root of @finding's instance, which it must have. Returns 0, IDENTITY_E_UNKNOWN when the
 * record has just gone, or a negative errno that is our own trouble.
 */
int identity_root(struct identity *id, const struct finding *finding, struct identity_root *ret);
