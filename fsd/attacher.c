/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See attacher.h. */
#include "attacher.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "attach/attach.h"
#include "base/buf.h"
#include "base/cleanup.h"

/* It has no descriptor of /dev/fuse: hanging, it would keep alive the mount it hangs in. */
static _Noreturn void become_attacher(const char *run_dir, bool is_tree_new, pid_t keeper_pid)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper_pid)
		_exit(1);
	prctl(PR_SET_NAME, "devlxdfs-attach");
	if (close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
		_exit(1);
	attach_all(run_dir, is_tree_new);
	_exit(0);
}

static bool is_ever_used(const char *run_dir)
{
	_cleanup_(buf_finish) struct buf path = {0};

	return buf_printf(&path, "%s/attached", run_dir) < 0 || access(path.data, F_OK) == 0;
}

int attacher_look(struct attacher *a, const char *run_dir)
{
	pid_t pid, self = getpid();

	if (a->pid_fd >= 0) {
		a->is_wanted = true;
		return 0;
	}
	a->is_wanted = false;
	if (!is_ever_used(run_dir)) {
		a->is_tree_new = false;
		return 0;
	}
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_attacher(run_dir, a->is_tree_new, self);
	a->pid_fd = pidfd_open(pid, 0);
	if (a->pid_fd < 0) {
		int r = -errno;

		kill(pid, SIGKILL);
		return r;
	}
	a->is_tree_new = false;
	return 0;
}

void attacher_reap(struct attacher *a)
{
	siginfo_t info;

	if (a->pid_fd >= 0)
		waitid(P_PIDFD, (id_t)a->pid_fd, &info, WEXITED | WNOHANG);
	closep(&a->pid_fd);
	a->pid_fd = -1;
}

void attacher_stop(struct attacher *a)
{
	if (a->pid_fd >= 0)
		pidfd_send_signal(a->pid_fd, SIGKILL, NULL, 0);
	attacher_reap(a);
}
