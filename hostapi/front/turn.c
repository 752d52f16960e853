/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns: fairness between the instances served by one thread
 *
 * Lanes are made with an instance's first connection and freed with its last,
 * so they are bounded by the connections. A lane is in turn::waiting exactly
 * while its own list of waiting entries is not empty.
 */
#include "front/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

int turn_enter(struct turn *t, struct turn_entry *e, const struct instance *instance)
{
	struct turn_lane *lane = NULL;

	HASH_FIND_PTR(t->lanes, &instance, lane);
	if (!lane) {
		lane = calloc(1, sizeof(*lane));
		if (!lane)
			return -ENOMEM;
		lane->instance = instance;
		HASH_ADD_PTR(t->lanes, instance, lane);
	}
	lane->n_entries++;
	e->lane = lane;
	return 0;
}

static void stop_waiting(struct turn *t, struct turn_entry *e)
{
	DL_DELETE(e->lane->waiting, e);
	e->is_waiting = false;
	if (!e->lane->waiting)
		DL_DELETE(t->waiting, e->lane);
}

void turn_leave(struct turn *t, struct turn_entry *e)
{
	struct turn_lane *lane = e->lane;

	if (!lane)
		return;
	if (e->is_waiting)
		stop_waiting(t, e);
	e->lane = NULL;
	if (--lane->n_entries == 0) {
		HASH_DEL(t->lanes, lane);
		free(lane);
	}
}

/* Whether the lane has a request left in this round; counts it. */
static bool spend(struct turn *t, struct turn_lane *lane)
{
	if (lane->round != t->round) {
		lane->round = t->round;
		lane->n_used = 0;
	}
	/* With nobody else connected there is nobody to be fair to. */
	if (lane->n_used >= TURN_QUANTUM && HASH_COUNT(t->lanes) > 1)
		return false;
	lane->n_used++;
	return true;
}

bool turn_take(struct turn *t, struct turn_entry *e)
{
	struct turn_lane *lane = e->lane;

	if (!lane || t->is_free)
		return true;
	if (e->is_granted) {
		e->is_granted = false;
		return true;
	}
	if (!lane->waiting && spend(t, lane))
		return true;
	if (!lane->waiting)
		DL_APPEND(t->waiting, lane);
	DL_APPEND(lane->waiting, e);
	e->is_waiting = true;
	return false;
}

void turn_begin(struct turn *t)
{
	t->round++;
}

struct turn_entry *turn_next(struct turn *t)
{
	struct turn_lane *lane;

	DL_FOREACH (t->waiting, lane) {
		struct turn_entry *e = lane->waiting;

		if (!spend(t, lane))
			continue;
		stop_waiting(t, e);
		e->is_granted = true;
		return e;
	}
	return NULL;
}

struct turn_entry *turn_any(struct turn *t)
{
	struct turn_entry *e;

	if (!t->waiting)
		return NULL;
	e = t->waiting->waiting;
	stop_waiting(t, e);
	e->is_granted = true;
	return e;
}

bool turn_is_pending(const struct turn *t)
{
	return t->waiting != NULL;
}
