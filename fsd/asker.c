/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the worker has the keeper do
 */
#include "asker.h"

#include <time.h>

#include "base/cleanup.h"
#include "base/sock.h"
#include "core/lock.h"

#define PATIENCE_US (1000 * 1000)

void asker_init(struct asker *a, int keeper_fd)
{
	pthread_condattr_t attr;

	*a = (struct asker){.keeper_fd = keeper_fd};
	pthread_mutex_init(&a->turn, NULL);
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->cond, &attr);
}

/* Asks @m, with @fd (lent) unless that is -1. Returns the result, or -errno. */
static int ask(struct asker *a, struct channel_message m, int fd)
{
	uint64_t until = now_us() + PATIENCE_US;
	const struct timespec deadline = {.tv_sec = (time_t)(until / 1000000),
					  .tv_nsec = (long)(until % 1000000) * 1000};
	LOCK_HOLD(&a->turn);
	int r;

	pthread_mutex_lock(&a->lock);
	m.serial = ++a->number;
	a->is_answered = false;
	r = channel_send(a->keeper_fd, m, fd);
	while (r == 0 && !a->is_answered)
		r = -pthread_cond_timedwait(&a->cond, &a->lock, &deadline);
	if (r == 0)
		r = a->result;
	a->number++;
	pthread_mutex_unlock(&a->lock);
	return r;
}

int asker_open_cgroup(void *ctx, uint64_t cgroup_id)
{
	return ask(ctx, (struct channel_message){.type = CHANNEL_CGROUP, .id = cgroup_id}, -1);
}

int asker_open_backing(struct asker *a, uint64_t node, int fd)
{
	return ask(a, (struct channel_message){.type = CHANNEL_BACKING, .id = node}, fd);
}

static int result_of(const struct channel_message *m)
{
	if (m->error < 0)
		return m->error;
	return m->type == CHANNEL_BACKING && m->count > 0 && m->count <= INT32_MAX ? (int)m->count
										   : -EPROTO;
}

void asker_answer(struct asker *a, const struct channel_message *m, int fd_consumed)
{
	_cleanup_(closep) int fd = fd_consumed;
	LOCK_HOLD(&a->lock);

	if (m->serial != a->number || a->is_answered)
		return;
	a->is_answered = true;
	a->result = fd >= 0 ? steal_fd(&fd) : result_of(m);
	pthread_cond_signal(&a->cond);
}
