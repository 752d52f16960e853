#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon says line by line, as it says it
 *
 * One GET on RUN/admin.sock. Whoever waits is let go by a deadline, by a descriptor, or by whoever reads our output going away.
 */
#include <jansson.h>
#include <stdint.h>

#include "base/httpc.h"
#include "ctl/command.h"

#define FOLLOW_FOREVER UINT64_MAX

/* Embedded; zeroed, with the first members set, and then follow_finish(). */
struct follow {
	const struct context *context;
	const char *subject; /* of messages */
	const char *target;
	int stop_fd; /* it becoming readable ends a wait; -1: none */
	int out_fd;  /* where output goes: nobody reading it ends a wait; -1: none */
	struct httpc_stream *stream;
};

enum {
	_FOLLOW_E_SUCCESS,
	FOLLOW_E_ABSENT,    /* nobody listens there; nothing was said */
	FOLLOW_E_NOT_FOUND, /* it answers 404; nothing was said */
	FOLLOW_E_ENDED,     /* the connection ended, in an orderly way or not */
	FOLLOW_E_STOPPED,   /* stop_fd or out_fd */
	FOLLOW_E_TIMEOUT,
	FOLLOW_E_FAILED, /* anything else; said why */
};

/* Closes the connection; @f may be zeroed. */
void follow_finish(struct follow *f);

/*
 * Asks, and waits until the daemon has begun to answer: what happens from then on is not missed. @deadline_us is of now_us().
 * Returns 0 or a FOLLOW_E_* code.
 */
int follow_open(struct follow *f, uint64_t deadline_us);

/* The same after the connection has ended, again and again until @deadline_us while it ends. */
int follow_reopen(struct follow *f, uint64_t deadline_us);

/* The next line, valid until the next call. Returns 0 or a FOLLOW_E_* code. */
int follow_next(struct follow *f, uint64_t deadline_us, char **ret_line, size_t *ret_n);

/* Opens, and reads a reply that is one line of JSON, a new reference. Returns 0 or a FOLLOW_E_* code. */
int follow_json(struct follow *f, uint64_t deadline_us, json_t **ret);

/* How long to have patience with a worker that takes another's place, but not past @deadline_us; of now_us(). */
uint64_t follow_patience(uint64_t deadline_us);

/* Says why the command ends: @r is a FOLLOW_E_* code. Returns SAY_REFUSED. */
int follow_fail(const struct follow *f, int r, const char *consequence);
