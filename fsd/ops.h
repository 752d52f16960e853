#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations of the tree: one reply to each request, made of the table, the branches and the source
 *
 * Who may: looking a name up, opening and writing are the instance's own, and the host's root may read. Modes and owners
 * are the kernel's to judge (default_permissions); that nothing can be changed but `state` is said here, because a
 * guest's root is above the modes of its own files.
 */
#include "branch.h"
#include "session.h"
#include "stream.h"

struct ops_stats {
	/* Written by any thread, read by status. */
	_Atomic uint64_t n_requests, n_denied, n_stale, n_refused;
};

/* Borrowed, and the ctx of the session. */
struct ops {
	const struct source *source;
	struct branches *branches;
	struct stream *stream;
	const struct shared *shared;
	struct poke *poke; /* NULL: there is no poker */
	uint64_t
		generation; /* of the worker, never 0: in the handles of the contents that it opens */
	struct ops_stats stats;
};

/* Answers with the errno that an outcome, or -errno, means: the one way to it. Counts it. */
void ops_fail(struct ops *o, fuse_req_t req, int r);

/* Constant. */
const struct fuse_lowlevel_ops *ops_table(void);
