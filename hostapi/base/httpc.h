#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP client for the admin socket
 *
 * One request per connection over a unix socket. Speaks to our own server
 * only (Content-Length or chunked replies); bounded, but not hardened against a hostile server.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct httpc_reply {
	unsigned status;
	char *content_type; /* NULL when there was none */
	char *body;         /* NUL-terminated, never NULL */
	size_t body_len;
};

/* Frees what the reply holds and zeroes it; @reply may be zeroed. */
void httpc_reply_finish(struct httpc_reply *reply);

/*
 * Sends @method @target (already percent-encoded) with @body (may be NULL) to
 * the socket at @path and reads the whole reply. Returns 0 (whatever the
 * status), or -errno: of sock_connect(), -EPROTO for a reply that is not HTTP,
 * -ECONNRESET when it ends early, -EFBIG when its body exceeds 64 MiB. *@ret
 * is the caller's to finish after 0, and untouched otherwise.
 */
int httpc_request(const char *path, const char *method, const char *target, const void *body,
		  size_t body_len, struct httpc_reply *ret);

/* A reply that is read line by line as it comes; see httplines.h. */
struct httpc_stream;

/*
 * Sends GET @target to the socket at @path. Reading is up to the caller, who waits with poll(2). Lines may be @line_max bytes
 * long. Returns 0, or -errno, of sock_connect() among them.
 */
int httpc_open(const char *path, const char *target, size_t line_max, struct httpc_stream **ret);
struct httpc_stream *httpc_stream_free(struct httpc_stream *s); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct httpc_stream *, httpc_stream_free);

/* Readable when httpc_stream_read() has something to do. */
int httpc_stream_fd(const struct httpc_stream *s);

/*
 * Reads what is there, without waiting; take all lines first. Returns 0 or -errno: -ECONNRESET when the connection has
 * ended in the middle, -EPROTO for what is not HTTP or too long a line.
 */
int httpc_stream_read(struct httpc_stream *s);

/* 0 while the head has not come. */
unsigned httpc_stream_status(const struct httpc_stream *s);
/* Whether the reply is whole; no more lines come than httpc_stream_next() still has. */
bool httpc_stream_is_done(const struct httpc_stream *s);

/* The next line without its end, valid until the next call; NULL: none yet. */
char *httpc_stream_next(struct httpc_stream *s, size_t *ret_n);
