#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unix stream sockets
 *
 * Descriptors are close-on-exec from birth. Paths longer than sun_path are
 * reached through /proc/self/fd of their directory, so any path works.
 */
#include <stdint.h>
#include <sys/types.h>

/*
 * Binds a new socket at @path with @mode (whatever the umask) without
 * listening: connections are refused until sock_listen(). What stands at @path
 * is replaced if it is a socket, else -EEXIST. Returns the descriptor or -errno.
 */
int sock_bind(const char *path, mode_t mode);

/* listen(2); repeating it is harmless. Returns 0 or -errno. */
int sock_listen(int fd, int backlog);

/* Connects, blocking. Returns the descriptor or -errno (-ENOENT, -ECONNREFUSED, -EACCES). */
int sock_connect(const char *path);

/* Monotonic time. */
uint64_t now_us(void);
/* Time of the wall clock, as files have it. */
int64_t now_ns(void);
