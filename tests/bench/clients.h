#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that do one thing over and over, and how long it took each time
 *
 * What `load` and `files` share. A latency is kept with a resolution of 0.1
 * microseconds, slower ones than 100 microseconds within 0.2 percent.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CLIENTS_MAX     1024
#define CLIENTS_BUCKETS 20480

struct clients {
	uint64_t n, seconds; /* the caller's wishes */
	uint64_t end_ns;
	_Atomic uint64_t n_failed;
	_Atomic int first_error; /* errno of the first that failed, 0 when it left none */
	_Atomic uint32_t latencies[CLIENTS_BUCKETS]; /* of those that did not fail */
};

/* What "-c" and "-s" set. Returns 0 or a negative errno; -EINVAL for any other @option, too. */
int clients_option(struct clients *c, int option, const char *value);

/* Whether there is time for one more; *ret_start_ns is then its start. */
bool clients_begin(const struct clients *c, uint64_t *ret_start_ns);

/* Counts what began at @start_ns and ended now; @error is 0 or a negative errno. */
void clients_end(struct clients *c, uint64_t start_ns, int error);

/*
 * Runs @client(@arg) in @c->n threads, waits for them, and prints one JSON object:
 * what was done a second, latencies, failures. Returns an exit status.
 */
int clients_run(struct clients *c, void *(*client)(void *), void *arg);
