/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See apart.h. */
#include "base/apart.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/cleanup.h"

#define PATIENCE_MS 2000

/* Writes what @act says to @fd and ends, which only a child may do. */
static _Noreturn void act_and_tell(void (*act)(const void *ctx, void *answer), const void *ctx,
				   void *answer, size_t size, int fd)
{
	/* Whoever reads our output must not wait for a child that is left behind. */
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		close(i);
	act(ctx, answer);
	_exit(write(fd, answer, size) == (ssize_t)size ? 0 : 1);
}

int apart_call(void (*act)(const void *ctx, void *answer), const void *ctx, void *answer,
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
		act_and_tell(act, ctx, answer, size, theirs);
	closep(&theirs);
	theirs = -1;
	readable.fd = ours;
	if (poll(&readable, 1, PATIENCE_MS) <= 0) {
		kill(child, SIGKILL);
		return -ETIMEDOUT;
	}
	n = read(ours, answer, size);
	waitpid(child, NULL, 0);
	return n == (ssize_t)size ? 0 : -EIO;
}
