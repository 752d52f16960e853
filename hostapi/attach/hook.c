/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See hook.h. */
#include "attach/hook.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "core/pidfd.h"

enum {
	TIMEOUT_MS = 15 * 1000, /* attach_guest() takes ten seconds at most */
	LOG_SECONDS = 2,
};

static _Noreturn void work_and_end(const struct hook *h,
				   void (*work)(const struct hook *h, void *arg), void *arg,
				   pid_t parent)
{
	/* A group of its own, so that its own children end with it. */
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		work(h, arg);
	_exit(0);
}

static void wake(int signal)
{
}

/* A journal that takes nothing would hold up the hook, too: writing to it is interrupted then. Until alarm(0). */
static void begin_to_log(void)
{
	const struct sigaction action = {.sa_handler = wake};

	(void)sigaction(SIGALRM, &action, NULL);
	(void)alarm(LOG_SECONDS);
}

/* Waits for the child, and ends it and its children if that takes too long. */
static void await(pid_t pid)
{
	_cleanup_(closep) int fd = pidfd_of_process(pid);
	struct pollfd p = {fd, POLLIN, 0};
	int n = -1, status = 0;

	if (fd >= 0) {
		do
			n = poll(&p, 1, TIMEOUT_MS);
		while (n < 0 && errno == EINTR);
	}
	if (n <= 0) {
		(void)kill(-pid, SIGKILL);
		(void)kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) < 0)
		return;
	begin_to_log();
	if (n <= 0)
		log_warn("gave up after %d seconds, the container goes on without it; is the "
			 "daemon well? devlxdfs status; then devlxdfs attach NAME",
			 TIMEOUT_MS / 1000);
	else if (WIFSIGNALED(status))
		log_error("ended by signal %d, the container goes on without it; devlxdfs attach "
			  "NAME",
			  WTERMSIG(status));
	(void)alarm(0);
}

void hook_run(const struct hook *h, void (*work)(const struct hook *h, void *arg), void *arg)
{
	pid_t parent = getpid(), pid;

	pid = fork();
	if (pid == 0)
		work_and_end(h, work, arg, parent);
	if (pid < 0)
		log_error(
			"cannot begin: %m; the container goes on without it; devlxdfs attach NAME");
	else
		await(pid);
}

bool hook_may_attach(const struct attachment *a)
{
	struct stat st;

	/* Root of a user namespace that an unprivileged user made sees that /proc is not its own. */
	if (geteuid() == 0 && stat("/proc", &st) == 0 && st.st_uid == 0)
		return true;
	log_full(LOG_LEVEL_WARNING, LOG_EVENT_NONE, a->instance,
		 "only root can attach, and the container was started by another user; as root: "
		 "devlxdfs attach %s --pid %d",
		 a->instance, a->pid);
	return false;
}

void hook_attach(const struct hook *h, const struct attachment *a, const char *manager)
{
	_cleanup_(buf_finish) struct buf error = {0};
	int r = attach_guest(h->conf_dir, h->run_dir, a, &error);

	switch (r) {
	case 0:
		log_full(LOG_LEVEL_DEBUG, LOG_EVENT_NONE, a->instance, "attached");
		break;
	case ATTACH_E_NO_DAEMON:
		log_full(
			LOG_LEVEL_WARNING, LOG_EVENT_NONE, a->instance,
			"no daemon at %s/admin.sock, the container gets its /dev/lxd when there is "
			"one; start devlxdfsd",
			h->run_dir);
		break;
	case ATTACH_E_NO_INSTANCE:
		log_full(
			LOG_LEVEL_WARNING, LOG_EVENT_NONE, a->instance,
			"no record of it is in force, the container has no /dev/lxd until there is "
			"one; devlxdfs create %s --%s",
			a->instance, manager);
		break;
	default:
		log_full(LOG_LEVEL_ERROR, LOG_EVENT_NONE, a->instance,
			 "the container has no /dev/lxd: %s; then devlxdfs attach %s --pid %d",
			 error.len ? error.data : "out of memory", a->instance, a->pid);
	}
}
