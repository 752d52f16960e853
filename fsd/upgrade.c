/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Upgrade: workers of the program that is on disk now
 */
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "channel.h"
#include "keeper-private.h"
#include "spawn.h"

/* Of the heartbeat: a trial and a new worker have as long as a worker may be silent. */
#define PATIENCE_TICKS KEEPER_SILENT_TICKS
/* The old worker, told to stop. */
#define STOP_TICKS 3

static const char *const failures[_UPGRADE_E_N] = {
	[UPGRADE_E_NO_PROGRAM] = "the program cannot be run",
	[UPGRADE_E_TRIAL] = "the program failed its trial",
	[UPGRADE_E_TRIAL_TIMEOUT] = "the program's trial does not end",
	[UPGRADE_E_DIED] = "its worker died before it served",
	[UPGRADE_E_NOT_READY] = "its worker does not serve",
	[UPGRADE_E_FOREGROUND] = "it serves in the foreground",
	[UPGRADE_E_STOPPING] = "the daemon is stopping",
};

const char *upgrade_failure_text(uint32_t failure)
{
	return failure < _UPGRADE_E_N && failures[failure] ? failures[failure] : "unknown";
}

int upgrade_program(const struct keeper *k)
{
	return k->upgrade.state == UPGRADE_PROBATION ? k->upgrade.exe_fd : k->exe_fd;
}

struct channel_message upgrade_message(const struct keeper *k)
{
	return (struct channel_message){
		.type = CHANNEL_UPGRADES,
		.serial = k->upgrade.n_done,
		.count = k->upgrade.n_failed,
		.error = (int32_t)k->upgrade.last_failure,
	};
}

static void enter(struct upgrade *u, enum upgrade_state state)
{
	u->state = state;
	u->n_ticks = 0;
}

/* Nothing is under way any more; the worker is told what became of it. */
static void finish(struct keeper *k)
{
	struct upgrade *u = &k->upgrade;

	closep(&u->exe_fd);
	closep(&u->trial_fd);
	u->exe_fd = u->trial_fd = -1;
	enter(u, UPGRADE_NONE);
	if (k->channel_fd >= 0)
		(void)channel_send(k->channel_fd, upgrade_message(k), -1);
}

static void fail(struct keeper *k, enum upgrade_failure failure, int error)
{
	k->upgrade.n_failed++;
	k->upgrade.last_failure = failure;
	log_error("not upgraded, the old program goes on: %s%s%s", upgrade_failure_text(failure),
		  error ? ": " : "", error ? strerror(-error) : "");
	finish(k);
}

static int start_trial(struct keeper *k)
{
	struct upgrade *u = &k->upgrade;
	const struct worker_fds fds = keeper_fds_for_worker(k, -1);
	const struct spawn spawn = {
		.options = k->options,
		.fds = &fds,
		.exe_fd = u->exe_fd,
		.is_trial = true,
		.first = upgrade_message(k),
	};
	int channel_fd, r = spawn_worker(&spawn, &u->trial_fd, &channel_fd);

	if (r < 0)
		return r;
	closep(&channel_fd);
	return keeper_watch(k, u->trial_fd);
}

void upgrade_begin(struct keeper *k)
{
	struct upgrade *u = &k->upgrade;
	int r = 0;

	if (u->state != UPGRADE_NONE || k->is_stopping) {
		log_warn("cannot upgrade: %s",
			 k->is_stopping ? "stopping" : "an upgrade is under way");
		return;
	}
	if (k->options->foreground_worker) {
		fail(k, UPGRADE_E_FOREGROUND, 0);
		return;
	}
	log_info("upgrading to \"%s\"", k->exe_path);
	u->exe_fd = open(k->exe_path, O_RDONLY | O_CLOEXEC);
	if (u->exe_fd < 0)
		r = -errno;
	if (r == 0)
		r = start_trial(k);
	if (r < 0) {
		fail(k, UPGRADE_E_NO_PROGRAM, r);
		return;
	}
	enter(u, UPGRADE_TRIAL);
}

/* The new program is good: the old worker is to make room, if there is one. */
static void hand_over(struct keeper *k)
{
	enter(&k->upgrade, k->pid_fd < 0 ? UPGRADE_PROBATION : UPGRADE_HANDOVER);
	if (k->pid_fd < 0)
		keeper_restart(k);
	else
		pidfd_send_signal(k->pid_fd, SIGTERM, NULL, 0);
}

void upgrade_handle_trial(struct keeper *k)
{
	struct upgrade *u = &k->upgrade;
	bool is_late = u->n_ticks >= PATIENCE_TICKS;
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)u->trial_fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return;
	closep(&u->trial_fd);
	u->trial_fd = -1;
	if (u->state != UPGRADE_TRIAL)
		return;
	if (info.si_code == CLD_EXITED && info.si_status == 0)
		hand_over(k);
	else if (info.si_code == CLD_EXITED && info.si_status == SPAWN_FAILED_STATUS)
		fail(k, UPGRADE_E_NO_PROGRAM, 0);
	else if (is_late)
		fail(k, UPGRADE_E_TRIAL_TIMEOUT, 0);
	else
		fail(k, UPGRADE_E_TRIAL, 0);
}

bool upgrade_worker_died(struct keeper *k)
{
	struct upgrade *u = &k->upgrade;

	if (u->state == UPGRADE_HANDOVER) {
		enter(u, UPGRADE_PROBATION);
		return true;
	}
	if (u->state != UPGRADE_PROBATION)
		return false;
	fail(k, u->n_ticks >= PATIENCE_TICKS ? UPGRADE_E_NOT_READY : UPGRADE_E_DIED, 0);
	return true;
}

void upgrade_worker_ready(struct keeper *k)
{
	struct upgrade *u = &k->upgrade;

	if (u->state != UPGRADE_PROBATION)
		return;
	closep(&k->exe_fd);
	k->exe_fd = steal_fd(&u->exe_fd);
	u->n_done++;
	log_info("upgraded");
	finish(k);
}

void upgrade_tick(struct keeper *k)
{
	struct upgrade *u = &k->upgrade;

	u->n_ticks++;
	if (u->state == UPGRADE_TRIAL && u->n_ticks == PATIENCE_TICKS)
		pidfd_send_signal(u->trial_fd, SIGKILL, NULL, 0);
	else if (u->state == UPGRADE_HANDOVER && u->n_ticks == STOP_TICKS && k->pid_fd >= 0)
		pidfd_send_signal(k->pid_fd, SIGKILL, NULL, 0);
	else if (u->state == UPGRADE_PROBATION && u->n_ticks >= PATIENCE_TICKS && k->pid_fd >= 0)
		pidfd_send_signal(k->pid_fd, SIGKILL, NULL, 0);
}

void upgrade_cancel(struct keeper *k)
{
	struct upgrade *u = &k->upgrade;

	if (u->trial_fd >= 0)
		pidfd_send_signal(u->trial_fd, SIGKILL, NULL, 0);
	if (u->state != UPGRADE_NONE)
		fail(k, UPGRADE_E_STOPPING, 0);
}
