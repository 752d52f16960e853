/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /1.0/events
 *
 * Decides whether a listener is let in, and by which of two ways it is told: as a websocket or as a
 * reply that goes on. Where it begins to listen is settled here, before anything is sent: what happens
 * after the client has the header is not missed.
 */
#include "api/events.h"

#include "api/handshake.h"
#include "api/resources.h"
#include "core/hub.h"

int events_stream(const struct request *q, struct reply *reply, struct hub_log *log_consumed,
		  unsigned types)
{
	_cleanup_(hub_log_unrefp) struct hub_log *log = log_consumed;
	_cleanup_(freep) char *list = NULL;
	int r = query_get(q->target->query, "type", &list);

	if (r == -EINVAL) {
		reply_error(reply, OUTCOME_BAD_REQUEST, NULL);
		return 0;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	reply_events(reply, log, list && *list ? event_types_parse(list) : types);
	log = NULL; /* the reply's */
	return 0;
}

int events_get(const struct request *q, struct reply *reply)
{
	struct account *account = instance_account(q->instance);
	bool is_websocket = handshake_is_wanted(&q->upgrade);
	char accept[REPLY_ACCEPT_SIZE];
	enum outcome outcome = is_websocket ? handshake_check(&q->upgrade, accept) : OUTCOME_OK;
	struct hub_log *log;
	int r;

	if (outcome != OUTCOME_OK) {
		reply_error(reply, outcome, NULL);
		return 0;
	}
	if (q->method == METHOD_HEAD)
		return events_stream(q, reply, NULL, EVENT_TYPES_DEFAULT);
	if (!account_listen(account, q->api->settings)) {
		reply_error(reply, OUTCOME_TOO_MANY, "Too many event listeners");
		reply->limit = "event listeners";
		return 0;
	}
	r = hub_log_of(q->api->hub, q->instance, &log);
	if (r == 0)
		r = events_stream(q, reply, log, EVENT_TYPES_DEFAULT);
	if (r < 0 || reply->stream == REPLY_WHOLE) {
		account_unlisten(account);
		return r;
	}
	reply->events.account = account;
	if (is_websocket) {
		reply->stream = REPLY_WEBSOCKET;
		memcpy(reply->events.accept, accept, sizeof(accept));
	}
	return 0;
}
