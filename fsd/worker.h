#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Worker: the process that serves guests
 *
 * Assembles store, registry, identity and fronts on descriptors it was given,
 * serves until SIGTERM (drains) or until the keeper is gone. Started by the
 * keeper through the hidden --worker mode, or directly by --foreground-worker.
 */
#include "options.h"

struct worker_fds {
	int guest_listen_fd, admin_listen_fd;
	int keeper_fd; /* SOCK_SEQPACKET to the keeper; -1 in the foreground */
};

/*
 * Serves until told to stop. @on_ready (may be NULL) is called with @ctx once guests are served; what it
 * returns below 0 ends the start. Returns the exit status: 0 stopped as asked, 1 could not start.
 */
int worker_run(const struct options *options, const struct worker_fds *fds,
	       int (*on_ready)(void *ctx), void *ctx);
