/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One HTTP connection and the request going on in it
 *
 * libmicrohttpd calls, per request: begin() with the request line, answer()
 * once after the header, answer() per piece of the body, answer() to get the
 * response (again after a suspension), end(). A response must not be queued
 * in the first answer() unless the connection is to be closed after it.
 */
#include "front/conn.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <utlist.h>

#include "api/reply.h"
#include "base/cleanup.h"
#include "base/sock.h"
#include "base/text.h"
#include "core/hub.h"
#include "core/registry.h"
#include "core/settings.h"
#include "core/snapshot.h"
#include "front/headers.h"
#include "front/hearer.h"
#include "front/nonip.h"
#include "front/response.h"

/* What the library needs in its memory of a connection beside the request's header. */
#define POOL_ROOM 4096
/* A body that is too large is still read up to this, so that its sender gets to read the 413. */
#define SWALLOW_MAX (1024 * 1024)
/* Buffers that grew larger than this are not kept for the next request. */
#define BODY_KEEP 4096

static const struct settings *settings_of(const struct conn *c)
{
	return c->home->options->api->settings;
}

static const char *name_of(const struct conn *c)
{
	return c->caller.instance ? instance_name(c->caller.instance) : NULL;
}

static void set_timeout(struct conn *c, unsigned seconds)
{
	MHD_set_connection_option(c->mhd, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static void end_download(struct conn *c)
{
	if (!c->download)
		return;
	if (download_is_broken(c->download))
		log_limited(&c->home->failure_log, LOG_EVENT_NONE, name_of(c),
			    "a file was changed while it was sent; import the image again");
	c->download = download_free(c->download);
	set_timeout(c, settings_of(c)->idle_timeout_s);
}

static void request_finish(struct conn *c)
{
	c->hearer = hearer_free(c->hearer);
	end_download(c);
	target_finish(&c->target);
	if (c->body.size > BODY_KEEP)
		buf_finish(&c->body);
	c->body.len = 0;
	c->n_body = 0;
	c->is_too_large = false;
	if (c->is_busy)
		c->home->n_busy--;
	c->is_busy = false;
}

static void conn_free(struct conn *c)
{
	struct conn_home *home = c->home;

	request_finish(c);
	buf_finish(&c->body);
	turn_leave(&home->turn, &c->turn);
	if (c->is_silent)
		DL_DELETE(home->silent, c);
	if (c->is_charged)
		account_disconnect(instance_account(c->caller.instance));
	caller_finish(&c->caller);
	home->n_ended++;
	free(c);
}
DEFINE_CLEANUP(struct conn *, conn_free);

static struct conn *conn_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void notify(void *cls, struct MHD_Connection *mhd, void **context,
		   enum MHD_ConnectionNotificationCode code)
{
	struct conn_home *home = cls;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = home->starting;
		home->starting->mhd = mhd;
		home->starting = NULL;
	} else if (*context) {
		conn_free(*context);
		*context = NULL;
	}
}

static void *begin(void *cls, const char *target, struct MHD_Connection *mhd)
{
	struct conn *c = conn_of(mhd);

	c->target_error = target_parse(target, strlen(target), &c->target);
	return c;
}

static void end(void *cls, struct MHD_Connection *mhd, void **request,
		enum MHD_RequestTerminationCode why)
{
	if (*request)
		request_finish(*request);
	*request = NULL;
}

/* The target is decoded by target_parse(), once and segment by segment. */
static size_t leave_escaped(void *cls, struct MHD_Connection *mhd, char *text)
{
	return strlen(text);
}

/*
 * Whether the guest may ask now: it is still who it was, and has not asked too
 * often. Else *reply is the answer.
 */
static bool is_admitted(struct conn *c, struct reply *reply)
{
	const struct api *api = c->home->options->api;
	struct account *account = instance_account(c->caller.instance);
	uint32_t wait_s;

	if (identity_confirm(api->identity, &c->caller) != 0) {
		reply_error(reply, OUTCOME_FORBIDDEN, NULL);
		return false;
	}
	wait_s = account_request(account, api->settings, now_us());
	if (wait_s) {
		reply_error(reply, OUTCOME_TOO_MANY, NULL);
		reply->retry_after_s = wait_s;
		reply->limit = "requests";
		return false;
	}
	return true;
}

static void make_reply(struct conn *c, const char *method, struct reply *reply)
{
	const struct http_options *o = c->home->options;
	_cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
	struct request request = {
		.api = o->api,
		.method = method_parse(method),
		.target = &c->target,
		.body = c->body.len ? c->body.data : "",
		.body_len = c->body.len,
	};

	headers_read(c->mhd, c->is_http_1_1, &request);
	if (o->trust == HTTP_GUEST) {
		if (!is_admitted(c, reply))
			return;
		snapshot = instance_snapshot(c->caller.instance);
		request.instance = c->caller.instance;
		request.snapshot = snapshot;
		request.boot = &c->caller.boot;
	}
	if (c->is_too_large)
		reply_error(reply, OUTCOME_TOO_LARGE, NULL);
	else if (c->target_error == -E2BIG)
		reply_error(reply, OUTCOME_NOT_FOUND, NULL);
	else if (c->target_error == -ENOMEM)
		reply_error(reply, OUTCOME_INTERNAL, NULL);
	else if (c->target_error < 0)
		reply_error(reply, OUTCOME_BAD_REQUEST, NULL);
	else
		route_dispatch(o->routes, &request, method, reply);
}

static void log_trouble(struct conn *c, const struct reply *reply)
{
	const char *name = name_of(c);
	struct hub *hub = c->home->options->api->hub;
	char reason[64];

	if (reply->error)
		log_limited(&c->home->failure_log, LOG_EVENT_NONE, name, "a request failed: %s",
			    reply->trouble ?: strerror(-reply->error));
	if (!reply->limit)
		return;
	snprintf(reason, sizeof(reason), "too many %s", reply->limit);
	if (log_limited(&c->home->limit_log, LOG_EVENT_LIMIT_REACHED, name, "has %s", reason) &&
	    hub)
		hub_lifecycle(hub, LIFECYCLE_LIMIT_REACHED, name, reason);
}

/* Somebody to be told what the reply says from now on, if it goes on. */
static void begin_hearing(struct conn *c, struct reply *reply)
{
	if (!reply->events.log)
		return;
	c->hearer = hearer_new(&c->home->audience, &reply->events, &c->caller, c->mhd, c->fd);
	if (!c->hearer)
		reply_error(reply, OUTCOME_INTERNAL, NULL);
}

/* However slow who takes it is, it is not ended: it is one of the guest's own connections that waits. */
static void begin_download(struct conn *c, struct reply *reply)
{
	if (reply->stream != REPLY_FILES)
		return;
	c->download = download_new(&c->home->downloads, &reply->files, c->fd);
	if (c->download)
		set_timeout(c, 0);
	else
		reply_error(reply, OUTCOME_INTERNAL, NULL);
}

static enum MHD_Result respond(struct conn *c, const char *method)
{
	struct reply reply = {0};
	enum MHD_Result result;

	make_reply(c, method, &reply);
	begin_hearing(c, &reply);
	begin_download(c, &reply);
	log_trouble(c, &reply);
	if (c->caller.instance) {
		struct account *account = instance_account(c->caller.instance);

		if (reply.outcome != OUTCOME_NOT_MODIFIED && !streq(method, "HEAD"))
			account->n_bytes_sent += reply.body_len;
		if (reply.outcome == OUTCOME_FORBIDDEN)
			account->n_forbidden++;
	}
	result = response_send(c->mhd, &reply, c->hearer, c->download, c->home->is_closing);
	reply_finish(&reply);
	return result;
}

/*
 * The header is complete. A body that is announced as too large and that its
 * sender holds back (Expect) or that is too much to swallow is refused at once.
 */
static enum MHD_Result take_header(struct conn *c, const char *method)
{
	const char *length = MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, "Content-Length");
	uint64_t n = 0;

	if (c->is_silent) {
		DL_DELETE(c->home->silent, c);
		c->is_silent = false;
	}
	c->is_busy = true;
	c->home->n_busy++;
	if (!length || text_to_u64(length, 0, settings_of(c)->max_body_bytes, &n) == 0)
		return MHD_YES;
	c->is_too_large = true;
	if (text_to_u64(length, 0, SWALLOW_MAX, &n) == 0 &&
	    !MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, "Expect"))
		return MHD_YES;
	return respond(c, method);
}

static enum MHD_Result take_body(struct conn *c, const char *bytes, size_t n)
{
	c->n_body += n;
	if (c->n_body > settings_of(c)->max_body_bytes)
		c->is_too_large = true;
	if (c->is_too_large)
		return c->n_body <= SWALLOW_MAX ? MHD_YES : MHD_NO;
	return buf_append(&c->body, bytes, n) == 0 ? MHD_YES : MHD_NO;
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *mhd, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **request)
{
	struct conn *c = *request;

	c->is_http_1_1 = streq(version, MHD_HTTP_VERSION_1_1);
	if (!c->is_busy)
		return take_header(c, method);
	if (*upload_size) {
		size_t n = *upload_size;

		*upload_size = 0;
		return take_body(c, upload, n);
	}
	if (!turn_take(&c->home->turn, &c->turn)) {
		MHD_suspend_connection(mhd);
		return MHD_YES;
	}
	return respond(c, method);
}

int conn_start(struct conn_home *home)
{
	const struct settings *s = home->options->api->settings;

	if (!nonip_is_active())
		log_debug("replies cost two needless system calls");
	home->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_TURBO |
			MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE,
		0, NULL, NULL, answer, NULL, MHD_OPTION_NOTIFY_CONNECTION, notify, home,
		MHD_OPTION_URI_LOG_CALLBACK, begin, NULL, MHD_OPTION_NOTIFY_COMPLETED, end, NULL,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)s->max_header_bytes + POOL_ROOM,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)s->idle_timeout_s,
		MHD_OPTION_CONNECTION_LIMIT, 1U << 30, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
		MHD_OPTION_END);
	return home->daemon ? 0 : -ENOMEM;
}

int conn_add(struct conn_home *home, int fd_consumed, struct caller *caller)
{
	/* Unnamed: the library wants an address but has no use for it. */
	static const struct sockaddr_un nowhere = {.sun_family = AF_UNIX};
	_cleanup_(closep) int fd = fd_consumed;
	_cleanup_(conn_freep) struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		if (caller->instance)
			account_disconnect(instance_account(caller->instance));
		caller_finish(caller);
		return -ENOMEM;
	}
	c->home = home;
	c->fd = fd;
	c->caller = *caller;
	*caller = (struct caller){0};
	c->is_charged = c->caller.instance != NULL;
	if (c->caller.instance) {
		r = turn_enter(&home->turn, &c->turn, c->caller.instance);
		if (r < 0)
			return r;
	}
	c->accepted_us = now_us();
	DL_APPEND(home->silent, c);
	c->is_silent = true;

	/* The library closes the descriptor in any case, and calls notify() before it returns. */
	home->starting = c;
	fd = -1;
	if (MHD_add_connection(home->daemon, c->fd, (const struct sockaddr *)&nowhere,
			       sizeof(nowhere)) != MHD_YES &&
	    home->starting)
		return -ENOMEM;
	steal_ptr(&c); /* notify() took it */
	home->starting = NULL;
	return 0;
}

static void resume(struct turn_entry *e)
{
	struct conn *c = (struct conn *)((char *)e - offsetof(struct conn, turn));

	MHD_resume_connection(c->mhd);
}

void conn_run(struct conn_home *home)
{
	struct turn_entry *e;

	turn_begin(&home->turn);
	while ((e = turn_next(&home->turn)))
		resume(e);
	MHD_run(home->daemon);
}

uint64_t conn_expire(struct conn_home *home, uint64_t now, uint64_t at_most_us)
{
	const struct settings *s = home->options->api->settings;
	uint64_t limit = (uint64_t)s->first_header_timeout_ms * 1000;

	if (limit > at_most_us)
		limit = at_most_us;
	while (home->silent && home->silent->accepted_us + limit <= now) {
		struct conn *c = home->silent;

		/* The library notices the end and closes it in its next pass. */
		DL_DELETE(home->silent, c);
		c->is_silent = false;
		shutdown(c->fd, SHUT_RDWR);
	}
	return home->silent ? home->silent->accepted_us + limit : UINT64_MAX;
}

int conn_timeout_ms(struct conn_home *home)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (turn_is_pending(&home->turn))
		return 0;
	if (MHD_get_timeout(home->daemon, &ms) != MHD_YES)
		return -1;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

void conn_close(struct conn_home *home)
{
	home->is_closing = true;
	audience_close(&home->audience);
}

void conn_stop(struct conn_home *home)
{
	struct turn_entry *e;

	if (!home->daemon)
		return;
	/* The library does not stop while a connection is suspended. */
	home->turn.is_free = true;
	while ((e = turn_any(&home->turn)))
		resume(e);
	audience_abort(&home->audience);
	MHD_run(home->daemon);
	MHD_stop_daemon(home->daemon);
	home->daemon = NULL;
}
