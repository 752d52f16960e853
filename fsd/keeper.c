/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeper: the small privileged parent
 *
 * One epoll loop over signals, the worker's pidfd and channel, the helper's, the heartbeat, and one
 * timer, which is the pause before a restart or the patience with a worker
 * that was told to stop. At most one worker lives at a time. keeper-tree.c makes what lasts, keeper-worker.c has
 * the worker's life and death, upgrade.c its replacement by another program.
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
#include "base/log.h"
#include "base/sock.h"
#include "channel.h"
#include "core/cgroup.h"
#include "keeper-private.h"
#include "mount.h"
#include "notify.h"

#define PATIENCE_US  (5 * 1000 * 1000)
#define MESSAGES_MAX 64 /* of the worker that are handled in one pass */
/* A worker that served for less died of what it found; whatever kills the next one later is a new accident. */
#define SHORT_SERVICE_US (50 * 1000)
#define SHORT_LIFE_US    (1000 * 1000)

static void keeper_finish(struct keeper *k)
{
	int *const fds[] = {&k->channel_fd,       &k->canary_fd,      &k->pid_fd,  &k->ready_fd,
			    &k->timer_fd,         &k->signal_fd,      &k->tick_fd, &k->exe_fd,
			    &k->upgrade.trial_fd, &k->upgrade.exe_fd, &k->epoll_fd};

	while (k->n_held > 0)
		closep(&k->held_fds[--k->n_held]);
	attacher_stop(&k->attacher);
	sockets_finish(&k->sockets);
	if (k->shared)
		poker_stop(&k->poker, k->shared);
	closep(&k->poke_fds[0]);
	closep(&k->poke_fds[1]);
	if (k->fuse_fd >= 0 && !k->run.is_kept)
		mount_take_down(k->tree_path);
	closep(&k->fuse_fd);
	closep(&k->shared_fd);
	closep(&k->journal_fd);
	shared_free(k->shared);
	free(k->tree_path);
	fdstore_finish(&k->store);
	rundir_finish(&k->run);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		closep(fds[i]);
}

int keeper_watch(struct keeper *k, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void keeper_set_timer(struct keeper *k, uint64_t us)
{
	struct itimerspec t = {
		.it_value = {.tv_sec = us / 1000000, .tv_nsec = (us % 1000000) * 1000},
	};

	timerfd_settime(k->timer_fd, 0, &t, NULL);
}

void keeper_give_up(struct keeper *k)
{
	k->is_done = true;
	k->status = EXIT_FAILURE;
}

/* Guests are served, by every way in: the socket gets its name and whoever waits for us is told. */
static void publish(struct keeper *k)
{
	int r;

	if (k->is_published || !k->has_served || (k->shared && !k->sockets.is_bound))
		return;
	r = rundir_publish(&k->run);
	if (r < 0) {
		log_error("cannot give the socket its name: %s", strerror(-r));
		keeper_give_up(k);
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
		keeper_give_up(k);
}

/* Without it the tree is as it is, and watchers are told nothing. */
static void start_poker(struct keeper *k)
{
	int r = poker_start(k->tree_path, k->poke_fds[1], k->shared, &k->poker);

	k->poker_started_us = now_us();
	if (r == 0)
		r = keeper_watch(k, k->poker.pid_fd);
	if (r < 0)
		log_warn("cannot start the process that pokes watchers, so inotify is silent: %s",
			 strerror(-r));
}

static void look_at_guests(struct keeper *k)
{
	bool is_running = k->attacher.pid_fd >= 0;
	int r = k->shared ? attacher_look(&k->attacher, k->run.path) : 0;

	if (r == 0 && !is_running && k->attacher.pid_fd >= 0)
		r = keeper_watch(k, k->attacher.pid_fd);
	if (r < 0)
		log_warn("cannot look after guests that are attached: %s", strerror(-r));
}

static void handle_attacher_end(struct keeper *k)
{
	attacher_reap(&k->attacher);
	if (k->attacher.is_wanted && !k->is_stopping)
		look_at_guests(k);
}

static void worker_is_ready(struct keeper *k)
{
	k->has_served = true;
	k->served_us = now_us();
	k->n_unanswered = 0;
	upgrade_worker_ready(k);
	if (k->shared && k->sockets.helper.pid == 0)
		start_helper(k);
	if (k->shared && k->poker.pid == 0)
		start_poker(k);
	publish(k);
	look_at_guests(k);
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

/* A descriptor of a cgroup lets a worker read what everybody may; finding it by its id takes a capability. */
static void open_cgroup(struct keeper *k, struct channel_message m)
{
	_cleanup_(freep) char *where = NULL;
	_cleanup_(closep) int root_fd = cgroup_open_root(&where);
	_cleanup_(closep) int fd = root_fd < 0 ? -1 : cgroup_open_id(root_fd, m.id);

	m.error = root_fd < 0 ? root_fd : fd < 0 ? fd : 0;
	if (k->channel_fd >= 0)
		(void)channel_send(k->channel_fd, m, fd);
}

/* @fd is lent. */
static void open_backing(struct keeper *k, struct channel_message m, int fd)
{
	int r = backings_open(&k->backings, k->fuse_fd, k->options->state_dir, m.id, fd);

	m.error = r < 0 ? r : 0;
	m.count = r < 0 ? 0 : (uint32_t)r;
	if (k->channel_fd >= 0)
		(void)channel_send(k->channel_fd, m, -1);
}

static void handle_worker_message(struct keeper *k, const struct channel_message *m, int fd)
{
	int r = 0;

	if (m->type == CHANNEL_STARTED)
		keeper_watch_canary(k);
	else if (m->type == CHANNEL_READY)
		worker_is_ready(k);
	else if (m->type == CHANNEL_PONG)
		k->n_unanswered = 0;
	else if (m->type == CHANNEL_GUESTS && !k->is_stopping)
		look_at_guests(k);
	else if (m->type == CHANNEL_UPGRADE)
		upgrade_begin(k);
	else if (m->type == CHANNEL_BIND && k->shared && sockets_find(&k->sockets, m->serial) >= 0)
		tell_worker(k, m->serial, 0);
	else if (m->type == CHANNEL_BIND && k->shared)
		r = sockets_add(&k->sockets, m->serial);
	else if (m->type == CHANNEL_UNBIND && k->shared)
		sockets_remove(&k->sockets, m->serial);
	else if (m->type == CHANNEL_CGROUP)
		open_cgroup(k, *m);
	else if (m->type == CHANNEL_BACKING)
		open_backing(k, *m, fd);
	else if (m->type == CHANNEL_BACKING_CLOSE)
		backings_close(&k->backings, k->fuse_fd, m->id);
	if (r < 0)
		tell_worker(k, m->serial, r);
}

void keeper_handle_channel(struct keeper *k)
{
	struct channel_message m;
	int fd, r = -EAGAIN;

	/* Not for as long as a worker goes on: signals wait. */
	for (int n = 0; n < MESSAGES_MAX; n++) {
		r = k->channel_fd < 0 ? -EAGAIN : channel_receive(k->channel_fd, &m, &fd);
		if (r != 0)
			break;
		handle_worker_message(k, &m, fd);
		closep(&fd);
	}
	if (r == 0 || r == -EAGAIN)
		return;
	/* Its end is closed: its death is reported by the pidfd, or by nothing else in the foreground. */
	epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->channel_fd, NULL);
	if (k->options->foreground_worker)
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
			return keeper_give_up(k);
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
		return keeper_give_up(k);
	log_warn("the helper died%s", is_hopeless ? " again" : ", starting another one");
	if (!is_hopeless)
		start_helper(k);
}

/* As with the helper: the next one comes with the next worker when it cannot live. */
static void handle_poker_death(struct keeper *k)
{
	uint64_t lived_us = now_us() - k->poker_started_us;
	bool is_hopeless = pause_next(&k->poker_pause, lived_us) > 0 && !k->shared->is_poker_up;

	poker_reap(&k->poker, k->shared);
	if (k->is_stopping)
		return;
	log_warn("the process that pokes watchers died%s",
		 is_hopeless ? " again" : ", starting another one");
	if (!is_hopeless)
		start_poker(k);
}

static void handle_signal(struct keeper *k)
{
	struct signalfd_siginfo info;

	if (read(k->signal_fd, &info, sizeof(info)) != sizeof(info) || k->is_stopping)
		return;
	if (info.ssi_signo == SIGHUP)
		return upgrade_begin(k);
	log_full(LOG_LEVEL_INFO, LOG_EVENT_STOPPED, NULL, "stopping on signal %u", info.ssi_signo);
	upgrade_cancel(k);
	k->is_stopping = true;
	notify_manager("STOPPING=1");
	rundir_unpublish(&k->run);
	if (k->pid_fd < 0) {
		k->is_done = true;
		return;
	}
	pidfd_send_signal(k->pid_fd, SIGTERM, NULL, 0);
	keeper_set_timer(k, PATIENCE_US);
}

static void handle_timer(struct keeper *k)
{
	uint64_t n;

	if (read(k->timer_fd, &n, sizeof(n)) != sizeof(n))
		return;
	if (k->pid_fd < 0 && !k->is_stopping) {
		keeper_restart(k);
	} else if (k->is_canary_dead && !k->is_stopping) {
		keeper_leave_held_worker(k);
	} else if (k->pid_fd >= 0 && k->is_stopping && !k->is_killed) {
		log_warn("the worker does not stop, killing it");
		pidfd_send_signal(k->pid_fd, SIGKILL, NULL, 0);
		k->is_killed = true;
		keeper_set_timer(k, PATIENCE_US);
	} else if (k->is_killed) {
		/* A guest holds a thread of it in the kernel: it ends when that guest lets go. */
		log_warn("the worker is killed and does not end, leaving it");
		k->is_done = true;
	}
}

/* Where the program is, and what of it runs: the file may be replaced. */
static int find_program(struct keeper *k)
{
	ssize_t n = readlink("/proc/self/exe", k->exe_path, sizeof(k->exe_path) - 1);

	k->exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	return n < 0 || k->exe_fd < 0 ? -errno : 0;
}

static int start_ticking(struct keeper *k)
{
	uint64_t us = k->options->worker_timeout_s * UINT64_C(1000000) / KEEPER_SILENT_TICKS;
	const struct timespec every = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	const struct itimerspec t = {.it_interval = every, .it_value = every};

	k->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (k->tick_fd < 0 || timerfd_settime(k->tick_fd, 0, &t, NULL) < 0)
		return -errno;
	return keeper_watch(k, k->tick_fd);
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
	r = find_program(k);
	if (r == 0)
		r = keeper_watch(k, k->signal_fd);
	if (r == 0)
		r = keeper_watch(k, k->timer_fd);
	return r < 0 ? r : start_ticking(k);
}

/* Signals first, so that a worker stopped by the same signal is not taken for a dead one. */
static void keeper_dispatch(struct keeper *k, const struct epoll_event *events, int n)
{
	const struct {
		const int *fd;
		void (*handle)(struct keeper *k);
	} all[] = {{&k->signal_fd, handle_signal},
		   {&k->channel_fd, keeper_handle_channel},
		   {&k->pid_fd, keeper_handle_death},
		   {&k->canary_fd, keeper_handle_canary},
		   {&k->timer_fd, handle_timer},
		   {&k->tick_fd, keeper_tick},
		   {&k->upgrade.trial_fd, upgrade_handle_trial},
		   {&k->sockets.helper.channel_fd, handle_helper_channel},
		   {&k->sockets.helper.pid_fd, handle_helper_death},
		   {&k->poker.pid_fd, handle_poker_death},
		   {&k->attacher.pid_fd, handle_attacher_end}};

	/* A handler may close a descriptor, and what it opens may get the same number: those after it look for themselves. */
	for (size_t h = 0; h < ARRAY_SIZE(all); h++) {
		for (int i = 0; i < n; i++) {
			if (*all[h].fd >= 0 && events[i].data.fd == *all[h].fd)
				all[h].handle(k);
		}
	}
	if (k->n_held > 0)
		keeper_reap_held(k);
}

static int keeper_loop(struct keeper *k)
{
	struct epoll_event events[12];

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
	/* Signals are the worker's; its end is seen by the channel. No other worker can take its place. */
	epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->signal_fd, NULL);
	epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->tick_fd, NULL);
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
	fds = keeper_fds_for_worker(k, pair[0]);
	status = worker_run(k->options, &fds);
	/* That is how the keeper hears of it. Threads of the worker may still use the descriptor, so it is not closed. */
	shutdown(pair[0], SHUT_RDWR);
	waitpid(pid, NULL, 0);
	/* What is left is the child's, and was for it to take down; or those threads may use it. */
	k->run.lock_fd = -1;
	k->fuse_fd = -1;
	k->poke_fds[0] = k->poke_fds[1] = -1;
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
		.journal_fd = -1,
		.sockets = {.fd = -1, .helper = {0, -1, -1}},
		.epoll_fd = -1,
		.signal_fd = -1,
		.timer_fd = -1,
		.ready_fd = options->ready_fd,
		.exe_fd = -1,
		.upgrade = {.exe_fd = -1, .trial_fd = -1},
		.tick_fd = -1,
		.pause = {.max_us = pause_max_us(0), .short_us = SHORT_SERVICE_US},
		.helper_pause = {.max_us = pause_max_us(0), .short_us = SHORT_LIFE_US},
		.poker_pause = {.max_us = pause_max_us(0), .short_us = SHORT_LIFE_US},
		.poker = {0, -1},
		.attacher = {.pid_fd = -1},
		.poke_fds = {-1, -1},
		.pid_fd = -1,
		.channel_fd = -1,
		.canary_fd = -1,
	};
	int r = keeper_init(&k);

	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	fdstore_open(&k.store, options->fd_store && !options->foreground_worker);
	if (rundir_open(options->run_dir, &k.store, &k.run) < 0 ||
	    keeper_prepare_for_account(options) < 0)
		return EXIT_FAILURE;
	k.run.is_kept = k.store.is_on;
	if (keeper_open_tree(&k) < 0)
		return EXIT_FAILURE;
	k.sockets.is_kept = k.store.is_on;
	if (options->foreground_worker)
		return run_foreground(&k);
	keeper_restart(&k);
	return keeper_loop(&k);
}

int keeper_take_down(const struct options *options)
{
	_cleanup_(rundir_finish) struct rundir run = {
		.fd = -1, .lock_fd = -1, .guest_fd = -1, .admin_fd = -1};
	_cleanup_(freep) char *path = NULL;
	_cleanup_(freep) char *run_dir = NULL;

	if (rundir_lock(options->run_dir, &run) < 0)
		return EXIT_FAILURE;
	run_dir = realpath(options->run_dir, NULL);
	if (!run_dir || asprintf(&path, "%s/" MOUNT_NAME, run_dir) < 0) {
		path = NULL;
		return EXIT_FAILURE;
	}
	mount_take_down(path);
	return EXIT_SUCCESS;
}
