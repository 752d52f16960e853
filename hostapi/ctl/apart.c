/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See apart.h. */
#include "ctl/apart.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#include "base/cleanup.h"

#define PATIENCE_MS 2000

/* Writes what @look says to @fd and ends, which only a child may do. */
static _Noreturn void look_and_tell(void (*look)(const void *ctx, void *answer), const void *ctx,
				    void *answer, size_t size, int fd)
{
	/* Whoever reads our output must not wait for a child that is left behind. */
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		close(i);
	look(ctx, answer);
	_exit(write(fd, answer, size) == (ssize_t)size ? 0 : 1);
}

int apart_look(void (*look)(const void *ctx, void *answer), const void *ctx, void *answer,
	       size_t size)
{
	_cleanup_(closep) int ours = -1, theirs = -1;
	struct pollfd readable = {.events = POLLIN};
	int pair[2];
	pid_t child;
	ssize_t n;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0)
		look_and_tell(look, ctx, answer, size, theirs);
	closep(&theirs);
	theirs = -1;
	readable.fd = ours;
	if (poll(&readable, 1, PATIENCE_MS) <= 0)
		return -ETIMEDOUT;
	n = read(ours, answer, size);
	waitpid(child, NULL, 0);
	return n == (ssize_t)size ? 0 : -EIO;
}
