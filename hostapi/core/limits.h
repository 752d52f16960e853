#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest has taken and what it may take
 *
 * One account per instance, embedded in struct instance, and one for callers
 * that are nobody. All fields are atomic: HTTP threads charge without a lock.
 */
#include <stdbool.h>
#include <stdint.h>

struct settings;

struct account {
	_Atomic uint32_t n_connections;
	_Atomic uint32_t n_event_listeners;
	_Atomic uint32_t n_event_readers; /* reads of the file of events that wait */
	_Atomic uint64_t tokens;          /* request bucket: see limits.c */
	/* counters, ever growing, for status and metrics */
	_Atomic uint64_t n_accepted, n_requests, n_refused_connections, n_refused_requests,
		n_forbidden, n_not_root, n_bytes_sent,
		n_tree_requests; /* the guest's own lookups, opens and writes in the tree */
};

/* Charges one connection (counted as accepted). False when the limit is reached (counted as refused). */
bool account_connect(struct account *a, const struct settings *s);
/* Ends a connection that account_connect() charged. */
void account_disconnect(struct account *a);

/* Charges one listener to events. False when the limit is reached (the request counts as refused). */
bool account_listen(struct account *a, const struct settings *s);
/* Ends a listener that account_listen() charged. */
void account_unlisten(struct account *a);

/*
 * Charges one request at @now_us (counted). Returns 0, or the seconds (>= 1) after which
 * asking again makes sense, for Retry-After (counted as refused).
 */
uint32_t account_request(struct account *a, const struct settings *s, uint64_t now_us);

/* A front's own counters: callers that are nobody have no account. Written by the front, read by status and metrics. */
struct front_stats {
	_Atomic uint64_t n_accepted, n_unknown, n_conflict, n_gone, n_not_root, n_limited,
		n_own_trouble;
};
