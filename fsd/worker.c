/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Worker: the process that serves guests
 *
 * Assembly only. The order matters: libinotifytools first, because it waits
 * with select() and its descriptor must be a small number; the store before
 * the fronts, because a guest must never be answered from half a store. The
 * store's thread lives as long as the process, so what it uses is not freed.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
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
#include "front/http.h"
#include "store/dir.h"
#include "store/store.h"

#define SETTINGS_MAX (1024 * 1024)
#define THREADS_MAX  4

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

static int open_store(struct worker *w)
{
	struct store_options options = {
		.conf_dir = w->options->conf_dir,
		.state_dir = w->options->state_dir,
		.settings = &w->settings,
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
	return store_start(w->store);
}

static unsigned n_threads(const struct settings *s)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (s->threads)
		return s->threads;
	return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
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

	if (uname(&w->host) < 0)
		return -errno;
	clock_gettime(CLOCK_REALTIME, &now);
	w->api = (struct api){
		.store = w->store,
		.registry = w->registry,
		.identity = w->identity,
		.settings = &w->settings,
		.guest_stats = &w->guest_stats,
		.location = w->settings.location ? w->settings.location : w->host.nodename,
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
	r = open_store(w);
	return r < 0 ? r : open_fronts(w);
}

/* Until a signal, or until the keeper is gone. Returns 0 or -errno. */
static int wait_for_end(const struct worker *w)
{
	_cleanup_(closep) int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};

	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->signal_fd, &event) < 0)
		return -errno;
	if (w->fds->keeper_fd >= 0 &&
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->fds->keeper_fd, &event) < 0)
		return -errno;
	while (epoll_wait(epoll_fd, &event, 1, -1) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static void worker_stop(struct worker *w)
{
	w->guest = http_free(w->guest);
	w->admin = http_free(w->admin);
}

int worker_run(const struct options *options, const struct worker_fds *fds,
	       int (*on_ready)(void *ctx), void *ctx)
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
	if (r == 0 && on_ready)
		r = on_ready(ctx);
	if (r == 0 && fds->keeper_fd >= 0 && send(fds->keeper_fd, "ready", 5, MSG_NOSIGNAL) < 0)
		r = -errno;
	if (r == 0)
		r = wait_for_end(w);
	if (r < 0)
		log_error("cannot serve: %s", strerror(-r));
	worker_stop(w);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
