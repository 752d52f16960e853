/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeper: the small privileged parent
 *
 * One epoll loop over signals, the worker's pidfd, the channel to it and one
 * timer, which is the pause before a restart or the patience with a worker
 * that was told to stop. At most one worker lives at a time.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/sock.h"
#include "notify.h"
#include "rundir.h"

#define SHORT_LIFE_US    (1000 * 1000)
#define BACKOFF_FIRST_US (100 * 1000)
#define BACKOFF_MAX_US   (5 * 1000 * 1000)
#define PATIENCE_US      (5 * 1000 * 1000)

struct keeper {
	const struct options *options;
	struct rundir run;
	int epoll_fd, signal_fd, timer_fd;
	int ready_fd; /* until it has been written to */
	/* The worker; -1 while there is none. */
	int pid_fd, channel_fd;
	uint64_t started_us;
	uint64_t backoff_us; /* before the restart after the next early death */
	bool has_served;     /* some worker was ready: from now on it is always restarted */
	bool is_stopping;
	bool is_done;
	int status; /* to exit with, once is_done */
};

static void keeper_finish(struct keeper *k)
{
	rundir_finish(&k->run);
	closep(&k->channel_fd);
	closep(&k->pid_fd);
	closep(&k->ready_fd);
	closep(&k->timer_fd);
	closep(&k->signal_fd);
	closep(&k->epoll_fd);
}

static int keeper_watch(struct keeper *k, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void set_timer(struct keeper *k, uint64_t us)
{
	struct itimerspec t = {
		.it_value = {.tv_sec = us / 1000000, .tv_nsec = (us % 1000000) * 1000},
	};

	timerfd_settime(k->timer_fd, 0, &t, NULL);
}

/* In the child: becomes the worker. Only returns when that fails. */
static void become_worker(const struct keeper *k, pid_t keeper_pid, int channel_fd)
{
	const int fds[] = {k->run.guest_fd, k->run.admin_fd, channel_fd};
	_cleanup_(freep) char **argv = NULL;
	char worker[64];
	size_t n = 0;

	/* If the keeper died before this took effect, nobody would tell us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper_pid)
		return;
	while (k->options->argv[n])
		n++;
	argv = calloc(n + 2, sizeof(*argv));
	if (!argv)
		return;
	memcpy(argv, k->options->argv, n * sizeof(*argv));
	snprintf(worker, sizeof(worker), "--worker=%d,%d,%d", fds[0], fds[1], fds[2]);
	argv[n] = worker;
	/* Whatever else the keeper was started with is not the worker's to have (kernel 5.11). */
	(void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (fcntl(fds[i], F_SETFD, 0) < 0)
			return;
	}
	execv("/proc/self/exe", argv);
}

static int start_worker(struct keeper *k)
{
	_cleanup_(closep) int ours = -1;
	_cleanup_(closep) int theirs = -1;
	pid_t pid, self = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		become_worker(k, self, theirs);
		log_error("cannot start a worker: %s", strerror(errno));
		_exit(126);
	}
	k->started_us = now_us();
	/* Not reaped by anybody else, so the number still is that child's. */
	k->pid_fd = pidfd_open(pid, 0);
	if (k->pid_fd < 0) {
		int r = -errno;

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return r;
	}
	k->channel_fd = steal_fd(&ours);
	log_debug("worker %d started", pid);
	if (keeper_watch(k, k->pid_fd) < 0 || keeper_watch(k, k->channel_fd) < 0)
		return -errno;
	return 0;
}

/* Starts a worker now; when even that fails, again after the longest pause. */
static void restart(struct keeper *k)
{
	int r = start_worker(k);

	if (r == 0)
		return;
	log_error("cannot start a worker, trying again in %d s: %s", BACKOFF_MAX_US / 1000000,
		  strerror(-r));
	if (k->pid_fd < 0)
		set_timer(k, BACKOFF_MAX_US);
	else
		pidfd_send_signal(k->pid_fd, SIGKILL, NULL, 0);
}

/* Guests are served: the socket gets its name and whoever waits for us is told. */
static void worker_is_ready(struct keeper *k)
{
	int r;

	if (k->has_served)
		return;
	r = rundir_publish(&k->run);
	if (r < 0) {
		log_error("cannot give the socket its name: %s", strerror(-r));
		k->is_done = true;
		k->status = EXIT_FAILURE;
		return;
	}
	k->has_served = true;
	log_full(LOG_LEVEL_INFO, LOG_EVENT_STARTED, NULL, "serving guests on \"%s/sock\"",
		 k->run.path);
	if (k->ready_fd >= 0 && write(k->ready_fd, "\n", 1) < 0)
		log_warn("cannot write to the ready descriptor, ignoring: %m");
	closep(&k->ready_fd);
	k->ready_fd = -1;
	notify_manager("READY=1");
}

static void handle_channel(struct keeper *k)
{
	char message[16];
	ssize_t n = recv(k->channel_fd, message, sizeof(message), MSG_DONTWAIT);

	if (n == 5 && memcmp(message, "ready", 5) == 0)
		worker_is_ready(k);
	else if (n >= 0 || errno != EAGAIN)
		/* Its end is closed: its death is reported by the pidfd. */
		epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->channel_fd, NULL);
}

static void log_death(const siginfo_t *info, uint64_t delay_us)
{
	const char *how =
		info->si_code == CLD_EXITED ? "exited with status" : "was killed by signal";

	log_full(LOG_LEVEL_WARNING, LOG_EVENT_WORKER_DIED, NULL,
		 "worker %d %s %d, starting another one in %u.%u s", info->si_pid, how,
		 info->si_status, (unsigned)(delay_us / 1000000),
		 (unsigned)(delay_us / 100000 % 10));
}

/* The pause before the next start: none after a worker that lived for a while, else longer every time. */
static uint64_t next_delay(struct keeper *k)
{
	uint64_t delay = 0;

	if (now_us() - k->started_us >= SHORT_LIFE_US) {
		k->backoff_us = 0;
		return 0;
	}
	delay = k->backoff_us;
	k->backoff_us = delay ? 2 * delay : BACKOFF_FIRST_US;
	if (k->backoff_us > BACKOFF_MAX_US)
		k->backoff_us = BACKOFF_MAX_US;
	return delay;
}

static void handle_death(struct keeper *k)
{
	siginfo_t info = {0};
	uint64_t delay;

	if (waitid(P_PIDFD, k->pid_fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return;
	/* "ready" may still be in the channel. */
	handle_channel(k);
	closep(&k->pid_fd);
	closep(&k->channel_fd);
	k->pid_fd = k->channel_fd = -1;

	if (k->is_stopping) {
		k->is_done = true;
		return;
	}
	if (!k->has_served && info.si_code == CLD_EXITED && info.si_status == EXIT_FAILURE) {
		/* It said why; starting it again would not help. */
		k->is_done = true;
		k->status = EXIT_FAILURE;
		return;
	}
	delay = next_delay(k);
	log_death(&info, delay);
	if (delay)
		set_timer(k, delay);
	else
		restart(k);
}

static void handle_signal(struct keeper *k)
{
	struct signalfd_siginfo info;

	if (read(k->signal_fd, &info, sizeof(info)) != sizeof(info) || k->is_stopping)
		return;
	log_full(LOG_LEVEL_INFO, LOG_EVENT_STOPPED, NULL, "stopping on signal %u", info.ssi_signo);
	k->is_stopping = true;
	notify_manager("STOPPING=1");
	rundir_unpublish(&k->run);
	if (k->pid_fd < 0) {
		k->is_done = true;
		return;
	}
	pidfd_send_signal(k->pid_fd, SIGTERM, NULL, 0);
	set_timer(k, PATIENCE_US);
}

static void handle_timer(struct keeper *k)
{
	uint64_t n;

	if (read(k->timer_fd, &n, sizeof(n)) != sizeof(n))
		return;
	if (k->pid_fd < 0 && !k->is_stopping) {
		restart(k);
	} else if (k->pid_fd >= 0 && k->is_stopping) {
		log_warn("the worker does not stop, killing it");
		pidfd_send_signal(k->pid_fd, SIGKILL, NULL, 0);
	}
}

static int keeper_init(struct keeper *k)
{
	sigset_t mask;
	int r;

	/* The worker inherits the mask, so that a signal at its start is not lost. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	k->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	k->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (k->signal_fd < 0 || k->timer_fd < 0 || k->epoll_fd < 0)
		return -errno;
	if (k->ready_fd >= 0 && fcntl(k->ready_fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	r = keeper_watch(k, k->signal_fd);
	return r < 0 ? r : keeper_watch(k, k->timer_fd);
}

/* Signals first, so that a worker stopped by the same signal is not taken for a dead one. */
static void keeper_dispatch(struct keeper *k, const struct epoll_event *events, int n)
{
	static void (*const handlers[])(struct keeper *) = {handle_signal, handle_channel,
							    handle_death, handle_timer};
	const int fds[] = {k->signal_fd, k->channel_fd, k->pid_fd, k->timer_fd};

	for (size_t h = 0; h < ARRAY_SIZE(fds); h++) {
		for (int i = 0; i < n; i++) {
			if (fds[h] >= 0 && events[i].data.fd == fds[h])
				handlers[h](k);
		}
	}
}

int keeper_run(const struct options *options)
{
	_cleanup_(keeper_finish) struct keeper k = {
		.options = options,
		.run = {.fd = -1, .lock_fd = -1, .guest_fd = -1, .admin_fd = -1},
		.epoll_fd = -1,
		.signal_fd = -1,
		.timer_fd = -1,
		.ready_fd = options->ready_fd,
		.pid_fd = -1,
		.channel_fd = -1,
	};
	struct epoll_event events[8];
	int r = keeper_init(&k);

	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	if (rundir_open(options->run_dir, &k.run) < 0)
		return EXIT_FAILURE;
	restart(&k);
	while (!k.is_done) {
		int n = epoll_wait(k.epoll_fd, events, ARRAY_SIZE(events), -1);

		if (n < 0 && errno != EINTR) {
			log_error("cannot wait for events: %m");
			return EXIT_FAILURE;
		}
		keeper_dispatch(&k, events, n);
	}
	return k.status;
}
