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
#include "core/identity.h"
#include "core/registry.h"
#include "core/settings.h"
#include "front/admin.h"
#include "core/diff.h"
#include "core/snapshot.h"
#include "front/http.h"
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
	struct settings settings;
	struct utsname host;
	struct registry *registry;
	struct identity *identity;
	struct store *store;
	struct front_stats guest_stats, admin_stats;
	struct api api;
	struct http_server *guest, *admin;
	_Atomic(struct treefront *) tree; /* NULL: there is none, or not yet */
};

/* Returns 0, START_E_LOGGED or -errno; as does make_state(). */
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
	if (r < 0) {
		log_error("cannot read \"%s\": %s", path.data, strerror(-r));
		return START_E_LOGGED;
	}
	r = settings_parse(&w->settings, text, n, &error);
	if (r == 0)
		return 0;
	log_error("%s:%s", path.data, error.len ? error.data : strerror(-r));
	return START_E_LOGGED;
}

static int make_state(const struct worker *w)
{
	static const char *const below[] = {"", "/instances", "/profiles", "/volatile"};

	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		_cleanup_(buf_finish) struct buf path = {0};
		int r;

		if (buf_printf(&path, "%s%s", w->options->state_dir, below[i]) < 0)
			return -ENOMEM;
		r = file_mkdirs(path.data, 0700);
		if (r < 0) {
			log_error("cannot make \"%s\": %s", path.data, strerror(-r));
			return START_E_LOGGED;
		}
	}
	return 0;
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

/* In the store's thread, or in the one that serves the admin. */
static void on_change(void *ctx, const struct diff *diff)
{
	struct worker *w = ctx;
	struct treefront *tree = w->tree;
	const struct snapshot *s = diff->new_snapshot ?: diff->old_snapshot;

	if (tree && s)
		treefront_changed(tree, snapshot_name(s));
}

static int open_store(struct worker *w)
{
	struct store_options options = {
		.conf_dir = w->options->conf_dir,
		.state_dir = w->options->state_dir,
		.settings = &w->settings,
		.observer = on_change,
		.observer_ctx = w,
	};
	int r;

	w->registry = registry_new();
	if (!w->registry)
		return -ENOMEM;
	r = identity_new(w->registry, w->settings.identity_cache, &w->identity);
	if (r < 0)
		return r;
	options.registry = w->registry;
	options.identity = w->identity;
	r = store_new(&options, &w->store);
	if (r < 0)
		return r;
	/* Parsing is over: its memory goes back. */
	malloc_trim(0);
	return 0;
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
		.listen_fd = w->fds->tree_listen_fd,
		.keeper_fd = w->fds->keeper_fd,
		.run_dir = w->options->run_dir,
		.source = {w->registry, w->identity, w->store, location_of(w)},
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
		.settings = &w->settings,
		.guest_stats = &w->guest_stats,
		.tree = w->api.tree,
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

static void *be_canary(void *arg)
{
	_Atomic int32_t *tid = arg;

	*tid = gettid();
	while (pause() < 0)
		continue;
	return NULL;
}

/*
 * A thread that does nothing but end when the process is killed. The process itself may not, while a guest holds
 * another of its threads in the kernel, and then nothing else tells the keeper.
 */
static int start_canary(const struct worker *w)
{
	pthread_t thread;
	int r;

	if (!w->tree)
		return 0;
	r = -pthread_create(&thread, NULL, be_canary, treefront_canary(w->tree));
	if (r == 0)
		pthread_detach(thread);
	return r;
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
	r = make_state(w);
	if (r != 0)
		return r;
	if (uname(&w->host) < 0)
		return -errno;
	r = open_store(w);
	if (r == 0)
		r = open_tree(w);
	if (r == 0)
		r = open_fronts(w);
	if (r == 0)
		r = start_canary(w);
	if (r == 0 && w->tree)
		r = treefront_start(w->tree, w->guest);
	/* From here on records may change. */
	return r == 0 ? store_start(w->store) : r;
}

/* What the keeper says; -EPIPE: it is gone. */
static int handle_keeper(const struct worker *w)
{
	struct channel_message m;
	int fd, r;

	while ((r = channel_receive(w->fds->keeper_fd, &m, &fd)) == 0) {
		if (w->tree)
			treefront_message(w->tree, &m, fd);
		else
			closep(&fd);
	}
	return r == -EAGAIN ? 0 : r;
}

/* Until a signal, or until the keeper is gone. Returns 0 or -errno. */
static int wait_for_end(const struct worker *w)
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
			r = handle_keeper(w);
	}
	return r == -EPIPE ? 0 : r;
}

static int tell_ready(const struct worker *w)
{
	return channel_send(w->fds->keeper_fd, (struct channel_message){.type = CHANNEL_READY}, -1);
}

static void worker_stop(struct worker *w)
{
	treefront_stop(w->tree);
	w->guest = http_free(w->guest);
	w->admin = http_free(w->admin);
}

int worker_run(const struct options *options, const struct worker_fds *fds)
{
	/* Not on the stack: the store's thread goes on while main() returns. */
	struct worker *w;
	int r = dir_init();

	if (r < 0) {
		log_error("cannot watch directories: %s; fs.inotify.max_user_instances may be too "
			  "low",
			  strerror(-r));
		return EXIT_FAILURE;
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		log_error("cannot start: no memory");
		return EXIT_FAILURE;
	}
	w->options = options;
	w->fds = fds;
	w->signal_fd = -1;
	r = start(w);
	if (r == 0)
		r = tell_ready(w);
	if (r == 0)
		r = wait_for_end(w);
	if (r < 0)
		log_error("cannot serve: %s", strerror(-r));
	worker_stop(w);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
