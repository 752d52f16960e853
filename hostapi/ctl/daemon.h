#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Talking to the daemon: RUN/admin.sock
 */
#include <jansson.h>

#include "base/httpc.h"
#include "ctl/command.h"

enum {
	_DAEMON_E_SUCCESS,
	DAEMON_E_ABSENT,    /* nobody listens there; nothing was said */
	DAEMON_E_NOT_FOUND, /* it answered 404; nothing was said */
	DAEMON_E_FAILED,    /* anything else; said why */
};

/*
 * One request. *ret is the caller's to finish after 0 (any status below 400, or 404, which the
 * caller judges) and untouched otherwise. @subject is for the message. Returns 0, DAEMON_E_ABSENT or DAEMON_E_FAILED.
 */
int daemon_request(const struct context *context, const char *subject, const char *method,
		   const char *target, const char *body, struct httpc_reply *ret);

/* GET, reading the reply's JSON into *ret, a new reference. Returns 0 or a DAEMON_E_* code. */
int daemon_get(const struct context *context, const char *subject, const char *target,
	       json_t **ret);

/* What to do without a daemon; takes RUN. */
#define DAEMON_ABSENT "no daemon at %s/admin.sock; start devlxdfsd, or name its --run-dir"

/* Says that there is no daemon and what to do. Returns @status. */
int daemon_say_absent(const struct context *context, int status, const char *subject,
		      const char *consequence);

/*
 * Has the daemon load the record @name, just written or (@is_gone) just removed, now. Warns of guests that see some of
 * it late. Returns SAY_DONE or, having said why, SAY_NOT_LOADED.
 */
int daemon_load(const struct context *context, enum record_kind kind, const char *name,
		bool is_gone);

/* Has the daemon read the images again. @done is what was written, for messages: "imported". As daemon_load(). */
int daemon_load_images(const struct context *context, const char *subject, const char *done);
