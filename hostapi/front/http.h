#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP threads
 *
 * Bytes to requests and replies to bytes, on libmicrohttpd with its epoll
 * descriptor inside our loop. A thread accepts, identifies, charges the
 * connection to its instance, and only then hands it to libmicrohttpd; who is
 * refused gets one canned answer and is drained (refuse.h). Each thread owns
 * its connections; threads share the listener (EPOLLEXCLUSIVE), the registry
 * and the accounts, nothing else.
 *
 * Fairness: in one round of the loop an instance gets at most QUANTUM requests
 * served while others wait; the rest of its connections are suspended and
 * resumed round robin.
 */
#include <stdint.h>

#include "api/request.h"
#include "api/route.h"
#include "core/limits.h"

enum http_trust {
	HTTP_GUEST, /* identity_peer(); the request carries the caller's instance */
	HTTP_ADMIN, /* only host root (uid 0 by peer credentials, socket mode 0600): anybody else is closed */
};

struct http_options {
	const char *name; /* of the threads: "guest", "admin" */
	int listen_fd;    /* borrowed; bound, not necessarily listening yet */
	enum http_trust trust;
	const struct route_table *routes;
	const struct api *api;
	unsigned n_threads;
	struct front_stats *stats; /* borrowed */
};

struct http_server;

/* Listens and starts the threads. Returns 0 or -errno. */
int http_new(const struct http_options *options, struct http_server **ret);

/*
 * Stops accepting, lets requests in flight finish (at most 2 s), ends the threads and frees.
 * NULL-safe; always NULL.
 */
struct http_server *http_free(struct http_server *h);
