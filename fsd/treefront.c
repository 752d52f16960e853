/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tree as a front
 */
#include "treefront.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "api/unnamed.h"
#include "base/log.h"
#include "core/instance.h"
#include "core/lock.h"
#include "core/registry.h"
#include "core/snapshot.h"
#include "front/http.h"
#include "imagefiles.h"
#include "journal.h"
#include "loop.h"
#include "mount.h"
#include "ops.h"
#include "session.h"

/* How long the host's command waits for the kernel to be told: after that, it says whose guest holds it up. */
#define PATIENCE_US (1000 * 1000)

struct treefront {
	struct treefront_options options;
	struct source source;
	struct shared *shared;
	struct ops ops;
	struct session *session;
	struct journal *journal;
	struct loop *loop;
	struct imagefiles *images;
	pthread_mutex_t http_lock;
	struct http_server *http; /* NULL while not serving */
	bool is_listening;        /* on the socket for all */
	struct api_tree api;
	/* At the last treefront_gets_on(). */
	bool was_waiting;
	uint64_t n_before;
};

static void process(void *ctx, void *request, size_t n)
{
	struct treefront *t = ctx;

	session_process(t->session, request, n);
}

static void count_refused(void *ctx, uint32_t serial)
{
	struct treefront *t = ctx;
	_cleanup_(branch_unrefp) struct branch *b = branches_find(t->ops.branches, serial);

	t->ops.stats.n_refused++;
	if (b)
		instance_account(branch_instance(b))->n_refused_requests++;
}

static const struct shared_listener *find_listener(const struct treefront *t, uint32_t serial)
{
	for (size_t i = 0; i < SHARED_LISTENERS_MAX; i++) {
		const struct shared_listener *l = &t->shared->listeners[i];

		if (l->serial == serial && l->is_bound)
			return l;
	}
	return NULL;
}

static int ask_keeper(const struct treefront *t, enum channel_type type, uint32_t serial)
{
	return channel_send(t->options.keeper_fd,
			    (struct channel_message){.type = type, .serial = serial}, -1);
}

/* Asks the keeper; before the start, for what an earlier worker has not already got. */
static void want_socket(void *ctx, uint32_t serial, struct instance *i, bool wanted)
{
	struct treefront *t = ctx;
	LOCK_HOLD(&t->http_lock);
	int r;

	if (!t->http && wanted && find_listener(t, serial))
		return;
	if (!wanted && t->http)
		http_unlisten(t->http, i);
	r = ask_keeper(t, wanted ? CHANNEL_BIND : CHANNEL_UNBIND, serial);
	if (r < 0)
		log_full(LOG_LEVEL_WARNING, LOG_EVENT_NONE, instance_name(i),
			 "cannot ask the keeper for a socket of its own: %s", strerror(-r));
}

/* Takes over @fd. */
static void listen_on_own(struct treefront *t, uint32_t serial, int fd_consumed)
{
	_cleanup_(closep) int fd = fd_consumed;
	_cleanup_(branch_unrefp) struct branch *b = branches_find(t->ops.branches, serial);
	int r = -ENOENT;

	if (b) {
		LOCK_HOLD(&t->http_lock);

		r = t->http ? http_listen(t->http, fd, branch_instance(b)) : -ESHUTDOWN;
	}
	if (r == 0)
		(void)steal_fd(&fd);
	else if (r == -EEXIST) /* the keeper has said so twice */
		r = 0;
	else if (b)
		log_full(LOG_LEVEL_WARNING, LOG_EVENT_NONE, instance_name(branch_instance(b)),
			 "cannot listen on its own socket: %s", strerror(-r));
	/* One that an earlier worker asked for, and that is wanted no more, or whose instance is not even known. */
	if (!b)
		(void)ask_keeper(t, CHANNEL_UNBIND, serial);
	else if (!branches_own_socket(t->ops.branches, serial, r == 0))
		want_socket(t, serial, branch_instance(b), false);
}

static int listen_on_shared(struct treefront *t)
{
	int r;

	if (t->is_listening || !t->shared->is_socket_bound)
		return 0;
	r = http_listen(t->http, t->options.listen_fd, NULL);
	if (r < 0)
		return r;
	t->is_listening = true;
	branches_socket_bound(t->ops.branches);
	return 0;
}

void treefront_message(struct treefront *t, const struct channel_message *m, int fd_consumed)
{
	_cleanup_(closep) int fd = fd_consumed;
	int r = 0;

	if (m->type == CHANNEL_BOUND && m->serial == 0)
		r = listen_on_shared(t);
	else if (m->type == CHANNEL_BOUND && fd >= 0)
		listen_on_own(t, m->serial, steal_fd(&fd));
	else if (m->type == CHANNEL_FAILED)
		r = m->error;
	if (r < 0)
		log_error("a socket in the tree is not served: %s", strerror(-r));
}

struct stalled {
	const char *only; /* the instance that is asked about; NULL: all */
	json_t *names;
};

static void add_stalled(void *arg, const char *name)
{
	const struct stalled *s = arg;
	json_t *known;
	size_t i;

	if (s->only && !streq(s->only, name))
		return;
	json_array_foreach (s->names, i, known)
		if (streq(json_string_value(known), name))
			return;
	json_array_append_new(s->names, json_string(name));
}

static void settle(void *ctx, const char *name, json_t *names)
{
	struct treefront *t = ctx;
	struct stalled s = {name, names};

	branches_wait(t->ops.branches, PATIENCE_US, add_stalled, &s);
}

static void changed(void *ctx, const char *name)
{
	struct treefront *t = ctx;

	imagefiles_settle(t->images);
	treefront_changed(t, name);
}

/* Over all instances, whether anybody has looked at them or not. */
static size_t count_unnamed(struct registry *registry)
{
	struct instance **list = NULL;
	size_t n = 0, total = 0;

	(void)registry_list(registry, &list, &n);
	for (size_t i = 0; i < n; i++) {
		_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(list[i]);

		total += s ? unnamed_count(s) : 0;
	}
	registry_list_free(list, n);
	return total;
}

static json_t *status(void *ctx)
{
	struct treefront *t = ctx;
	struct branches_stats s;
	struct poke_stats pokes = {0};

	branches_count(t->ops.branches, &s);
	if (t->ops.poke)
		poke_count(t->ops.poke, &pokes);
	return json_pack(
		"{s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"socket", (int)t->shared->is_socket_bound, "resend",
		(int)mount_has_resend(t->shared), "passthrough",
		mount_has_passthrough(t->shared) && !t->shared->is_passthrough_off,
		"passed_through", (json_int_t)imagefiles_count_backed(t->images), "directories",
		(json_int_t)s.n_branches, "indexes", (json_int_t)s.n_indexes, "nodes",
		(json_int_t)s.n_nodes, "unnamed",
		(json_int_t)count_unnamed(t->options.source.registry), "kept_bytes",
		(json_int_t)s.n_kept_bytes, "stalled", (json_int_t)s.n_stalled, "waiting",
		(json_int_t)stream_stats(t->ops.stream)->n_waiting, "requests",
		(json_int_t)t->ops.stats.n_requests, "denied", (json_int_t)t->ops.stats.n_denied,
		"stale", (json_int_t)t->ops.stats.n_stale, "refused",
		(json_int_t)t->ops.stats.n_refused, "pokes", (json_int_t)pokes.n_sent,
		"pokes_failed", (json_int_t)pokes.n_failed, "pokes_dropped",
		(json_int_t)pokes.n_dropped);
}

static bool is_known(void *ctx, const char *name)
{
	struct treefront *t = ctx;

	return branches_knows(t->ops.branches, name);
}

static int open_backing(void *ctx, uint64_t node, int fd)
{
	const struct treefront *t = ctx;

	return asker_open_backing(t->options.asker, node, fd);
}

static void close_backing(void *ctx, uint64_t node)
{
	const struct treefront *t = ctx;
	int r = channel_send(t->options.keeper_fd,
			     (struct channel_message){.type = CHANNEL_BACKING_CLOSE, .id = node},
			     -1);

	if (r < 0)
		log_warn(
			"cannot tell the keeper that an image is gone, so it takes room on the disk "
			"until the daemon is restarted: %s",
			strerror(-r));
}

static int open_parts(struct treefront *t)
{
	struct branches_options options = {
		.source = &t->source,
		.hub = t->options.hub,
		.run_dir = t->options.run_dir,
		.fuse_fd = t->options.fuse_fd,
		.poke_fd = t->options.poke_fd,
		.want_socket = want_socket,
		.ctx = t,
	};
	struct imagefiles_options images = {
		.source = &t->source,
		.open_backing = open_backing,
		.close_backing = close_backing,
		.ctx = t,
	};
	int r = shared_map(t->options.shared_fd, &t->shared);

	if (r < 0)
		return r;
	options.shared = t->shared;
	source_images_init(&t->options.source.images, t->options.images);
	images.shared = t->shared;
	images.has_passthrough = mount_has_passthrough(t->shared);
	t->images = imagefiles_new(&images);
	if (!t->images)
		return -ENOMEM;
	options.images = t->images;
	t->ops.source = &t->source;
	t->ops.shared = t->shared;
	r = journal_new(t->options.journal_fd, &t->journal);
	if (r < 0)
		return r;
	t->ops.stream = stream_new(t->options.hub, t->options.settings, &t->source, t->journal);
	if (!t->ops.stream)
		return -ENOMEM;
	t->ops.generation = ++t->shared->n_workers;
	r = branches_new(&options, &t->ops.branches);
	if (r < 0)
		return r;
	t->ops.poke = branches_poke(t->ops.branches);
	return session_new(t->options.fuse_fd, t->shared, ops_table(), &t->ops, &t->session);
}

int treefront_new(const struct treefront_options *options, struct treefront **ret)
{
	struct treefront *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->options = *options;
	pthread_mutex_init(&t->http_lock, NULL);
	t->source = (struct source){source_local_ops(), &t->options.source};
	t->api = (struct api_tree){t, settle, changed, status, is_known};
	r = open_parts(t);
	if (r < 0) {
		log_error("cannot serve the tree: %s", strerror(-r));
		return r; /* and the process ends */
	}
	*ret = t;
	return 0;
}

int treefront_start(struct treefront *t, struct http_server *http)
{
	struct loop_options options = {
		.fuse_fd = t->options.fuse_fd,
		.journal = t->journal,
		.n_threads = t->options.n_threads,
		.process = process,
		.refused = count_refused,
		.ctx = t,
	};
	int r;

	t->http = http;
	r = listen_on_shared(t);
	for (size_t i = 0; i < SHARED_LISTENERS_MAX && r == 0; i++) {
		const struct shared_listener *l = &t->shared->listeners[i];

		if (!l->serial || !l->is_bound)
			continue;
		if (fcntl(l->fd, F_SETFD, FD_CLOEXEC) == 0)
			listen_on_own(t, l->serial, l->fd);
	}
	if (r < 0)
		return r;
	/* What an earlier worker has read and did not live to answer. */
	options.is_taking_up = !mount_has_resend(t->shared) || loop_resend(t->options.fuse_fd) < 0;
	return loop_new(&options, &t->loop);
}

void treefront_leave_http(struct treefront *t)
{
	if (!t)
		return;
	LOCK_HOLD(&t->http_lock);
	t->http = NULL;
}

void treefront_stop(struct treefront *t)
{
	if (t)
		t->loop = loop_free(t->loop);
}

bool treefront_gets_on(struct treefront *t)
{
	struct pollfd mount = {.fd = t->options.fuse_fd, .events = POLLIN};
	bool was_waiting = t->was_waiting;
	uint64_t before = t->n_before;

	t->was_waiting = poll(&mount, 1, 0) == 1 && (mount.revents & POLLIN);
	t->n_before = t->ops.stats.n_requests;
	return !was_waiting || !t->was_waiting || t->n_before != before;
}

void treefront_changed(struct treefront *t, const char *name)
{
	branches_changed(t->ops.branches, name);
}

void treefront_was(struct treefront *t, struct snapshot *s)
{
	struct source_view *view = source_local_view(s);

	if (view)
		branches_was(t->ops.branches, snapshot_name(s), view);
}

const struct api_tree *treefront_api(struct treefront *t)
{
	return &t->api;
}
