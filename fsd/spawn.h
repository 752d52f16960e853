#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a worker: a process of its own, with the descriptors it is to have and no others
 */
#include <stdbool.h>

#include "channel.h"
#include "options.h"

struct sockets;
struct worker_fds;

/* How a worker ends that could not even be started. */
#define SPAWN_FAILED_STATUS 126

/* All borrowed. */
struct spawn {
	const struct options *options;
	const struct worker_fds *fds; /* keeper_fd apart, which is made */
	const struct sockets
		*sockets; /* those of single instances, which it inherits as well; NULL: none */
	int exe_fd;       /* the program */
	bool is_trial;    /* see worker_try() */
	struct channel_message first; /* what it finds in its channel */
};

/* Starts one. *ret_pid_fd and *ret_channel_fd, the other end of keeper_fd, are the caller's. Returns 0 or -errno. */
int spawn_worker(const struct spawn *spawn, int *ret_pid_fd, int *ret_channel_fd);
