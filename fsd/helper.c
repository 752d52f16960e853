/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Helper: the process that touches our own mount
 *
 * A fork of the keeper that never returns to it. Stepping into the mount already asks the worker,
 * so all of that happens here, on the far side of the channel.
 */
#include "helper.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "channel.h"

#define HELPER_CHANNEL_FD 3

void helper_socket_name(uint32_t serial, char ret[HELPER_NAME_MAX])
{
	if (serial == 0)
		snprintf(ret, HELPER_NAME_MAX, ".sock");
	else
		snprintf(ret, HELPER_NAME_MAX, ".sock-%u", serial);
}

/* Whether an earlier helper has done so, and died before it could say. */
static bool is_bound(int fd, const struct sockaddr_un *wanted)
{
	struct sockaddr_un address = {0};
	socklen_t size = sizeof(address);

	return getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
	       streq(address.sun_path, wanted->sun_path);
}

static int bind_here(uint32_t serial, int fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r;

	helper_socket_name(serial, address.sun_path);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	return r == -EINVAL && is_bound(fd, &address) ? 0 : r;
}

/* Until the keeper's end closes. */
static void serve(void)
{
	struct channel_message m;
	int fd = -1;

	while (channel_wait(HELPER_CHANNEL_FD, &m, &fd) == 0) {
		int r = bind_here(m.serial, fd);

		closep(&fd);
		m.type = r < 0 ? CHANNEL_FAILED : CHANNEL_BOUND;
		m.error = r;
		if (channel_send(HELPER_CHANNEL_FD, m, -1) < 0)
			return;
	}
}

static _Noreturn void become_helper(const char *path, pid_t keeper_pid, int channel_fd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper_pid)
		_exit(1);
	prctl(PR_SET_NAME, "devlxdfs-helper");
	if (dup3(channel_fd, HELPER_CHANNEL_FD, O_CLOEXEC) < 0 && channel_fd != HELPER_CHANNEL_FD)
		_exit(1);
	if (close_range(HELPER_CHANNEL_FD + 1, ~0U, 0) < 0 || chdir(path) < 0)
		_exit(1);
	serve();
	_exit(0);
}

int helper_start(const char *path, struct helper *ret)
{
	_cleanup_(closep) int ours = -1;
	_cleanup_(closep) int theirs = -1;
	_cleanup_(closep) int pid_fd = -1;
	pid_t pid, self = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_helper(path, self, theirs);
	pid_fd = pidfd_open(pid, 0);
	if (pid_fd < 0) {
		int r = -errno;

		kill(pid, SIGKILL);
		return r;
	}
	*ret = (struct helper){pid, steal_fd(&pid_fd), steal_fd(&ours)};
	return 0;
}

int helper_bind(const struct helper *h, uint32_t serial, int fd)
{
	const struct channel_message m = {.type = CHANNEL_BIND, .serial = serial};

	return h->pid == 0 ? -ESRCH : channel_send(h->channel_fd, m, fd);
}

void helper_reap(struct helper *h)
{
	if (h->pid == 0)
		return;
	waitpid(h->pid, NULL, WNOHANG);
	closep(&h->pid_fd);
	closep(&h->channel_fd);
	*h = (struct helper){0, -1, -1};
}

void helper_stop(struct helper *h)
{
	if (h->pid_fd >= 0 && h->pid != 0)
		pidfd_send_signal(h->pid_fd, SIGKILL, NULL, 0);
	helper_reap(h);
}
