/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP threads
 *
 * The loop of each: refused connections, then new ones (a bounded batch, of which
 * each listener with callers has its share), then one pass of libmicrohttpd.
 * Without work it sleeps in epoll_wait(); every timeout is computed from a list in
 * order of its deadlines. When descriptors run out it stops accepting until one of
 * its connections ends or a moment has passed: clients then wait in the listeners'
 * queues, which is what they would do anyway.
 */
#include "front/http.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/sock.h"
#include "core/hub.h"
#include "core/registry.h"
#include "core/settings.h"
#include "front/conn.h"
#include "front/listener.h"
#include "front/refuse.h"

#define ACCEPT_BATCH  16
#define EVENTS_A_TURN 64
#define PAUSE_US      (100 * 1000)
#define DRAIN_US      (2 * 1000 * 1000)

struct http_thread {
	struct http_server *server;
	pthread_t id;
	bool is_started;
	bool is_stopping;
	int epoll_fd;
	int waiting_fd; /* accepted when there was no descriptor left to look at its peer; else -1 */
	struct listener_seat seat; /* not watching: stopping, or paused for want of descriptors */
	uint64_t pause_until_us;
	uint64_t n_ended_at_pause;
	struct conn_home home;
	struct refuse_list refused;
};

struct http_server {
	struct http_options options;
	int stop_fd;
	struct listeners listeners;
	struct log_limit identity_log, limit_log, trouble_log; /* shared by the threads */
	unsigned n_threads;
	struct http_thread threads[];
};

/* What an epoll event is about, by address; a listener's has a number, a hearer's a bit more; any other pointer is a struct refused. */
enum {
	TAG_LIBRARY,
	TAG_STOP,
	_TAG_N
};
static const int tags[_TAG_N]; /* their addresses are even, unlike a listener's number */

static int watch(int epoll_fd, int fd, int tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = (void *)&tags[tag]};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Why nobody is recognised: who came by mount was not looked for among the cgroups. */
static const char *reason_of(int outcome, const struct caller *caller)
{
	return caller->by_mount && outcome == IDENTITY_E_UNKNOWN
		       ? "no record in force says match.mount for this socket"
		       : identity_reason(outcome);
}

/* To who listens on the host, as often as it is logged. */
static void tell_host(struct http_server *h, enum lifecycle what, const char *name,
		      const char *reason)
{
	if (h->options.api->hub)
		hub_lifecycle(h->options.api->hub, what, name, reason);
}

static void refuse_caller(struct http_thread *t, int fd, int outcome, struct caller *caller)
{
	struct http_server *h = t->server;
	struct front_stats *stats = h->options.stats;
	const char *name = caller->instance ? instance_name(caller->instance) : NULL;
	enum refusal why = REFUSE_UNKNOWN;

	if (outcome < 0) {
		stats->n_own_trouble++;
		why = REFUSE_TROUBLE;
		log_limited(&h->trouble_log, LOG_EVENT_NONE, name,
			    "cannot find out who process %d is: %s", caller->pid,
			    strerror(-outcome));
	} else {
		if (outcome == IDENTITY_E_NOT_ROOT) {
			stats->n_not_root++;
			instance_account(caller->instance)->n_not_root++;
			why = REFUSE_NOT_ROOT;
		} else if (outcome == IDENTITY_E_CONFLICT) {
			stats->n_conflict++;
		} else if (outcome == IDENTITY_E_GONE) {
			stats->n_gone++;
		} else {
			stats->n_unknown++;
		}
		if (log_limited(&h->identity_log, LOG_EVENT_IDENTITY_REFUSED, name,
				"refused process %d, uid %u, cgroup %s: %s", caller->pid,
				caller->uid, caller->cgroup_path ? caller->cgroup_path : "unknown",
				reason_of(outcome, caller)))
			tell_host(h, LIFECYCLE_IDENTITY_REFUSED, name, reason_of(outcome, caller));
	}
	refuse_connection(&t->refused, fd, why);
}

/* Descriptors have run out: clients wait in the listeners' queues. */
static void pause_accepting(struct http_thread *t, int error)
{
	t->server->options.stats->n_own_trouble++;
	log_limited(&t->server->trouble_log, LOG_EVENT_LIMIT_REACHED, NULL,
		    "cannot accept, clients wait: %s", strerror(error));
	listener_pause(&t->server->listeners, &t->seat);
	t->pause_until_us = now_us() + PAUSE_US;
	t->n_ended_at_pause = t->home.n_ended;
}

static void resume_accepting(struct http_thread *t)
{
	/* What fails cannot be retried by an event: try again after the next pause. */
	listener_resume(&t->server->listeners, &t->seat);
	t->pause_until_us = now_us() + PAUSE_US;
}

/* Whether the connection is served from now on; as admit_admin(). @own: whose own listener it came by, or NULL. */
static bool admit_guest(struct http_thread *t, int fd_consumed, struct instance *own)
{
	struct http_server *h = t->server;
	const struct api *api = h->options.api;
	_cleanup_(closep) int fd = fd_consumed;
	_cleanup_(caller_finish) struct caller caller = {0};
	int r = own ? identity_mount(api->identity, fd, own, &caller)
		    : identity_peer(api->identity, fd, &caller);

	/* By mount no descriptor is needed, and who waits is not known to have come so. */
	if (!own && (r == -EMFILE || r == -ENFILE)) {
		t->waiting_fd = steal_fd(&fd);
		pause_accepting(t, -r);
		return false;
	}
	if (r != 0) {
		refuse_caller(t, steal_fd(&fd), r, &caller);
		return false;
	}
	if (!account_connect(instance_account(caller.instance), api->settings)) {
		h->options.stats->n_limited++;
		if (log_limited(&h->limit_log, LOG_EVENT_LIMIT_REACHED,
				instance_name(caller.instance),
				"has its %u connections open, refusing more",
				api->settings->max_connections))
			tell_host(h, LIFECYCLE_LIMIT_REACHED, instance_name(caller.instance),
				  "too many connections");
		refuse_connection(&t->refused, steal_fd(&fd), REFUSE_LIMIT);
		return false;
	}
	h->options.stats->n_accepted++;
	r = conn_add(&t->home, steal_fd(&fd), &caller);
	if (r < 0) {
		h->options.stats->n_own_trouble++;
		log_limited(&h->trouble_log, LOG_EVENT_NONE, NULL, "dropped a connection: %s",
			    strerror(-r));
	}
	return r == 0;
}

static bool admit_admin(struct http_thread *t, int fd_consumed)
{
	_cleanup_(closep) int fd = fd_consumed;
	struct caller nobody = {0};
	uid_t uid;
	pid_t pid;

	/* The mode of the socket keeps others out; this holds when somebody widened it. */
	if (identity_peer_uid(fd, &uid, &pid) < 0 || uid != 0)
		return false;
	t->server->options.stats->n_accepted++;
	return conn_add(&t->home, steal_fd(&fd), &nobody) == 0;
}

static bool admit(struct http_thread *t, int fd_consumed, struct instance *own)
{
	return t->server->options.trust == HTTP_GUEST ? admit_guest(t, fd_consumed, own)
						      : admit_admin(t, fd_consumed);
}

/*
 * Until one is admitted, whose request is probably there to be answered; those
 * who are refused are dealt with in batches, being many when somebody floods us.
 */
static void accept_some(struct http_thread *t, const void *listener, int n_tries)
{
	bool is_admitted = false;

	for (int i = 0; i < n_tries && t->seat.is_watching && !is_admitted; i++) {
		_cleanup_(instance_unrefp) struct instance *own = NULL;
		int fd = listener_accept(&t->server->listeners, listener, &own);

		if (fd >= 0)
			is_admitted = admit(t, fd, own);
		else if (fd == -EAGAIN)
			return;
		else if (fd != -EINTR && fd != -ECONNABORTED)
			pause_accepting(t, -fd);
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Does what has become due and returns how long epoll_wait() may wait. The
 * clock is only read when some list has a deadline.
 */
static int expire(struct http_thread *t)
{
	bool is_paused = !t->seat.is_watching && !t->is_stopping;
	uint64_t now, next = UINT64_MAX;
	int ms = conn_timeout_ms(&t->home);

	if (!t->home.silent && !t->refused.oldest && !is_paused && !t->home.downloads.first &&
	    !audience_has_deadlines(&t->home.audience))
		return ms;
	now = now_us();
	/* When descriptors are short, who says nothing makes room early. */
	next = earlier(conn_expire(&t->home, now, is_paused ? PAUSE_US : UINT64_MAX),
		       refuse_expire(&t->refused, now));
	next = earlier(next, audience_expire(&t->home.audience, now));
	next = earlier(next, download_expire(&t->home.downloads, now));
	if (is_paused && (now >= t->pause_until_us || t->home.n_ended != t->n_ended_at_pause))
		resume_accepting(t);
	if (is_paused && !t->seat.is_watching)
		next = earlier(next, t->pause_until_us);
	if (t->waiting_fd >= 0 && t->seat.is_watching)
		return 0;
	if (next != UINT64_MAX && (ms < 0 || next < now + (uint64_t)ms * 1000))
		ms = (int)((next - now + 999) / 1000);
	return ms;
}

/* One pass of the loop, waiting for at most @ms. */
static void turn_loop(struct http_thread *t, int ms)
{
	struct epoll_event events[EVENTS_A_TURN];
	int n = epoll_wait(t->epoll_fd, events, EVENTS_A_TURN, ms), n_listeners = 0;

	/* Refused ones first: accepting may free the oldest of them. */
	for (int i = 0; i < n; i++) {
		void *tag = events[i].data.ptr;

		if (listener_is_event(tag))
			n_listeners++;
		else if (tag == &tags[TAG_STOP])
			t->is_stopping = true;
		else if (audience_is_event(tag))
			audience_event(&t->home.audience, tag);
		else if (tag != &tags[TAG_LIBRARY])
			refuse_event(&t->refused, tag);
	}
	if (t->waiting_fd >= 0 && t->seat.is_watching)
		admit(t, steal_fd(&t->waiting_fd), NULL);
	/* Of more than fit into @events, the kernel gives those that did not first next time. */
	for (int i = 0; i < n; i++) {
		if (listener_is_event(events[i].data.ptr))
			accept_some(t, events[i].data.ptr, ACCEPT_BATCH / (n_listeners ?: 1) ?: 1);
	}
	conn_run(&t->home);
}

static void *serve(void *arg)
{
	struct http_thread *t = arg;
	uint64_t deadline;

	pthread_setname_np(pthread_self(), t->server->options.name);
	while (!t->is_stopping)
		turn_loop(t, expire(t));

	/* What has been accepted or begun is finished, but nobody is waited for long. */
	listener_pause(&t->server->listeners, &t->seat);
	conn_close(&t->home);
	epoll_ctl(t->epoll_fd, EPOLL_CTL_DEL, t->server->stop_fd, NULL);
	deadline = now_us() + DRAIN_US;
	for (;;) {
		uint64_t now = now_us();
		int ms = expire(t);

		if (now >= deadline ||
		    (t->home.n_busy == 0 && !t->home.silent && !t->refused.oldest))
			return NULL;
		if (ms < 0 || (uint64_t)ms * 1000 > deadline - now)
			ms = (int)((deadline - now + 999) / 1000);
		turn_loop(t, ms);
	}
}

static int thread_start(struct http_server *h, struct http_thread *t)
{
	const struct settings *s = h->options.api->settings;
	int r;

	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll_fd < 0)
		return -errno;
	t->refused.epoll_fd = t->epoll_fd;
	t->refused.max = s->max_refused / h->n_threads ?: 1;
	t->home.options = &h->options;
	r = audience_init(&t->home.audience, h->options.api, t->epoll_fd);
	if (r < 0)
		return r;
	r = conn_start(&t->home);
	if (r < 0)
		return r;
	r = watch(t->epoll_fd,
		  MHD_get_daemon_info(t->home.daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
		  TAG_LIBRARY);
	if (r < 0)
		return r;
	r = watch(t->epoll_fd, h->stop_fd, TAG_STOP);
	if (r < 0)
		return r;
	t->seat.epoll_fd = t->epoll_fd;
	listener_enter(&h->listeners, &t->seat);
	r = pthread_create(&t->id, NULL, serve, t);
	if (r != 0)
		return -r;
	t->is_started = true;
	return 0;
}

struct http_server *http_free(struct http_server *h)
{
	if (!h)
		return NULL;
	if (h->stop_fd >= 0)
		eventfd_write(h->stop_fd, 1);
	for (unsigned i = 0; i < h->n_threads; i++) {
		struct http_thread *t = &h->threads[i];

		if (t->is_started)
			pthread_join(t->id, NULL);
		conn_stop(&t->home);
		audience_finish(&t->home.audience);
		refuse_finish(&t->refused);
		closep(&t->waiting_fd);
		closep(&t->epoll_fd);
	}
	listeners_finish(&h->listeners);
	closep(&h->stop_fd);
	free(h);
	return NULL;
}
DEFINE_CLEANUP(struct http_server *, http_free);

int http_new(const struct http_options *options, struct http_server **ret)
{
	_cleanup_(http_freep) struct http_server *h = NULL;
	int r;

	h = calloc(1, sizeof(*h) + options->n_threads * sizeof(h->threads[0]));
	if (!h)
		return -ENOMEM;
	h->options = *options;
	h->n_threads = options->n_threads;
	listeners_init(&h->listeners);
	for (unsigned i = 0; i < h->n_threads; i++) {
		h->threads[i].server = h;
		h->threads[i].epoll_fd = -1;
		h->threads[i].waiting_fd = -1;
		h->threads[i].home.audience.box.event_fd = -1;
	}
	h->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->stop_fd < 0)
		return -errno;
	for (unsigned i = 0; i < h->n_threads; i++) {
		r = thread_start(h, &h->threads[i]);
		if (r < 0)
			return r;
	}
	r = options->listen_fd < 0 ? 0
				   : listener_add(&h->listeners, options->listen_fd, true, NULL);
	if (r < 0)
		return r;
	*ret = steal_ptr(&h);
	return 0;
}

int http_listen(struct http_server *h, int fd, struct instance *instance)
{
	assert(!instance || h->options.trust == HTTP_GUEST);
	return listener_add(&h->listeners, fd, false, instance);
}

void http_unlisten(struct http_server *h, struct instance *instance)
{
	listener_remove(&h->listeners, instance);
}
