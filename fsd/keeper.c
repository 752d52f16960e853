/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeper: the small privileged parent
 *
 * One epoll loop over signals, the worker's pidfd and channel, the helper's, and one
 * timer, which is the pause before a restart or the patience with a worker
 * that was told to stop. At most one worker lives at a time.
 *
 * A process that touches the mount can hang, also in being killed: neither the helper nor a worker
 * that is told to go is waited for without a bound.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/fusehost.h"
#include "base/log.h"
#include "base/sock.h"
#include "core/pidfd.h"
#include "channel.h"
#include "mount.h"
#include "notify.h"
#include "pause.h"
#include "rundir.h"
#include "sockets.h"
#include "spawn.h"
#include "worker.h"

/* How long a worker may take to end once it was killed. */
#define HELD_US     (1000 * 1000)
#define PATIENCE_US (5 * 1000 * 1000)

struct keeper {
	const struct options *options;
	struct rundir run;
	/* The tree; -1 and NULL with --no-fuse. */
	char *tree_path;
	int fuse_fd, shared_fd;
	struct shared *shared;
	struct sockets sockets;
	int epoll_fd, signal_fd, timer_fd;
	int ready_fd; /* until it has been written to */
	/* The worker; -1 while there is none. */
	int pid_fd, channel_fd;
	int held_fd; /* an earlier one that was left behind: it is reaped when it ends after all */
	int canary_fd; /* a thread of it; -1 where the kernel cannot watch threads (before 6.9) */
	uint64_t started_us, helper_started_us;
	struct pause pause, helper_pause;
	bool has_served;   /* some worker was ready: from now on it is always restarted */
	bool is_published; /* whoever waits for us was told */
	bool is_stopping;
	bool is_canary_dead, has_helped;
	bool is_killed; /* it did not stop when it was told to */
	bool is_done;
	int status; /* to exit with, once is_done */
};

static void keeper_finish(struct keeper *k)
{
	int *const fds[] = {&k->channel_fd, &k->canary_fd, &k->held_fd,   &k->pid_fd,
			    &k->ready_fd,   &k->timer_fd,  &k->signal_fd, &k->epoll_fd};

	sockets_finish(&k->sockets);
	if (k->fuse_fd >= 0)
		mount_take_down(k->tree_path);
	closep(&k->fuse_fd);
	closep(&k->shared_fd);
	shared_free(k->shared);
	free(k->tree_path);
	rundir_finish(&k->run);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		closep(fds[i]);
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

static struct worker_fds fds_for_worker(const struct keeper *k, int channel_fd)
{
	return (struct worker_fds){
		.guest_listen_fd = k->run.guest_fd,
		.admin_listen_fd = k->run.admin_fd,
		.keeper_fd = channel_fd,
		.fuse_fd = k->fuse_fd,
		.shared_fd = k->shared_fd,
		.tree_listen_fd = k->sockets.fd,
	};
}

static int start_worker(struct keeper *k)
{
	const struct worker_fds fds = fds_for_worker(k, -1);
	int r;

	k->started_us = now_us();
	r = spawn_worker(k->options, &fds, k->shared, &k->pid_fd, &k->channel_fd);
	if (r < 0)
		return r;
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
	log_error("cannot start a worker, trying again in %u.%u s: %s",
		  (unsigned)(k->pause.max_us / 1000000), (unsigned)(k->pause.max_us / 100000 % 10),
		  strerror(-r));
	if (k->pid_fd < 0)
		set_timer(k, k->pause.max_us);
	else
		pidfd_send_signal(k->pid_fd, SIGKILL, NULL, 0);
}

static void give_up(struct keeper *k)
{
	k->is_done = true;
	k->status = EXIT_FAILURE;
}

/* Guests are served, by every way in: the socket gets its name and whoever waits for us is told. */
static void publish(struct keeper *k)
{
	int r;

	if (k->is_published || !k->has_served || (k->shared && !k->shared->is_socket_bound))
		return;
	r = rundir_publish(&k->run);
	if (r < 0) {
		log_error("cannot give the socket its name: %s", strerror(-r));
		give_up(k);
		return;
	}
	k->is_published = true;
	log_full(LOG_LEVEL_INFO, LOG_EVENT_STARTED, NULL, "serving guests on \"%s/sock\"%s",
		 k->run.path, k->shared ? " and in \"tree\" beside it" : "");
	if (k->ready_fd >= 0 && write(k->ready_fd, "\n", 1) < 0)
		log_warn("cannot write to the ready descriptor, ignoring: %m");
	closep(&k->ready_fd);
	k->ready_fd = -1;
	notify_manager("READY=1");
}

static void start_helper(struct keeper *k)
{
	int r = sockets_start_helper(&k->sockets);

	k->helper_started_us = now_us();
	k->has_helped = false;

	if (r == 0 && (keeper_watch(k, k->sockets.helper.pid_fd) < 0 ||
		       keeper_watch(k, k->sockets.helper.channel_fd) < 0))
		r = -errno;
	if (r < 0)
		log_error("cannot start the helper, no socket can be bound in the tree: %s",
			  strerror(-r));
	if (r < 0 && !k->is_published)
		give_up(k);
}

/* From now on the worker's death is seen even when the process cannot end. */
static void watch_canary(struct keeper *k)
{
	if (!k->shared || k->pid_fd < 0 || k->canary_fd >= 0)
		return;
	k->canary_fd = pidfd_of_thread(k->shared->canary_tid);
	if (k->canary_fd >= 0)
		(void)keeper_watch(k, k->canary_fd);
}

static void worker_is_ready(struct keeper *k)
{
	k->has_served = true;
	watch_canary(k);
	if (k->shared && k->sockets.helper.pid == 0)
		start_helper(k);
	publish(k);
}

/* Tells the worker what became of a socket. */
static void tell_worker(struct keeper *k, uint32_t serial, int error)
{
	const struct channel_message m = {
		.type = error ? CHANNEL_FAILED : CHANNEL_BOUND,
		.serial = serial,
		.error = error,
	};

	/* One that dies now is told by the shared state when it is replaced. */
	if (k->channel_fd >= 0)
		(void)channel_send(k->channel_fd, m, sockets_find(&k->sockets, serial));
}

static void handle_worker_message(struct keeper *k, const struct channel_message *m)
{
	int r = 0;

	if (m->type == CHANNEL_READY)
		worker_is_ready(k);
	else if (m->type == CHANNEL_BIND && k->shared && sockets_find(&k->sockets, m->serial) >= 0)
		tell_worker(k, m->serial, 0);
	else if (m->type == CHANNEL_BIND && k->shared)
		r = sockets_add(&k->sockets, m->serial);
	else if (m->type == CHANNEL_UNBIND && k->shared)
		sockets_remove(&k->sockets, m->serial);
	if (r < 0)
		tell_worker(k, m->serial, r);
}

static void handle_channel(struct keeper *k)
{
	struct channel_message m;
	int fd, r;

	for (;;) {
		r = k->channel_fd < 0 ? -EAGAIN : channel_receive(k->channel_fd, &m, &fd);
		if (r != 0)
			break;
		closep(&fd);
		handle_worker_message(k, &m);
	}
	if (r == -EAGAIN)
		return;
	/* Its end is closed: its death is reported by the pidfd, or by nothing else in the foreground. */
	epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->channel_fd, NULL);
	if (k->pid_fd < 0)
		k->is_done = true;
}

static void handle_helper_channel(struct keeper *k)
{
	uint32_t serial;
	int error;

	while (sockets_take_answer(&k->sockets, &serial, &error) == 0) {
		k->has_helped = true;
		if (error == -ECANCELED)
			continue;
		if (error)
			log_error("cannot bind a socket in \"%s\": %s", k->tree_path,
				  strerror(-error));
		if (error && serial == 0 && !k->is_published)
			return give_up(k);
		tell_worker(k, serial, error);
		publish(k);
	}
}

/* One that cannot live, and has done nothing, is not started for ever: the next one comes with the next worker. */
static void handle_helper_death(struct keeper *k)
{
	uint64_t lived_us = now_us() - k->helper_started_us;
	bool is_hopeless = pause_next(&k->helper_pause, lived_us) > 0 && !k->has_helped;

	handle_helper_channel(k);
	sockets_helper_died(&k->sockets);
	if (k->is_stopping)
		return;
	if (is_hopeless && !k->is_published)
		return give_up(k);
	log_warn("the helper died%s", is_hopeless ? " again" : ", starting another one");
	if (!is_hopeless)
		start_helper(k);
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

/* The worker is no more; @info says how it ended. */
static void worker_died(struct keeper *k, const siginfo_t *info)
{
	uint64_t delay;

	/* "ready" may still be in the channel. */
	handle_channel(k);
	closep(&k->pid_fd);
	closep(&k->channel_fd);
	closep(&k->canary_fd);
	k->pid_fd = k->channel_fd = k->canary_fd = -1;
	k->is_canary_dead = false;

	if (k->is_stopping) {
		k->is_done = true;
		return;
	}
	if (!k->has_served && info->si_code == CLD_EXITED && info->si_status == EXIT_FAILURE) {
		/* It said why; starting it again would not help. */
		give_up(k);
		return;
	}
	delay = pause_next(&k->pause, now_us() - k->started_us);
	log_death(info, delay);
	if (delay)
		set_timer(k, delay);
	else
		restart(k);
}

static void handle_death(struct keeper *k)
{
	siginfo_t info = {0};

	if (waitid(P_PIDFD, k->pid_fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0)
		worker_died(k, &info);
}

/* The worker was killed; its other threads may need a moment to end, or a guest may hold one of them for as long as it likes. */
static void handle_canary(struct keeper *k)
{
	epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->canary_fd, NULL);
	k->is_canary_dead = true;
	if (!k->is_stopping)
		set_timer(k, HELD_US);
}

/* It has not ended by now: what runs of it runs no more code of ours, and is left behind. */
static void leave_held_worker(struct keeper *k)
{
	const siginfo_t info = {.si_code = CLD_KILLED, .si_status = SIGKILL};

	log_warn("a guest holds a thread of the dead worker, leaving that behind");
	epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->channel_fd, NULL);
	closep(&k->held_fd);
	k->held_fd = steal_fd(&k->pid_fd); /* watched as before */
	worker_died(k, &info);
}

static void handle_held_death(struct keeper *k)
{
	(void)waitid(P_PIDFD, k->held_fd, NULL, WEXITED | WNOHANG);
	closep(&k->held_fd);
	k->held_fd = -1;
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
	} else if (k->is_canary_dead && !k->is_stopping) {
		leave_held_worker(k);
	} else if (k->pid_fd >= 0 && k->is_stopping && !k->is_killed) {
		log_warn("the worker does not stop, killing it");
		pidfd_send_signal(k->pid_fd, SIGKILL, NULL, 0);
		k->is_killed = true;
		set_timer(k, PATIENCE_US);
	} else if (k->is_killed) {
		/* A guest holds a thread of it in the kernel: it ends when that guest lets go. */
		log_warn("the worker is killed and does not end, leaving it");
		k->is_done = true;
	}
}

static int keeper_init(struct keeper *k)
{
	struct rlimit limit;
	sigset_t mask;
	int r;

	/* For the sockets of single instances. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
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
	static void (*const handlers[])(struct keeper *) = {
		handle_signal,     handle_channel, handle_death,          handle_canary,
		handle_held_death, handle_timer,   handle_helper_channel, handle_helper_death};
	const int fds[] = {k->signal_fd,
			   k->channel_fd,
			   k->pid_fd,
			   k->canary_fd,
			   k->held_fd,
			   k->timer_fd,
			   k->sockets.helper.channel_fd,
			   k->sockets.helper.pid_fd};

	for (size_t h = 0; h < ARRAY_SIZE(fds); h++) {
		for (int i = 0; i < n; i++) {
			if (fds[h] >= 0 && events[i].data.fd == fds[h])
				handlers[h](k);
		}
	}
}

/* The kernel may abort the mount while nobody serves it: a pause must not be as long as that. */
static void heed_timeout(struct keeper *k)
{
	struct fusehost host;
	unsigned timeout_s;

	fusehost_read_here(&host);
	timeout_s = fusehost_timeout_s(&host);
	k->pause.max_us = pause_max_us(timeout_s);
	if (timeout_s)
		log_warn("the kernel aborts the tree when no worker answers for %u s; the sysctls "
			 "fs.fuse.default_request_timeout and fs.fuse.max_request_timeout say so",
			 timeout_s);
}

static int open_tree(struct keeper *k)
{
	/* Mounts are found by the name that the kernel has for them. */
	_cleanup_(freep) char *run_dir = realpath(k->options->run_dir, NULL);
	int r;

	if (!run_dir) {
		r = -errno;
		log_error("cannot find \"%s\": %s", k->options->run_dir, strerror(-r));
		return r;
	}
	if (asprintf(&k->tree_path, "%s/" MOUNT_NAME, run_dir) < 0) {
		k->tree_path = NULL;
		return -ENOMEM;
	}
	if (k->options->no_fuse) {
		mount_take_down(k->tree_path);
		return 0;
	}
	r = shared_new(&k->shared_fd, &k->shared);
	if (r == 0)
		r = sockets_init(&k->sockets, k->tree_path, k->shared);
	if (r < 0) {
		log_error("cannot make the tree: %s", strerror(-r));
		return r;
	}
	heed_timeout(k);
	return mount_tree(k->tree_path, k->shared, &k->fuse_fd);
}

static int keeper_loop(struct keeper *k)
{
	struct epoll_event events[8];

	while (!k->is_done) {
		int n = epoll_wait(k->epoll_fd, events, ARRAY_SIZE(events), -1);

		if (n < 0 && errno != EINTR) {
			log_error("cannot wait for events: %m");
			return EXIT_FAILURE;
		}
		keeper_dispatch(k, events, n);
	}
	return k->status;
}

/* In the foreground: this process has become the keeper's child, and serves the channel of its parent. */
static int keep_for_parent(struct keeper *k, int channel_fd)
{
	k->channel_fd = channel_fd;
	/* Signals are the worker's; its end is seen by the channel. */
	epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->signal_fd, NULL);
	if (keeper_watch(k, k->channel_fd) < 0)
		return EXIT_FAILURE;
	return keeper_loop(k);
}

static int run_foreground(struct keeper *k)
{
	struct worker_fds fds;
	int pair[2], status;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return EXIT_FAILURE;
	pid = fork();
	if (pid < 0)
		return EXIT_FAILURE;
	if (pid == 0) {
		closep(&pair[0]);
		status = keep_for_parent(k, pair[1]);
		keeper_finish(k);
		_exit(status);
	}
	closep(&pair[1]);
	closep(&k->ready_fd);
	k->ready_fd = -1;
	fds = fds_for_worker(k, pair[0]);
	status = worker_run(k->options, &fds);
	closep(&pair[0]);
	waitpid(pid, NULL, 0);
	/* What is left is the child's, and was for it to take down. */
	k->run.lock_fd = -1;
	k->fuse_fd = -1;
	k->sockets.shared = NULL;
	return status;
}

int keeper_run(const struct options *options)
{
	_cleanup_(keeper_finish) struct keeper k = {
		.options = options,
		.run = {.fd = -1, .lock_fd = -1, .guest_fd = -1, .admin_fd = -1},
		.fuse_fd = -1,
		.shared_fd = -1,
		.sockets = {.fd = -1, .helper = {0, -1, -1}},
		.epoll_fd = -1,
		.signal_fd = -1,
		.timer_fd = -1,
		.ready_fd = options->ready_fd,
		.pause = {.max_us = pause_max_us(0)},
		.helper_pause = {.max_us = pause_max_us(0)},
		.pid_fd = -1,
		.channel_fd = -1,
		.canary_fd = -1,
		.held_fd = -1,
	};
	int r = keeper_init(&k);

	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	if (rundir_open(options->run_dir, &k.run) < 0 || open_tree(&k) < 0)
		return EXIT_FAILURE;
	if (options->foreground_worker)
		return run_foreground(&k);
	restart(&k);
	return keeper_loop(&k);
}
