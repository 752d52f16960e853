#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the worker has the keeper do, and waits for
 *
 * One question at a time, whichever thread has it; the thread that reads the channel brings the answer.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel.h"

/* Embedded; asker_init(). */
struct asker {
	int keeper_fd; /* borrowed */
	pthread_mutex_t turn, lock;
	pthread_cond_t cond;
	uint32_t number; /* of the question; one that is answered too late has another */
	bool is_answered;
	int result; /* a descriptor, a number or -errno */
};

/* Of a worker that has @keeper_fd, its end of the channel. */
void asker_init(struct asker *a, int keeper_fd);

/*
 * A descriptor (O_PATH) of the cgroup2 that has the id, which takes CAP_DAC_READ_SEARCH, or -errno; -ETIMEDOUT when the
 * keeper does not answer. @ctx is the asker. Not for the thread that reads the channel.
 */
int asker_open_cgroup(void *ctx, uint64_t cgroup_id);

/*
 * The kernel's number (from 1) by which the node @node may be read from the file that @fd (lent) is, or -errno. Else as
 * asker_open_cgroup().
 */
int asker_open_backing(struct asker *a, uint64_t node, int fd);

/* The keeper has said CHANNEL_CGROUP or CHANNEL_BACKING. Takes over @fd. */
void asker_answer(struct asker *a, const struct channel_message *m, int fd);
