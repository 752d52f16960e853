#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Helper: the process that touches our own mount
 *
 * Whoever does so can hang while no worker serves, so it is a process of its own that nobody waits
 * for. It is a child of the keeper and goes with it. One job: bind a socket through the
 * mount. It must hold no descriptor of /dev/fuse: hanging, it would keep alive the mount it hangs in.
 */
#include <stdint.h>
#include <sys/types.h>

struct helper {
	pid_t pid; /* 0: there is none */
	int pid_fd, channel_fd;
};

/* Starts it for the mount at @path. Returns 0 with *ret or -errno. */
int helper_start(const char *path, struct helper *ret);

/* Has it bind @fd (lent) as helper_socket_name() says for @serial. Its answer comes in channel_fd. Returns 0 or -errno. */
int helper_bind(const struct helper *h, uint32_t serial, int fd);

/* It is gone: reaps it and closes what belongs to it. */
void helper_reap(struct helper *h);

/* Kills it, and does not wait for its end, which may never come. Harmless when there is none. */
void helper_stop(struct helper *h);

#define HELPER_NAME_MAX 24

/* Where it binds the socket of the instance @serial, or of all (0), in the root of the tree: hidden, the host's. */
void helper_socket_name(uint32_t serial, char ret[HELPER_NAME_MAX]);
