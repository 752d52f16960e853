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
#include "shared.h"
#include "worker.h"

static int keep_open(int fd)
{
	return fd >= 0 && fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
}

/* Has the worker inherit what it is to have, and nothing else (close_range: kernel 5.11). Returns 0 or -errno. */
static int hand_down(const int *fds, size_t n, const struct shared *shared)
{
	int r = 0;

	(void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < n && r == 0; i++)
		r = keep_open(fds[i]);
	for (size_t i = 0; shared && i < SHARED_LISTENERS_MAX && r == 0; i++)
		if (shared->listeners[i].serial && shared->listeners[i].is_bound)
			r = keep_open(shared->listeners[i].fd);
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
static void become_worker(const struct options *o, const struct worker_fds *w,
			  const struct shared *shared, pid_t keeper_pid)
{
	const int fds[OPTIONS_N_WORKER_FDS] = {w->guest_listen_fd, w->admin_listen_fd,
					       w->keeper_fd,       w->fuse_fd,
					       w->shared_fd,       w->tree_listen_fd};
	_cleanup_(freep) char **argv = NULL;
	char option[128];
	size_t n = 0;

	/* If the keeper died before this took effect, nobody would tell us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper_pid)
		return;
	while (o->argv[n])
		n++;
	argv = calloc(n + 2, sizeof(*argv));
	if (!argv)
		return;
	memcpy(argv, o->argv, n * sizeof(*argv));
	write_option(fds, ARRAY_SIZE(fds), option, sizeof(option));
	argv[n] = option;
	if (hand_down(fds, ARRAY_SIZE(fds), shared) == 0)
		execv("/proc/self/exe", argv);
}

int spawn_worker(const struct options *options, const struct worker_fds *fds,
		 const struct shared *shared, int *ret_pid_fd, int *ret_channel_fd)
{
	_cleanup_(closep) int ours = -1;
	_cleanup_(closep) int theirs = -1;
	struct worker_fds all = *fds;
	pid_t pid, self = getpid();
	int pair[2], pid_fd;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	all.keeper_fd = theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		become_worker(options, &all, shared, self);
		log_error("cannot start a worker: %s", strerror(errno));
		_exit(126);
	}
	/* Not reaped by anybody else, so the number still is that child's. */
	pid_fd = pidfd_open(pid, 0);
	if (pid_fd < 0) {
		int r = -errno;

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return r;
	}
	log_debug("worker %d started", pid);
	*ret_pid_fd = pid_fd;
	*ret_channel_fd = steal_fd(&ours);
	return 0;
}
