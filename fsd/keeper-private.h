#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeper.c, the loop and what lasts, shares with keeper-worker.c, the life and death of workers
 */
#include <limits.h>

#include "attacher.h"
#include "backings.h"
#include "fdstore.h"
#include "pause.h"
#include "poker.h"
#include "rundir.h"
#include "sockets.h"
#include "upgrade.h"
#include "worker.h"

/* Ticks of the heartbeat, a fifth of --worker-timeout each, that a worker which serves may leave unanswered; a new one may take longer. */
#define KEEPER_SILENT_TICKS   5
#define KEEPER_STARTING_TICKS 30
/* Dead workers that are waited for. */
#define KEEPER_HELD_MAX 16

struct keeper {
	const struct options *options;
	struct fdstore store;
	struct rundir run;
	/* The tree; -1 and NULL with --no-fuse. */
	char *tree_path;
	int fuse_fd, shared_fd;
	int journal_fd; /* only workers look into it */
	struct shared *shared;
	unsigned char fixed
		[SHARED_FIXED_SIZE]; /* of the shared state: a worker may write there, and not to the next one's harm */
	struct sockets sockets;
	struct backings backings;
	struct poker poker;
	struct attacher attacher;
	int poke_fds[2]; /* the worker's end and the poker's, kept for the next of each */
	int epoll_fd, signal_fd, timer_fd;
	int ready_fd; /* until it has been written to */
	char exe_path[PATH_MAX];
	int exe_fd; /* the program that workers are started of */
	struct upgrade upgrade;
	int tick_fd;           /* the heartbeat */
	unsigned n_unanswered; /* of its ticks, by the worker */
	uint64_t served_us;    /* since when it has served; 0: it does not yet */
	/* The worker; -1 while there is none. */
	int pid_fd, channel_fd;
	/* Earlier ones that were left behind, because a guest holds a thread of theirs in the kernel: reaped once they have ended. */
	int held_fds[KEEPER_HELD_MAX];
	unsigned n_held;
	int canary_fd; /* a thread of it; -1 where the kernel cannot watch threads (before 6.9) */
	uint64_t helper_started_us, poker_started_us;
	struct pause pause, helper_pause, poker_pause;
	bool has_served;   /* some worker was ready: from now on it is always restarted */
	bool is_published; /* whoever waits for us was told */
	bool is_stopping;
	bool is_canary_dead, has_helped;
	bool is_killed; /* it did not stop when it was told to */
	bool is_done;
	int status; /* to exit with, once is_done */
};

/* Gives the worker's account what it is to find when it starts. Returns 0, or -errno having said why. */
int keeper_prepare_for_account(const struct options *o);
/* Mounts the tree, or takes it up from the store. Returns 0, or -errno having said why. */
int keeper_open_tree(struct keeper *k);

/* Has the loop see when @fd can be read. Returns 0 or -errno. */
int keeper_watch(struct keeper *k, int fd);
/* The one timer: @us from now. */
void keeper_set_timer(struct keeper *k, uint64_t us);
/* Ends the loop as a start that failed. */
void keeper_give_up(struct keeper *k);
/* Takes what the worker has said. */
void keeper_handle_channel(struct keeper *k);

/* What a worker gets; @channel_fd is its end of the channel. All lent. */
struct worker_fds keeper_fds_for_worker(const struct keeper *k, int channel_fd);
/* A tick: asks the worker whether it is well, and kills one that has not said so for too long. */
void keeper_tick(struct keeper *k);
/* Starts a worker now; when even that fails, again after the longest pause. */
void keeper_restart(struct keeper *k);
/* From now on the worker's death is seen even when the process cannot end. */
void keeper_watch_canary(struct keeper *k);
/* The worker's pidfd says that it has ended. */
void keeper_handle_death(struct keeper *k);
/* The worker was killed; its other threads may need a moment to end, or a guest may hold one of them for as long as it likes. */
void keeper_handle_canary(struct keeper *k);
/* It has not ended by now: what runs of it runs no more code of ours, and is left behind. */
void keeper_leave_held_worker(struct keeper *k);
/* Reaps those that have ended. */
void keeper_reap_held(struct keeper *k);
