/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Route dispatch
 *
 * Walks the table in order, comparing decoded segments as wholes, and settles
 * everything that is the same for every resource: unknown path, unknown
 * method, method not implemented, instance not allowed to ask. A handler that
 * fails leaves nothing half-built in the reply.
 */
#include "api/route.h"

#include "api/quote.h"
#include "core/snapshot.h"

#define PARAMS_MAX ARRAY_SIZE(((struct request *)NULL)->params)

/* Whether @t is @path; fills @params (PARAMS_MAX of them) with what stands for {…}. */
static bool path_matches(const char *path, const struct target *t, const char **params)
{
	size_t i = 0, n_params = 0;

	for (path++; *path; i++) {
		size_t len = strcspn(path, "/");

		if (i == t->n_segments)
			return false;
		if (*path == '{') {
			if (!*t->segments[i] || n_params == PARAMS_MAX)
				return false;
			params[n_params++] = t->segments[i];
		} else if (strlen(t->segments[i]) != len ||
			   memcmp(t->segments[i], path, len) != 0) {
			return false;
		}
		path += len + (path[len] == '/');
	}
	return i == t->n_segments;
}

/* The route for @request; NULL when there is none, and then *ret_allowed says which methods (bits) the path has. */
static const struct route *find(const struct route_table *table, struct request *request,
				unsigned *ret_allowed)
{
	enum method method = request->method == METHOD_HEAD ? METHOD_GET : request->method;

	*ret_allowed = 0;
	for (size_t i = 0; i < table->n_routes; i++) {
		const struct route *route = &table->routes[i];
		const char *params[PARAMS_MAX] = {0};

		if (!path_matches(route->path, request->target, params))
			continue;
		*ret_allowed |= 1U << route->method;
		if (route->method == method) {
			memcpy(request->params, params, sizeof(params));
			return route;
		}
	}
	return NULL;
}

static void reply_method_unknown(struct reply *reply, const char *method_text)
{
	_cleanup_(buf_finish) struct buf quoted = {0};

	if (quote_go(&quoted, method_text, strlen(method_text)) < 0)
		reply_error(reply, OUTCOME_NOT_FOUND, NULL);
	else
		reply_error(reply, OUTCOME_NOT_FOUND, "Method %s not found", quoted.data);
}

static void reply_not_implemented(struct reply *reply, unsigned allowed)
{
	_cleanup_(buf_finish) struct buf allow = {0};
	int r = 0;

	if (allowed & 1U << METHOD_GET)
		allowed |= 1U << METHOD_HEAD;
	for (enum method m = 0; r >= 0 && m < METHOD_OTHER; m++) {
		if (allowed & 1U << m)
			r = buf_printf(&allow, "%s%s", allow.len ? ", " : "", method_name(m));
	}
	reply_error(reply, OUTCOME_NOT_IMPLEMENTED, NULL);
	if (r < 0 || reply->owned)
		return;
	reply->allow = reply->owned = buf_steal(&allow, NULL);
}

bool route_guest_may_ask(const struct snapshot *s)
{
	return s && snapshot_devlxd_is_on(s) && snapshot_socket_is_on(s);
}

void route_dispatch(const struct route_table *table, struct request *request,
		    const char *method_text, struct reply *reply)
{
	unsigned allowed;
	const struct route *route = find(table, request, &allowed);
	bool has_access = !request->instance || route_guest_may_ask(request->snapshot);
	int r;

	*reply = (struct reply){0};
	if (!route && !allowed) {
		reply_error(reply, OUTCOME_NOT_FOUND, NULL);
	} else if (request->method == METHOD_OTHER) {
		reply_method_unknown(reply, method_text);
	} else if (!route) {
		reply_not_implemented(reply, allowed);
	} else if (!has_access && !(route->flags & ROUTE_ALWAYS)) {
		reply_error(reply, OUTCOME_FORBIDDEN, NULL);
	} else {
		r = route->handler(request, reply);
		if (r < 0) {
			reply_error(reply, OUTCOME_INTERNAL, NULL);
			reply->error = r;
		}
	}
}
