#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Route tables
 *
 * A table is const: method, path template, handler, flags, one line of help;
 * devlxd-api(7) and the admin's documentation are checked against it. Matching
 * is by whole decoded segments.
 */
#include <stdbool.h>
#include <stddef.h>

#include "api/reply.h"
#include "api/request.h"

enum route_flags {
	/* Called also when the guest may not ask (see route_dispatch()): it refuses itself. */
	ROUTE_ALWAYS = 1 << 0,
};

struct route {
	enum method method;
	const char *path; /* "/1.0/config/{key}"; "/" is the root */
	/* Fills *reply (zeroed). Returns 0, or -errno, which becomes 500 and reply->error. */
	int (*handler)(const struct request *request, struct reply *reply);
	unsigned flags;
	const char *help;
};

struct route_table {
	const struct route *routes; /* sorted by path, then method */
	size_t n_routes;
};

/* Whether a guest may ask anything, by the snapshot in force now; NULL: there is none any more. */
bool route_guest_may_ask(const struct snapshot *s);

/*
 * Answers *request from @table: 404 for an unknown path, 501 with Allow for a
 * known path without that method (HEAD goes where GET goes), 404 `Method "X" not found` for a method
 * nobody knows, 403 when the guest's snapshot is gone or security.devlxd or security.devlxd.socket is
 * false (requests without an instance, the host's own, are not asked), else the handler. @method_text is the method as sent.
 * Fills request->params; zeroes *reply and always leaves a complete one.
 */
void route_dispatch(const struct route_table *table, struct request *request,
		    const char *method_text, struct reply *reply);
