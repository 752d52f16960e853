#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request loop: threads that read the mount's requests and have them answered, fairly
 *
 * libfuse's own loop drops requests when it ends, and serves in the order of arrival; this one does neither.
 * Threads are named "tree".
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct journal;
struct loop;

struct loop_options {
	int fuse_fd;             /* borrowed; non-blocking */
	struct journal *journal; /* borrowed */
	bool is_taking_up;  /* what an earlier worker has left in it is answered, else cleared */
	unsigned n_threads; /* JOURNAL_READERS_MAX at most */
	/* Answers one request of @n bytes, or has it kept (journal_keep()). Called by any of the threads. */
	void (*process)(void *ctx, void *request, size_t n);
	/* Counts a request of the instance @serial that was turned away: it has too many waiting. */
	void (*refused)(void *ctx, uint32_t serial);
	void *ctx;
};

/* Takes up the journal and starts the threads. Returns 0 or -errno. */
int loop_new(const struct loop_options *options, struct loop **ret);

/* Answers what was read, leaves the rest to the next worker, ends the threads. NULL-safe; always NULL. */
struct loop *loop_free(struct loop *l);
DEFINE_CLEANUP(struct loop *, loop_free);

/*
 * Asks the kernel to send again what an earlier worker has read and not answered (6.9). Returns 0, or -errno
 * (-EINVAL: an older kernel).
 */
int loop_resend(int fuse_fd);
