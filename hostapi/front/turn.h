#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns: fairness between the instances served by one thread
 *
 * A round is one pass of the thread's loop. In a round an instance has at most
 * TURN_QUANTUM requests answered while another instance is connected too; its
 * further requests wait, first come first served, and are granted in the next
 * rounds, before the instance's newer ones. So a neighbour's request waits for
 * at most a quantum of every other instance, however many connections those
 * have. Knows no socket and no HTTP. Owned by one thread: no lock, no atomics.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

struct instance;

#define TURN_QUANTUM 4

/* One per connection, embedded in it; zeroed before turn_enter(). */
struct turn_entry {
	struct turn_lane *lane; /* NULL: takes no part and is never made to wait */
	bool is_waiting;
	bool is_granted;
	struct turn_entry *prev, *next; /* turn_lane::waiting */
};

/* One instance with connections in this thread. */
struct turn_lane {
	const struct instance *instance; /* the key; its connections hold the reference */
	unsigned n_entries;
	unsigned n_used; /* in @round */
	uint64_t round;
	struct turn_entry *waiting;
	struct turn_lane *prev, *next; /* turn::waiting */
	UT_hash_handle hh;             /* turn::lanes */
};

/* Zero-initialised. */
struct turn {
	uint64_t round;
	bool is_free;              /* nobody is made to wait any more */
	struct turn_lane *lanes;   /* by instance */
	struct turn_lane *waiting; /* lanes with somebody waiting */
};

/* @e is a connection of @instance. Returns 0 or -ENOMEM. */
int turn_enter(struct turn *t, struct turn_entry *e, const struct instance *instance);

/* The connection is gone; allowed for one that never entered. */
void turn_leave(struct turn *t, struct turn_entry *e);

/*
 * Whether the request on @e may be answered now. False: @e waits until
 * turn_next() hands it out; ask again then, and the answer is yes.
 */
bool turn_take(struct turn *t, struct turn_entry *e);

/* Begins a round. */
void turn_begin(struct turn *t);

/* The next waiting entry that this round has room for, no longer waiting; NULL at the end. */
struct turn_entry *turn_next(struct turn *t);

/* Any waiting entry, no longer waiting, whatever its quantum; NULL when none is. For shutting down. */
struct turn_entry *turn_any(struct turn *t);

/* Whether somebody waits, so that the loop must not sleep. */
bool turn_is_pending(const struct turn *t);
