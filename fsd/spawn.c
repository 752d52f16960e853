/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a worker
 *
 * It goes with the keeper, whatever happens to that.
 */
#include "spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "sockets.h"
#include "worker.h"

static int keep_open(int fd)
{
	return fd >= 0 && fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
}

/* Has the worker inherit what it is to have, and nothing else (close_range: kernel 5.11). Returns 0 or -errno. */
static int hand_down(const int *fds, size_t n, const struct sockets *sockets)
{
	int r = 0;

	(void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < n && r == 0; i++)
		r = keep_open(fds[i]);
	for (size_t i = 0; sockets && i < ARRAY_SIZE(sockets->slots) && r == 0; i++)
		if (sockets->slots[i].serial && sockets->slots[i].is_bound)
			r = keep_open(sockets->slots[i].fd);
	return r;
}

/* --worker=N,N,..., an empty one where there is none. */
static void write_option(const int *fds, size_t n, char *option, size_t size)
{
	size_t len = (size_t)snprintf(option, size, "--worker=");

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			option[len++] = ',';
		if (fds[i] >= 0)
			len += (size_t)snprintf(option + len, size - len, "%d", fds[i]);
	}
	option[len] = '\0';
}

/* In the child: becomes the worker. Only returns when that fails. */
static void become_worker(const struct spawn *s, int channel_fd, pid_t keeper_pid)
{
	const struct worker_fds *w = s->fds;
	const int fds[OPTIONS_N_WORKER_FDS] = {
		w->guest_listen_fd, w->admin_listen_fd, channel_fd, w->fuse_fd,
		w->shared_fd,       w->tree_listen_fd,  w->poke_fd, w->journal_fd};
	_cleanup_(freep) char **argv = NULL;
	char option[128];
	char trial[] = "--trial";
	size_t n = 0;

	/* If the keeper died before this took effect, nobody would tell us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper_pid)
		return;
	while (s->options->argv[n])
		n++;
	argv = calloc(n + 3, sizeof(*argv));
	if (!argv)
		return;
	memcpy(argv, s->options->argv, n * sizeof(*argv));
	write_option(fds, ARRAY_SIZE(fds), option, sizeof(option));
	argv[n] = option;
	if (s->is_trial)
		argv[n + 1] = trial;
	if (hand_down(fds, ARRAY_SIZE(fds), s->sockets) == 0)
		fexecve(s->exe_fd, argv, environ);
}

int spawn_worker(const struct spawn *spawn, int *ret_pid_fd, int *ret_channel_fd)
{
	_cleanup_(closep) int ours = -1;
	_cleanup_(closep) int theirs = -1;
	pid_t pid, self = getpid();
	int pair[2], pid_fd, r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	r = channel_send(ours, spawn->first, -1);
	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		become_worker(spawn, theirs, self);
		log_error("cannot start a worker: %s", strerror(errno));
		_exit(SPAWN_FAILED_STATUS);
	}
	/* Not reaped by anybody else, so the number still is that child's. */
	pid_fd = pidfd_open(pid, 0);
	if (pid_fd < 0) {
		r = -errno;

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return r;
	}
	log_debug("worker %d started", pid);
	*ret_pid_fd = pid_fd;
	*ret_channel_fd = steal_fd(&ours);
	return 0;
}
