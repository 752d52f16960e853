#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Upgrade: workers of the program that is on disk now, without a guest noticing
 *
 * The keeper tries the program out while the old worker serves: on trial it reads settings, records and the shared state, writes
 * nothing, and ends. Only then is the old worker told to stop, and replaced as a dead one is. So there is one worker at
 * any time, and one that writes. What does not serve within its time is killed, and workers of the old program go on.
 */
#include <stdbool.h>
#include <stdint.h>

#include "channel.h"

enum upgrade_failure {
	_UPGRADE_E_SUCCESS,
	UPGRADE_E_NO_PROGRAM, /* cannot be opened or run */
	UPGRADE_E_TRIAL,      /* it ended otherwise than well */
	UPGRADE_E_TRIAL_TIMEOUT,
	UPGRADE_E_DIED, /* its worker ended before it served */
	UPGRADE_E_NOT_READY,
	UPGRADE_E_FOREGROUND, /* there is no keeper that could replace its worker */
	UPGRADE_E_STOPPING,   /* the daemon was told to stop */
	_UPGRADE_E_N,
};

/* For people; @failure may be any number. */
const char *upgrade_failure_text(uint32_t failure);

enum upgrade_state {
	UPGRADE_NONE,
	UPGRADE_TRIAL,     /* the old worker serves */
	UPGRADE_HANDOVER,  /* the old worker was told to stop */
	UPGRADE_PROBATION, /* the new one has not served yet */
};

struct keeper;

struct upgrade {
	enum upgrade_state state;
	unsigned n_ticks; /* in this state */
	int exe_fd;       /* the new program; -1 in UPGRADE_NONE */
	int trial_fd;     /* pidfd of its trial; -1: it is over */
	/* So far. */
	uint32_t n_done, n_failed, last_failure;
};

/* Begins one, unless one is under way. */
void upgrade_begin(struct keeper *k);
/* The trial's pidfd says that it has ended. */
void upgrade_handle_trial(struct keeper *k);
/* The worker is no more. True: one of the other program is to be started at once. */
bool upgrade_worker_died(struct keeper *k);
/* The worker serves. */
void upgrade_worker_ready(struct keeper *k);
/* A tick of the heartbeat. */
void upgrade_tick(struct keeper *k);
/* Ends it: the daemon stops. */
void upgrade_cancel(struct keeper *k);
/* What a worker is told of upgrades so far. */
struct channel_message upgrade_message(const struct keeper *k);
/* The program to start a worker of. Borrowed. */
int upgrade_program(const struct keeper *k);
