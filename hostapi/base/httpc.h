#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP client for the admin socket
 *
 * One request per connection over a unix socket. Speaks to our own server
 * only (Content-Length or chunked replies); bounded, but not hardened against a hostile server.
 */
#include <stddef.h>

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
