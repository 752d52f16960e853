#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Worker: the process that serves guests
 *
 * Assembles store, registry, identity, tree and fronts on descriptors it was given,
 * serves until SIGTERM (drains) or until the keeper is gone. Started by the
 * keeper: through the hidden --worker mode, or in place with --foreground-worker.
 */
#include "options.h"

/* Each -1 when there is none: the last five with --no-fuse. */
struct worker_fds {
	int guest_listen_fd, admin_listen_fd;
	int keeper_fd;      /* SOCK_SEQPACKET to the keeper: channel.h */
	int fuse_fd;        /* /dev/fuse of the mount */
	int shared_fd;      /* shared.h */
	int tree_listen_fd; /* the socket in the tree, which may be bound later */
	int poke_fd;        /* poker.h: to the process that pokes watchers */
	int journal_fd;     /* journal.h */
};

/* Serves until told to stop. Returns the exit status: 0 stopped as asked, 1 could not start. */
int worker_run(const struct options *options, const struct worker_fds *fds);

/*
 * Reads all that serving takes, what earlier workers left included, and writes nothing. Returns the exit status: 0 it could serve, 1 it could not,
 * and the log says why.
 */
int worker_try(const struct options *options, const struct worker_fds *fds);
