/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fairness: requests of the tree that wait for their turn, instance by instance
 *
 * A lane exists while its instance has requests here or in service. Lanes with somebody waiting are in a
 * ring: taken from its head, put back at its tail.
 */
#include "fairness.h"

#include <pthread.h>

/* Running out of memory leaves the element out, which its hh.tbl == NULL tells. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "core/lock.h"

struct fairness_lane {
	uint32_t serial;
	unsigned n_waiting, n_in_service;
	struct parked *waiting;
	struct fairness_lane *prev, *next; /* fairness::ring, while somebody waits */
	UT_hash_handle hh;                 /* fairness::lanes */
};

struct fairness {
	pthread_mutex_t lock;
	unsigned in_service_max; /* of one lane */
	struct fairness_lane *lanes, *ring;
	_Atomic size_t n_waiting;
};

struct fairness *fairness_new(unsigned n_threads)
{
	struct fairness *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	pthread_mutex_init(&f->lock, NULL);
	f->in_service_max = n_threads > 1 ? n_threads - 1 : 1;
	return f;
}

static void lane_delete(struct fairness *f, struct fairness_lane *lane)
{
	HASH_DEL(f->lanes, lane); /* NOLINT(clang-analyzer-core.NullDereference): it is in there */
	free(lane);
}

struct fairness *fairness_free(struct fairness *f)
{
	struct fairness_lane *lane, *next_lane;
	struct parked *p, *next;

	if (!f)
		return NULL;
	HASH_ITER (hh, f->lanes, lane, next_lane) {
		DL_FOREACH_SAFE (lane->waiting, p, next)
			free(p);
		lane_delete(f, lane);
	}
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

/* NULL = no memory. */
static struct fairness_lane *lane_get(struct fairness *f, uint32_t serial)
{
	struct fairness_lane *lane = NULL;

	HASH_FIND(hh, f->lanes, &serial, sizeof(serial), lane);
	if (lane)
		return lane;
	lane = calloc(1, sizeof(*lane));
	if (!lane)
		return NULL;
	lane->serial = serial;
	HASH_ADD(hh, f->lanes, serial, sizeof(lane->serial), lane);
	if (lane->hh.tbl)
		return lane;
	free(lane);
	return NULL;
}

int fairness_park(struct fairness *f, uint32_t serial, void *request, size_t n, unsigned max)
{
	LOCK_HOLD(&f->lock);
	struct fairness_lane *lane = lane_get(f, serial);
	struct parked *p;

	if (!lane)
		return -ENOMEM;
	if (lane->n_waiting >= max)
		return -EAGAIN;
	p = malloc(sizeof(*p));
	if (!p) {
		if (lane->n_waiting == 0 && lane->n_in_service == 0)
			lane_delete(f, lane);
		return -ENOMEM;
	}
	*p = (struct parked){.lane = lane, .request = request, .n = n};
	if (lane->n_waiting++ == 0)
		DL_APPEND(f->ring, lane);
	DL_APPEND(lane->waiting, p);
	f->n_waiting++;
	return 0;
}

/* The lane whose turn it is, or NULL. With the lock held. */
static struct fairness_lane *next_lane(const struct fairness *f)
{
	struct fairness_lane *lane;

	DL_FOREACH (f->ring, lane)
		if (lane->n_in_service < f->in_service_max)
			break;
	return lane;
}

bool fairness_has_turn(struct fairness *f)
{
	LOCK_HOLD(&f->lock);

	return next_lane(f) != NULL;
}

struct parked *fairness_take(struct fairness *f)
{
	LOCK_HOLD(&f->lock);
	struct fairness_lane *lane = next_lane(f);
	struct parked *p;

	if (!lane)
		return NULL;
	p = lane->waiting;
	DL_DELETE(lane->waiting, p);
	DL_DELETE(f->ring, lane);
	lane->n_in_service++;
	if (--lane->n_waiting > 0)
		DL_APPEND(f->ring, lane);
	f->n_waiting--;
	return p;
}

void fairness_done(struct fairness *f, struct parked *p)
{
	LOCK_HOLD(&f->lock);
	struct fairness_lane *lane = p->lane;

	free(p);
	if (--lane->n_in_service == 0 && lane->n_waiting == 0)
		lane_delete(f, lane);
}

bool fairness_is_idle(struct fairness *f)
{
	return f->n_waiting == 0;
}
