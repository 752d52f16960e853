#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fairness: requests of the tree that wait for their turn, instance by instance
 *
 * The kernel has one queue for all guests. The loop empties it into here and serves one request of each
 * instance in turn, so that a thousand threads of one guest cost its neighbour a place in a round, not in a
 * queue. An instance never has all threads: what one of its requests may wait for cannot stop the others.
 *
 * Thread-safe. Knows no request's content.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct fairness;

/* How many requests of one instance are to wait here at most. */
#define FAIRNESS_MAX 1024

/* A request that waits. */
struct parked {
	struct parked *prev, *next; /* fairness's lane */
	struct fairness_lane *lane;
	void *request; /* borrowed */
	size_t n;
};

/* @n_threads serve. NULL = no memory. */
struct fairness *fairness_new(unsigned n_threads);
/* Nothing may be in service; what waits is dropped. NULL-safe; always NULL. */
struct fairness *fairness_free(struct fairness *f);
DEFINE_CLEANUP(struct fairness *, fairness_free);

/*
 * Parks the request for the instance @serial; it stays the caller's, and where it is. Returns 0, -EAGAIN when the instance has @max
 * waiting, or -ENOMEM.
 */
int fairness_park(struct fairness *f, uint32_t serial, void *request, size_t n, unsigned max);

/* The next request whose turn it is, in service from now on; NULL when there is none to be had. */
struct parked *fairness_take(struct fairness *f);

/* It was answered; frees @p. */
void fairness_done(struct fairness *f, struct parked *p);

/* Whether fairness_take() would find one. */
bool fairness_has_turn(struct fairness *f);

/* Whether nobody waits. One glance, no lock. */
bool fairness_is_idle(struct fairness *f);
