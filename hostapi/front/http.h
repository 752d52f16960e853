#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP threads
 *
 * Bytes to requests and replies to bytes, on libmicrohttpd with its epoll
 * descriptor inside our loop. A thread accepts, identifies, charges the
 * connection to its instance, and only then hands it to libmicrohttpd; who is
 * refused gets one canned answer and is drained (refuse.h). Each thread owns
 * its connections; threads share the listeners (listener.h), the registry
 * and the accounts, nothing else.
 *
 * Fairness: the listeners with callers share what a round accepts. In one round
 * of the loop an instance gets at most QUANTUM requests served while others wait;
 * the rest of its connections are suspended and resumed round robin.
 */
#include <stdint.h>

#include "api/request.h"
#include "api/route.h"
#include "core/limits.h"

enum http_trust {
	HTTP_GUEST, /* identity_peer() or identity_mount(); the request carries the caller's instance */
	HTTP_ADMIN, /* only host root (uid 0 by peer credentials, socket mode 0600): anybody else is closed */
};

struct http_options {
	const char *name; /* of the threads: "guest", "admin" */
	int listen_fd;    /* borrowed; bound, not necessarily listening yet; -1: none */
	enum http_trust trust;
	const struct route_table *routes;
	const struct api *api;
	unsigned n_threads;
	struct front_stats *stats; /* borrowed */
};

struct http_server;
struct instance;

/* Starts the threads and listens. Returns 0 or -errno. */
int http_new(const struct http_options *options, struct http_server **ret);

/*
 * Serves the bound socket @fd too. @instance NULL: who calls is found out as on the first one. Else it is that
 * instance's own (a reference is taken; not for HTTP_ADMIN): who connects is judged by identity_mount().
 * Thread-safe, but not against http_free(). A thread that is short of descriptors accepts on it once it
 * accepts at all. Returns 0 with @fd taken over, -EEXIST when @instance has one, or -errno (-ENOSPC: no
 * more can be watched); with an error @fd stays the caller's, though it may be non-blocking and listen.
 */
int http_listen(struct http_server *h, int fd, struct instance *instance);

/*
 * Ends @instance's own listener, if it has one, and closes it: nobody is accepted on it once this has
 * returned. Who was accepted goes on, judged for each request as ever. Thread-safe as http_listen().
 */
void http_unlisten(struct http_server *h, struct instance *instance);

/*
 * Stops accepting, lets requests in flight finish (at most 2 s), ends the threads and frees.
 * NULL-safe; always NULL.
 */
struct http_server *http_free(struct http_server *h);
