/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One who listens to events
 *
 * A reply that goes on is suspended while there is nothing to say, and libmicrohttpd then watches its connection
 * no more: that is done here, for the client's end only. A client that merely has nothing more to say
 * goes on listening. A websocket is served here altogether.
 *
 * Ending one only lets go of it: it is freed with its request, in the library's next pass, so that whoever is in
 * the middle of dealing with it need not look out.
 */
#include "front/hearer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utlist.h>

#include "api/request.h"
#include "api/route.h"
#include "base/cleanup.h"
#include "core/identity.h"
#include "core/limits.h"
#include "core/snapshot.h"
#include "front/feed.h"
#include "front/websocket.h"

static void set_deadline(struct hearer *h, enum audience_timer timer)
{
	audience_start_timer(h->audience, timer, h, &h->deadlines[timer]);
}

static void clear_deadline(struct hearer *h, enum audience_timer timer)
{
	audience_stop_timer(h->audience, timer, &h->deadlines[timer]);
}

static void clear_deadlines(struct hearer *h)
{
	for (enum audience_timer t = 0; t < _AUDIENCE_TIMER_N; t++)
		clear_deadline(h, t);
}

/* Its place is free for another. */
static void give_up_place(struct hearer *h)
{
	if (h->account)
		account_unlisten(h->account);
	h->account = NULL;
}

static int watch(struct hearer *h, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = audience_tag(h)};
	int what = h->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (h->is_watched && events == h->events)
		return 0;
	if (epoll_ctl(h->audience->epoll_fd, what, h->fd, &event) < 0)
		return -errno;
	h->is_watched = true;
	h->events = events;
	return 0;
}

static void unwatch(struct hearer *h)
{
	if (h->is_watched)
		epoll_ctl(h->audience->epoll_fd, EPOLL_CTL_DEL, h->fd, NULL);
	h->is_watched = false;
}

static void resume(struct hearer *h)
{
	if (h->is_suspended)
		MHD_resume_connection(h->mhd);
	h->is_suspended = false;
}

/* Lets go of the connection. */
void hearer_end(struct hearer *h)
{
	if (h->is_over)
		return;
	h->is_over = true;
	clear_deadlines(h);
	unwatch(h);
	give_up_place(h);
	if (h->handle)
		MHD_upgrade_action(h->handle, MHD_UPGRADE_ACTION_CLOSE);
	h->handle = NULL;
	resume(h);
}

struct hearer *hearer_new(struct audience *a, struct reply_events *e, struct caller *caller,
			  struct MHD_Connection *mhd, int fd)
{
	_cleanup_(freep) struct hearer *h = calloc(1, sizeof(*h));
	struct hearer *done;

	if (!h)
		return NULL;
	/* The host is told what it has missed; a guest is not given a stream with holes. */
	h->feed = feed_new(&a->box, e, !caller->instance, h);
	if (!h->feed)
		return NULL;
	h->audience = a;
	h->caller = caller;
	h->account = steal_ptr(&e->account);
	h->mhd = mhd;
	h->fd = fd;
	/* The host may take its time: a pager reads when somebody looks. */
	if (!caller->instance && mhd)
		MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
	DL_APPEND(a->hearers, h);
	done = steal_ptr(&h);
	return done;
}

struct hearer *hearer_free(struct hearer *h)
{
	if (!h)
		return NULL;
	/* The connection has ended: there is nothing to resume. */
	h->is_suspended = false;
	h->handle = NULL;
	hearer_end(h);
	DL_DELETE(h->audience->hearers, h);
	feed_free(h->feed);
	websocket_free(h->websocket);
	free(h);
	return NULL;
}

/* By what is in force now. */
static bool may_listen(const struct hearer *h)
{
	struct caller *caller = h->caller;
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	if (!caller->instance)
		return true;
	s = instance_snapshot(caller->instance);
	return route_guest_may_ask(s) && identity_confirm(h->audience->api->identity, caller) == 0;
}

static void count_sent(struct hearer *h, size_t n)
{
	if (h->caller->instance)
		instance_account(h->caller->instance)->n_bytes_sent += n;
}

ssize_t hearer_give(void *ctx, uint64_t position, char *bytes, size_t max)
{
	struct hearer *h = ctx;
	const char *lines;
	size_t n;
	int r;

	clear_deadline(h, AUDIENCE_WRITE);
	if (h->is_over)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (h->audience->is_closing || !may_listen(h))
		return MHD_CONTENT_READER_END_OF_STREAM;
	/* Before it is suspended, the client may have gone without anybody being told. */
	if (!h->is_watched && watch(h, EPOLLET) < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	r = feed_next(h->feed, &lines, &n);
	if (r == FEED_E_NOTHING) {
		h->is_suspended = true;
		MHD_suspend_connection(h->mhd);
		return 0;
	}
	if (r != 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n > max)
		n = max;
	memcpy(bytes, lines, n);
	feed_consume(h->feed, n);
	count_sent(h, n);
	/* The host's are told what they have missed meanwhile. */
	if (h->caller->instance)
		set_deadline(h, AUDIENCE_WRITE);
	return (ssize_t)n;
}

/* Why a websocket is to be closed now; 0: it is not. Else a line is on its way, unless there is none. */
static enum websocket_code send_line(struct hearer *h)
{
	const char *lines, *newline;
	size_t n;
	int r;

	if (h->n_sending > 0) {
		feed_consume(h->feed, h->n_sending);
		count_sent(h, h->n_sending);
		h->n_sending = 0;
	}
	if (h->audience->is_closing)
		return WEBSOCKET_GOING_AWAY;
	if (!may_listen(h))
		return WEBSOCKET_POLICY;
	r = feed_next(h->feed, &lines, &n);
	if (r == FEED_E_NOTHING)
		return 0;
	if (r != 0)
		return WEBSOCKET_POLICY;
	newline = memchr(lines, '\n', n);
	h->n_sending = newline ? (size_t)(newline + 1 - lines) : n;
	websocket_send(h->websocket, lines, h->n_sending);
	return 0;
}

/* The close has been begun or written. */
static void wind_up(struct hearer *h)
{
	give_up_place(h);
	clear_deadline(h, AUDIENCE_PING);
	clear_deadline(h, AUDIENCE_UNHEARD);
	if (websocket_is_closed(h->websocket) && !h->deadlines[AUDIENCE_LINGER].hearer)
		set_deadline(h, AUDIENCE_LINGER);
}

/* Writes what there is to a websocket, as much as it takes. */
static void converse(struct hearer *h)
{
	struct websocket *w = h->websocket;
	uint32_t events = EPOLLIN;
	int r;

	for (;;) {
		enum websocket_code why;

		r = websocket_write(w);
		if (r != 0 || !websocket_is_ready(w))
			break;
		why = send_line(h);
		if (why)
			websocket_close(w, why);
		else if (h->n_sending == 0)
			break;
	}
	if (websocket_is_closing(w))
		wind_up(h);
	if (r == WEBSOCKET_E_BLOCKED) {
		events |= EPOLLOUT;
		if (!h->deadlines[AUDIENCE_WRITE].hearer || websocket_n_written(w) != h->n_written)
			set_deadline(h, AUDIENCE_WRITE);
		h->n_written = websocket_n_written(w);
	} else {
		clear_deadline(h, AUDIENCE_WRITE);
	}
	if (r < 0 || watch(h, events) < 0)
		hearer_end(h);
}

void hearer_upgrade(void *ctx, struct MHD_Connection *mhd, void *request, const char *extra,
		    size_t n_extra, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
	struct hearer *h = ctx;

	h->handle = handle;
	h->websocket = websocket_new(fd);
	if (!h->websocket) {
		hearer_end(h);
		return;
	}
	set_deadline(h, AUDIENCE_PING);
	set_deadline(h, AUDIENCE_UNHEARD);
	websocket_ping(h->websocket);
	websocket_take(h->websocket, extra, n_extra);
	converse(h);
}

static void listen_to(struct hearer *h)
{
	bool has_spoken = false;

	if (websocket_read(h->websocket, &has_spoken) < 0) {
		hearer_end(h);
		return;
	}
	if (has_spoken && !websocket_is_closing(h->websocket))
		set_deadline(h, AUDIENCE_UNHEARD);
	converse(h);
}

void hearer_wake(struct hearer *h)
{
	if (h->is_over)
		return;
	if (h->websocket)
		converse(h);
	else
		resume(h);
}

void hearer_expire(struct hearer *h, enum audience_timer timer)
{
	if (timer == AUDIENCE_PING) {
		set_deadline(h, AUDIENCE_PING);
		websocket_ping(h->websocket);
		converse(h);
	} else if (h->websocket) {
		hearer_end(h);
	} else {
		/* The library notices the end and closes it in its next pass. */
		clear_deadline(h, timer);
		shutdown(h->fd, SHUT_RDWR);
	}
}

void hearer_event(struct hearer *h)
{
	if (h->websocket)
		listen_to(h);
	else
		hearer_end(h); /* the client has gone: nothing else is watched for */
}
