/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Worker: the process that serves guests
 *
 * Assembly only. The order matters: libinotifytools first, because it waits
 * with select() and its descriptor must be a small number; the store before
 * the fronts, because a guest must never be answered from half a store; the tree last, because it
 * needs the HTTP server for its sockets. The store's thread lives as long as the process, so what it
 * uses is not freed.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "api/guest.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "cage.h"
#include "canary.h"
#include "core/hub.h"
#include "core/images.h"
#include "core/identity.h"
#include "core/registry.h"
#include "core/settings.h"
#include "front/admin.h"
#include "core/diff.h"
#include "core/snapshot.h"
#include "front/http.h"
#include "login.h"
#include "journal.h"
#include "keeperlink.h"
#include "runwatch.h"
#include "shared.h"
#include "store/dir.h"
#include "store/store.h"
#include "treefront.h"

#define SETTINGS_MAX     (1024 * 1024)
#define THREADS_MAX      4
#define TREE_THREADS_MAX 4

enum {
	_START_E_SUCCESS,
	START_E_LOGGED, /* failed, and the log says why */
};

struct worker {
	const struct options *options;
	const struct worker_fds *fds;
	int signal_fd;
	struct login account; /* that this process has become */
	struct settings settings;
	struct utsname host;
	struct registry *registry;
	struct images *images;
	struct identity *identity;
	_Atomic(struct hub *) hub; /* NULL: not yet */
	struct runwatch *runs;     /* NULL: not yet */
	struct store *store;
	struct front_stats guest_stats, admin_stats;
	struct api api;
	struct http_server *guest, *admin;
	struct keeperlink keeper;
	struct shared *shared;    /* NULL: there is none */
	struct snapshot **before; /* until the tree knows */
	size_t n_before;
	_Atomic(struct treefront *) tree; /* NULL: there is none, or not yet */
};

/* Returns 0, START_E_LOGGED or -errno. */
static int load_settings(struct worker *w)
{
	_cleanup_(buf_finish) struct buf path = {0}, error = {0};
	_cleanup_(freep) char *text = NULL;
	size_t n;
	int r;

	settings_init(&w->settings);
	if (buf_printf(&path, "%s/devlxdfsd.conf", w->options->conf_dir) < 0)
		return -ENOMEM;
	r = file_read(AT_FDCWD, path.data, SETTINGS_MAX, &text, &n);
	if (r == -ENOENT)
		return 0;
	if (r == -EACCES)
		log_error("cannot read \"%s\": %s; let the daemon read it, and enter those above "
			  "it: chgrp %s %s && chmod g+r %s",
			  path.data, strerror(-r), w->account.group, path.data, path.data);
	else if (r < 0)
		log_error("cannot read \"%s\": %s", path.data, strerror(-r));
	if (r < 0)
		return START_E_LOGGED;
	r = settings_parse(&w->settings, text, n, &error);
	if (r == 0)
		return 0;
	log_error("%s:%s", path.data, error.len ? error.data : strerror(-r));
	return START_E_LOGGED;
}

/* Every guest may hold its share of connections: take what the system allows. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int block_signals(struct worker *w)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	w->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return w->signal_fd < 0 ? -errno : 0;
}

static void show(void *ctx, const char *name)
{
	const struct worker *w = ctx;
	struct treefront *tree = w->tree;

	if (tree)
		treefront_changed(tree, name);
}

/* In the store's thread, or in the one that serves the admin. */
static void on_change(void *ctx, const struct diff *diff)
{
	struct worker *w = ctx;
	const struct snapshot *s = diff->new_snapshot ?: diff->old_snapshot;

	/* What is there when the worker starts is no event. */
	if (w->hub && s)
		hub_changed(w->hub, diff, show, w);
	if (w->runs && s)
		runwatch_changed(w->runs, snapshot_name(s));
	/* Its guest may run already, and wait for it. */
	if (w->hub && !diff->old_snapshot)
		(void)keeperlink_tell(&w->keeper, CHANNEL_GUESTS);
}

static void tell(struct worker *w, enum lifecycle action, const char *name, const char *reason)
{
	if (w->hub)
		hub_lifecycle(w->hub, action, name, reason);
}

static void on_run(void *ctx, const char *name, bool is_running)
{
	const struct worker *w = ctx;

	tell(ctx, is_running ? LIFECYCLE_STARTED : LIFECYCLE_STOPPED, name, NULL);
	if (!is_running)
		(void)keeperlink_tell(&w->keeper, CHANNEL_GUESTS);
}

static void on_ready(void *ctx, const char *name)
{
	tell(ctx, LIFECYCLE_READY, name, NULL);
}

static void on_bound(void *ctx, const char *name)
{
	struct worker *w = ctx;

	if (w->runs)
		runwatch_changed(w->runs, name);
}

/* A guest that has ended before it was watched does not stop. */
static void on_watched(void *ctx, const char *name)
{
	struct worker *w = ctx;

	(void)keeperlink_tell(&w->keeper, CHANNEL_GUESTS);
}

static void on_rejected(void *ctx, const char *name, const char *reason)
{
	tell(ctx, LIFECYCLE_RECORD_REJECTED, name, reason);
}

static const struct store_listener listener = {
	.ready = on_ready,
	.bound = on_bound,
	.rejected = on_rejected,
};

/* Of an instance that changed while no worker served: the tree is to know, once there is one. */
static void remember(void *ctx, struct snapshot *s)
{
	struct worker *w = ctx;
	struct snapshot **more = reallocarray(w->before, w->n_before + 1, sizeof(*more));

	if (!more)
		return;
	w->before = more;
	w->before[w->n_before++] = snapshot_ref(s);
}

static void tell_tree_of_before(struct worker *w)
{
	for (size_t i = 0; i < w->n_before; i++) {
		if (w->tree)
			treefront_was(w->tree, w->before[i]);
		snapshot_unref(w->before[i]);
	}
	free(w->before);
	w->before = NULL;
	w->n_before = 0;
}

/* Events are kept in the shared state, or, where there is none, as long as the worker lives. */
static int open_hub(struct worker *w)
{
	const struct hub_options options = {
		.fd = w->fds->shared_fd,
		.offset = shared_size(),
		.window = w->settings.event_window_bytes,
	};
	struct hub *hub;
	int r = hub_new(&options, &hub);

	if (r < 0)
		return r;
	w->hub = hub;
	w->keeper.hub = hub;
	return hub_take_up(hub, w->registry, remember, w);
}

/* Guests are served without those that cannot be read. */
static int open_images(struct worker *w)
{
	_cleanup_(buf_finish) struct buf complaints = {0};
	int r;

	w->images = images_new(w->options->state_dir);
	if (!w->images)
		return -ENOMEM;
	r = images_load(w->images, NULL, &complaints);
	if (complaints.len)
		log_warn("%.*s", (int)complaints.len - 1, complaints.data);
	if (r < 0)
		log_warn("cannot read the images, so there are none: %s", strerror(-r));
	return r == -ENOMEM ? r : 0;
}

static int open_store(struct worker *w)
{
	struct store_options options = {
		.conf_dir = w->options->conf_dir,
		.state_dir = w->options->state_dir,
		.group = w->account.group,
		.settings = &w->settings,
		.observer = on_change,
		.observer_ctx = w,
		.listener = &listener,
		.is_trial = w->options->trial,
	};
	int r;

	w->registry = registry_new();
	if (!w->registry)
		return -ENOMEM;
	r = identity_new(w->registry, w->settings.identity_cache, &w->identity);
	if (r < 0)
		return r;
	identity_set_opener(w->identity, asker_open_cgroup, &w->keeper.asker);
	options.registry = w->registry;
	options.identity = w->identity;
	r = store_new(&options, &w->store);
	if (r < 0)
		return r;
	r = open_images(w);
	/* Parsing is over: its memory goes back. */
	malloc_trim(0);
	return r;
}

static unsigned n_threads(const struct settings *s)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (s->threads)
		return s->threads;
	return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
}

static const char *location_of(const struct worker *w)
{
	return w->settings.location ? w->settings.location : w->host.nodename;
}

/* Returns 0, START_E_LOGGED or -errno. */
static int open_tree(struct worker *w)
{
	struct treefront_options options = {
		.fuse_fd = w->fds->fuse_fd,
		.shared_fd = w->fds->shared_fd,
		.journal_fd = w->fds->journal_fd,
		.listen_fd = w->fds->tree_listen_fd,
		.keeper_fd = w->fds->keeper_fd,
		.poke_fd = w->fds->poke_fd,
		.asker = &w->keeper.asker,
		.run_dir = w->options->run_dir,
		.source = {w->registry, w->identity, w->store, location_of(w)},
		.images = w->images,
		.hub = w->hub,
		.settings = &w->settings,
	};
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	struct treefront *tree;

	if (w->fds->fuse_fd < 0)
		return 0;
	/* One more than processors: of an instance's requests one is never served (fairness.h). */
	options.n_threads = n < 2 ? 2 : n >= TREE_THREADS_MAX ? TREE_THREADS_MAX : (unsigned)n + 1;
	if (treefront_new(&options, &tree) < 0)
		return START_E_LOGGED;
	w->tree = tree;
	w->keeper.tree = tree;
	w->api.tree = treefront_api(tree);
	return 0;
}

static int open_fronts(struct worker *w)
{
	struct http_options options = {
		.name = "guest",
		.listen_fd = w->fds->guest_listen_fd,
		.trust = HTTP_GUEST,
		.routes = guest_routes(),
		.api = &w->api,
		.n_threads = n_threads(&w->settings),
		.stats = &w->guest_stats,
	};
	struct timespec now;
	int r;

	clock_gettime(CLOCK_REALTIME, &now);
	w->api = (struct api){
		.store = w->store,
		.registry = w->registry,
		.identity = w->identity,
		.hub = w->hub,
		.images = w->images,
		.settings = &w->settings,
		.guest_stats = &w->guest_stats,
		.tree = w->api.tree,
		.keeper = &w->keeper.api,
		.location = location_of(w),
		.started_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000,
	};
	r = http_new(&options, &w->guest);
	if (r < 0)
		return r;
	options.name = "admin";
	options.listen_fd = w->fds->admin_listen_fd;
	options.trust = HTTP_ADMIN;
	options.routes = admin_routes();
	options.n_threads = 1;
	options.stats = &w->admin_stats;
	return http_new(&options, &w->admin);
}

/* The first process of all is there, and is root's. */
static void warn_of_hidepid(const struct worker *w)
{
	if (access("/proc/1/cgroup", R_OK) < 0)
		log_warn("the processes of guests cannot be seen: /proc hides them; mount it "
			 "without hidepid, or with gid=%u for the group \"%s\"",
			 w->account.gid, w->account.group);
}

static int start(struct worker *w)
{
	int r;

	umask(077);
	raise_descriptors();
	r = block_signals(w);
	if (r < 0)
		return r;
	r = load_settings(w);
	if (r != 0)
		return r;
	warn_of_hidepid(w);
	if (uname(&w->host) < 0)
		return -errno;
	r = canary_start(w->shared, &w->keeper);
	if (r == 0)
		r = open_store(w);
	if (r == 0)
		r = open_hub(w);
	if (r == 0)
		r = runwatch_new(w->registry, on_run, on_watched, w, &w->runs);
	if (r == 0)
		r = open_tree(w);
	tell_tree_of_before(w);
	if (r == 0)
		r = open_fronts(w);
	if (r == 0 && w->tree)
		r = treefront_start(w->tree, w->guest);
	/* From here on records may change. */
	return r == 0 ? store_start(w->store) : r;
}

/* Until a signal, or until the keeper is gone. Returns 0 or -errno. */
static int wait_for_end(struct worker *w)
{
	_cleanup_(closep) int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	int r = 0;

	event.data.fd = w->signal_fd;
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->signal_fd, &event) < 0)
		return -errno;
	event.data.fd = w->fds->keeper_fd;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->fds->keeper_fd, &event) < 0)
		return -errno;
	while (r == 0) {
		int n = epoll_wait(epoll_fd, &event, 1, -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 1 && event.data.fd == w->signal_fd)
			return 0;
		if (n == 1)
			r = keeperlink_handle(&w->keeper);
	}
	return r == -EPIPE ? 0 : r;
}

/* The tree last: connections may take two seconds to come to an end, and nobody who reads a file is to wait for another guest's. */
static void worker_stop(struct worker *w)
{
	treefront_leave_http(w->tree);
	w->guest = http_free(w->guest);
	w->admin = http_free(w->admin);
	treefront_stop(w->tree);
}

/* Returns 0, or -errno, and the log says why. */
static int enter_cage(const struct options *o, struct login *ret_account)
{
	const struct cage cage = {ret_account, o->state_dir, o->run_dir};
	int r = login_find(o->user, ret_account);

	if (r < 0)
		log_error("cannot find the account \"%s\": %s", o->user ?: LOGIN_DEFAULT,
			  strerror(-r));
	return r < 0 ? r : cage_enter(&cage);
}

/* In its cage, and zeroed but for what it is made of; NULL: cannot be, and the log says why. */
static struct worker *worker_new(const struct options *options, const struct worker_fds *fds)
{
	/* Not on the stack: the store's thread goes on while main() returns. */
	struct worker *w;
	struct login account;
	int r = enter_cage(options, &account);

	if (r < 0)
		return NULL;
	r = dir_init();
	if (r < 0) {
		log_error("cannot watch directories: %s; fs.inotify.max_user_instances may be too "
			  "low",
			  strerror(-r));
		return NULL;
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		log_error("cannot start: no memory");
		return NULL;
	}
	w->options = options;
	w->fds = fds;
	w->account = account;
	w->signal_fd = -1;
	keeperlink_init(&w->keeper, fds->keeper_fd);
	return w;
}

/* What is wrong with the memory is said when the tree is opened. What the worker logs last is the keeper's to repeat. */
static void map_shared(struct worker *w)
{
	if (w->fds->shared_fd >= 0 && shared_map(w->fds->shared_fd, &w->shared) == 0)
		log_keep_tail(&w->shared->log_tail);
}

int worker_run(const struct options *options, const struct worker_fds *fds)
{
	struct worker *w = worker_new(options, fds);
	int r;

	if (!w)
		return EXIT_FAILURE;
	prctl(PR_SET_NAME, "devlxdfs-worker");
	map_shared(w);
	r = start(w);
	if (r == 0)
		r = keeperlink_tell(&w->keeper, CHANNEL_READY);
	if (r == 0)
		r = wait_for_end(w);
	if (r < 0)
		log_error("cannot serve: %s", strerror(-r));
	worker_stop(w);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Whether what the worker that serves has in memory is understood; only looks at it. */
static int try_shared(const struct worker *w)
{
	_cleanup_(shared_freep) struct shared *shared = NULL;
	int r = shared_map(w->fds->shared_fd, &shared);

	if (r == 0)
		r = eventlog_check(w->fds->shared_fd, shared_size());
	if (r == 0)
		r = journal_check(w->fds->journal_fd);
	if (r == 0)
		return 0;
	log_error("cannot take over from the daemon that runs: %s",
		  r == -EINVAL ? "it keeps its state in another way; restart it" : strerror(-r));
	return START_E_LOGGED;
}

int worker_try(const struct options *options, const struct worker_fds *fds)
{
	struct worker *w = worker_new(options, fds);
	int r;

	if (!w)
		return EXIT_FAILURE;
	r = load_settings(w);
	if (r == 0 && fds->shared_fd >= 0)
		r = try_shared(w);
	if (r == 0)
		r = open_store(w);
	if (r < 0)
		log_error("cannot serve: %s", strerror(-r));
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
