#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Session: libfuse on a mount that is older than this process
 *
 * The keeper answered the kernel's FUSE_INIT. Here the same request is replayed into libfuse with the
 * reply swallowed, after which libfuse is in the state it would be in had it negotiated itself: one way for the
 * first worker and every later one. Requests are read elsewhere (loop.h) and handed in.
 */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "shared.h"

struct session;

/*
 * @fd (lent) is the mount's; @ops and @ctx, which fuse_req_userdata() gives via session_ctx(), live as long as the
 * session. Returns 0, -EPROTO when libfuse does not like the request, or -errno.
 */
int session_new(int fd, const struct shared *shared, const struct fuse_lowlevel_ops *ops, void *ctx,
		struct session **ret);
struct session *session_free(struct session *s); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct session *, session_free);

/* Has libfuse answer one request of @n bytes, as read from the mount. Any thread. */
void session_process(struct session *s, void *request, size_t n);

/* The @ctx given to session_new(), in an operation. */
void *session_ctx(fuse_req_t req);
