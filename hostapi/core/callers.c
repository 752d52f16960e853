/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Callers: pidfds of the threads that asked lately
 *
 * A thread has one place, by its number; another with the same place takes it over. A place is locked while its
 * descriptor is used, so that nobody closes it meanwhile.
 */
#include "core/callers.h"

#include <pthread.h>

#include "core/lock.h"
#include "core/pidfd.h"

#define N_PLACES 64

struct place {
	pthread_mutex_t lock;
	pid_t tid; /* 0: empty */
	int pidfd;
};

struct callers {
	struct place places[N_PLACES];
};

struct callers *callers_new(void)
{
	struct callers *c = calloc(1, sizeof(*c));

	for (size_t i = 0; c && i < N_PLACES; i++) {
		pthread_mutex_init(&c->places[i].lock, NULL);
		c->places[i].pidfd = -1;
	}
	return c;
}

struct callers *callers_free(struct callers *c)
{
	for (size_t i = 0; c && i < N_PLACES; i++) {
		closep(&c->places[i].pidfd);
		pthread_mutex_destroy(&c->places[i].lock);
	}
	free(c);
	return NULL;
}

static struct place *place_of(struct callers *c, pid_t tid)
{
	return &c->places[(unsigned)tid % N_PLACES];
}

int callers_cgroup(struct callers *c, pid_t tid, uint64_t *ret_cgroup_id)
{
	struct place *p = place_of(c, tid);
	LOCK_HOLD(&p->lock);
	uint64_t cgroup_id;
	bool is_reaped;

	/* A dead one may have left its number to another. */
	if (p->tid != tid || pidfd_cgroup(p->pidfd, &cgroup_id, &is_reaped) != 0 || is_reaped)
		return -ENOENT;
	*ret_cgroup_id = cgroup_id;
	return 0;
}

void callers_put(struct callers *c, pid_t tid, int pidfd)
{
	struct place *p = place_of(c, tid);
	LOCK_HOLD(&p->lock);

	closep(&p->pidfd);
	p->tid = tid;
	p->pidfd = pidfd;
}
