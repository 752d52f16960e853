#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One HTTP connection and the request going on in it
 *
 * The only file that libmicrohttpd calls back, and the one place where its
 * notions meet ours: the raw target goes to target_parse(), the body is
 * collected (bounded), and the request waits for its turn. Who the caller is was decided before
 * (http.c); whether it still is, is asked for every request. Owned by one thread.
 */
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/request.h"
#include "base/log.h"
#include "front/audience.h"
#include "front/download.h"
#include "front/http.h"
#include "front/turn.h"

/* What the connections of one thread share. */
struct conn_home {
	const struct http_options *options;
	struct MHD_Daemon *daemon;
	struct turn turn;
	struct conn *silent;   /* no complete first header yet, oldest first */
	struct conn *starting; /* handed to libmicrohttpd, not yet taken by its callback */
	bool is_closing;       /* no further request on any connection */
	unsigned n_busy;       /* requests begun and not ended */
	uint64_t n_ended;      /* connections ended so far: descriptors have become free */
	struct audience audience;
	struct download_list downloads;
	struct log_limit failure_log, limit_log;
};

struct conn {
	struct conn_home *home;
	struct MHD_Connection *mhd;
	int fd; /* libmicrohttpd's */
	uint64_t accepted_us;
	bool is_charged; /* to the account of caller.instance */
	bool is_silent;  /* in conn_home::silent */
	struct caller caller;
	struct turn_entry turn;
	struct conn *prev, *next; /* conn_home::silent */

	/* The request going on; one at a time, as HTTP/1.1 has it. */
	bool is_busy;
	bool is_too_large;
	int target_error; /* of target_parse() */
	struct target target;
	struct buf body;
	uint64_t n_body; /* bytes seen, kept or not */
	bool is_http_1_1;
	struct hearer *hearer;     /* the reply is events; else NULL */
	struct download *download; /* the reply is from files; else NULL */
};

/*
 * Starts the libmicrohttpd daemon of a thread; home->options and home->audience are set. Returns 0
 * or -ENOMEM (the library does not say why it failed).
 */
int conn_start(struct conn_home *home);

/*
 * Serves the connected socket @fd (consumed in any case) for *caller, whose contents are taken and
 * whose account, if it has an instance, has been charged with the connection. Returns 0 or -errno
 * (closed, charge returned).
 */
int conn_add(struct conn_home *home, int fd, struct caller *caller);

/* One pass over what is ready; resumes whose turn it is. */
void conn_run(struct conn_home *home);

/*
 * Ends connections that have not sent a whole header by @now_us, in the time that the settings give or
 * @at_most_us if that is less. Returns when the next would be due, or UINT64_MAX.
 */
uint64_t conn_expire(struct conn_home *home, uint64_t now_us, uint64_t at_most_us);

/* Milliseconds conn_run() can wait for at most if nothing becomes ready; -1: for ever. */
int conn_timeout_ms(struct conn_home *home);

/* From now on every reply ends its connection, and those that go on end. */
void conn_close(struct conn_home *home);

/* Closes all connections and stops. NULL-safe in its daemon. */
void conn_stop(struct conn_home *home);
