/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keeper's worker: started, and followed by another when it dies
 *
 * At most one lives at a time. It may be killed and not end, while a guest holds one of its threads in the
 * kernel: its canary says so, and then it is left behind.
 */
#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/sock.h"
#include "channel.h"
#include "core/pidfd.h"
#include "keeper-private.h"
#include "spawn.h"

/* How long what a killed worker was doing in the kernel is waited for. It runs no code of its own any more. */
#define HELD_US (10 * 1000)
/* Of the dead worker's log, repeated when it died. */
#define N_LAST_ENTRIES 3

struct worker_fds keeper_fds_for_worker(const struct keeper *k, int channel_fd)
{
	return (struct worker_fds){
		.guest_listen_fd = k->run.guest_fd,
		.admin_listen_fd = k->run.admin_fd,
		.keeper_fd = channel_fd,
		.fuse_fd = k->fuse_fd,
		.shared_fd = k->shared_fd,
		.tree_listen_fd = k->sockets.fd,
		.poke_fd = k->poke_fds[0],
		.journal_fd = k->journal_fd,
	};
}

static int start_worker(struct keeper *k)
{
	const struct worker_fds fds = keeper_fds_for_worker(k, -1);
	const struct spawn spawn = {
		.options = k->options,
		.fds = &fds,
		.sockets = &k->sockets,
		.exe_fd = upgrade_program(k),
		.first = upgrade_message(k),
	};
	int r;

	k->n_unanswered = 0;
	k->served_us = 0;
	if (k->shared) {
		memcpy(k->shared, k->fixed, sizeof(k->fixed));
		k->shared->poker_pid = k->poker.pid;
		k->shared->log_tail.n = 0;
	}
	sockets_show(&k->sockets);
	r = spawn_worker(&spawn, &k->pid_fd, &k->channel_fd);
	if (r < 0)
		return r;
	if (keeper_watch(k, k->pid_fd) < 0 || keeper_watch(k, k->channel_fd) < 0)
		return -errno;
	return 0;
}

void keeper_restart(struct keeper *k)
{
	int r = start_worker(k);

	if (r == 0)
		return;
	log_error("cannot start a worker, trying again in %u.%u s: %s",
		  (unsigned)(k->pause.max_us / 1000000), (unsigned)(k->pause.max_us / 100000 % 10),
		  strerror(-r));
	if (k->pid_fd < 0)
		keeper_set_timer(k, k->pause.max_us);
	else
		pidfd_send_signal(k->pid_fd, SIGKILL, NULL, 0);
}

void keeper_tick(struct keeper *k)
{
	unsigned limit = k->served_us ? KEEPER_SILENT_TICKS : KEEPER_STARTING_TICKS;
	uint64_t n;

	/* However many there were: what stops the keeper, a suspended host, is no silence of the worker. */
	if (read(k->tick_fd, &n, sizeof(n)) != sizeof(n) || k->is_stopping)
		return;
	upgrade_tick(k);
	if (k->pid_fd < 0)
		return;
	if (k->n_unanswered++ == limit) {
		log_warn("the worker has been silent for %u s, killing it",
			 k->options->worker_timeout_s * limit / KEEPER_SILENT_TICKS);
		pidfd_send_signal(k->pid_fd, SIGKILL, NULL, 0);
	}
	/* Its channel may be full: then it is not read. */
	if (k->served_us)
		(void)channel_send(k->channel_fd, (struct channel_message){.type = CHANNEL_PING},
				   -1);
}

static void canary_died(struct keeper *k)
{
	k->is_canary_dead = true;
	if (!k->is_stopping)
		keeper_set_timer(k, HELD_US);
}

void keeper_watch_canary(struct keeper *k)
{
	int fd;

	if (!k->shared || k->pid_fd < 0 || k->canary_fd >= 0)
		return;
	fd = pidfd_of_thread(k->shared->canary_tid);
	if (fd == -ESRCH)
		canary_died(k);
	if (fd < 0)
		return;
	k->canary_fd = fd;
	(void)keeper_watch(k, k->canary_fd);
}

static void log_death(const struct keeper *k, const siginfo_t *info, uint64_t delay_us)
{
	const char *how =
		info->si_code == CLD_EXITED ? "exited with status" : "was killed by signal";
	char tail[N_LAST_ENTRIES * LOG_TAIL_BYTES] = "";

	if (k->shared)
		log_tail_text(&k->shared->log_tail, N_LAST_ENTRIES, tail, sizeof(tail));
	log_full(LOG_LEVEL_WARNING, LOG_EVENT_WORKER_DIED, NULL,
		 "the worker %s %d, starting another one in %u.%u s%s%s", how, info->si_status,
		 (unsigned)(delay_us / 1000000), (unsigned)(delay_us / 100000 % 10),
		 *tail ? "; it logged last: " : "", tail);
}

/* The worker is no more; @info says how it ended. */
static void worker_died(struct keeper *k, const siginfo_t *info)
{
	uint64_t delay;

	/* "ready" may still be in the channel. */
	keeper_handle_channel(k);
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
		keeper_give_up(k);
		return;
	}
	if (upgrade_worker_died(k)) {
		keeper_restart(k);
		return;
	}
	delay = pause_next(&k->pause, k->served_us ? now_us() - k->served_us : 0);
	log_death(k, info, delay);
	if (delay)
		keeper_set_timer(k, delay);
	else
		keeper_restart(k);
}

void keeper_handle_death(struct keeper *k)
{
	siginfo_t info = {0};

	if (waitid(P_PIDFD, k->pid_fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0)
		worker_died(k, &info);
}

void keeper_handle_canary(struct keeper *k)
{
	struct pollfd canary = {.fd = k->canary_fd, .events = POLLIN};

	if (poll(&canary, 1, 0) != 1)
		return;
	epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->canary_fd, NULL);
	canary_died(k);
}

void keeper_leave_held_worker(struct keeper *k)
{
	const siginfo_t info = {.si_code = CLD_KILLED, .si_status = SIGKILL};

	log_debug("the dead worker does not end, leaving it behind");
	/* That it is dead was its own word: it told which thread to watch. */
	pidfd_send_signal(k->pid_fd, SIGKILL, NULL, 0);
	epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->channel_fd, NULL);
	/* What is pushed out will be reaped with the keeper. */
	if (k->n_held == KEEPER_HELD_MAX)
		closep(&k->held_fds[--k->n_held]);
	k->held_fds[k->n_held++] = steal_fd(&k->pid_fd);
	worker_died(k, &info);
}

void keeper_reap_held(struct keeper *k)
{
	for (unsigned i = k->n_held; i-- > 0;) {
		siginfo_t info = {0};

		if (waitid(P_PIDFD, (id_t)k->held_fds[i], &info, WEXITED | WNOHANG) < 0 ||
		    info.si_pid == 0)
			continue;
		closep(&k->held_fds[i]);
		k->held_fds[i] = k->held_fds[--k->n_held];
	}
}
