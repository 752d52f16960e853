/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sparing libmicrohttpd its TCP options
 *
 * The definition below takes the place of libc's in the whole program.
 */
#include "front/nonip.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int name,
						      const void *value, socklen_t n)
{
	if (level != IPPROTO_TCP)
		return (int)syscall(SYS_setsockopt, fd, level, name, value, n);
	errno = ENOPROTOOPT;
	return -1;
}

bool nonip_is_active(void)
{
	return setsockopt(-1, IPPROTO_TCP, TCP_CORK, NULL, 0) < 0 && errno == ENOPROTOOPT;
}
