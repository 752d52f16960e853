#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a worker: a process of its own, with the descriptors it is to have and no others
 */
#include "options.h"

struct shared;
struct worker_fds;

/*
 * Starts this program once more as the worker. @fds are lent, keeper_fd apart, which is made here; @shared (NULL: no
 * tree) says which sockets of single instances it inherits as well. *ret_pid_fd and *ret_channel_fd, the other end of
 * keeper_fd, are the caller's. Returns 0 or -errno.
 */
int spawn_worker(const struct options *options, const struct worker_fds *fds,
		 const struct shared *shared, int *ret_pid_fd, int *ret_channel_fd);
