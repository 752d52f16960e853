/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listeners that come and go while a server runs, with real sockets
 *
 * Nobody claims the cgroup of this test, so on a common listener it is a stranger (500); on an
 * instance's own listener it is that instance. The kernel's refusals are made here.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/route.h"
#include "base/cleanup.h"
#include "base/sock.h"
#include "core/diff.h"
#include "core/registry.h"
#include "core/settings.h"
#include "front/http.h"
#include "records.h"

#define STRANGER "HTTP/1.1 500 Internal Server Error"
#define NOT_ROOT "HTTP/1.1 401 Unauthorized"
#define REFUSED  "HTTP/1.1 403 Forbidden"

/* How many of the next calls fail; of those to watch, after how many that do not. */
static _Atomic int accept_fails, watch_works, watch_fails;
static atomic_bool watch_always_fails;
static _Atomic int n_watch_failed;

/* Whether there was one left to take. */
static bool take_one(_Atomic int *n)
{
	int left = *n;

	while (left > 0 && !atomic_compare_exchange_weak(n, &left, left - 1))
		;
	return left > 0;
}

int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __real_epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	if (!take_one(&accept_fails))
		return __real_accept4(fd, address, size, flags);
	errno = EMFILE;
	return -1;
}

static bool watching_fails(void)
{
	return watch_always_fails || (!take_one(&watch_works) && take_one(&watch_fails));
}

int __wrap_epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event)
{
	if (what != EPOLL_CTL_ADD || !(event->events & EPOLLEXCLUSIVE) || !watching_fails())
		return __real_epoll_ctl(epoll_fd, what, fd, event);
	n_watch_failed++;
	errno = ENOSPC;
	return -1;
}

/* A name that the kernel, or the test, chose. */
struct place {
	struct sockaddr_un address;
	socklen_t size;
};

static int socket_at(struct place *p)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	p->address.sun_family = AF_UNIX;
	if (p->size == 0)
		p->size = sizeof(sa_family_t);
	/* The kernel may keep the name of a closed socket for a few microseconds more. */
	do
		r = bind(fd, (struct sockaddr *)&p->address, p->size);
	while (r < 0 && errno == EADDRINUSE);
	assert_int_equal(r, 0);
	p->size = sizeof(p->address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&p->address, &p->size), 0);
	return fd;
}

/* -errno when nobody listens. */
static int connect_to(const struct place *p)
{
	const struct timeval patience = {.tv_sec = 20};
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&p->address, p->size) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* One request; "STATUS LINE: BODY" of the answer, "" when the connection ended instead. */
static void ask_on(int fd, char *ret, size_t size)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: lxd\r\n\r\n";
	char text[1024], *end = NULL;
	size_t n = 0;

	*ret = '\0';
	/* Who is refused is answered unasked, and may be gone by now. */
	(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
	while (!end || text[n - 1] != '\n' || end + 4 == text + n) {
		ssize_t more = read(fd, text + n, sizeof(text) - 1 - n);

		if (more <= 0)
			return;
		n += (size_t)more;
		text[n] = '\0';
		end = strstr(text, "\r\n\r\n");
	}
	text[n - 1] = '\0';
	snprintf(ret, size, "%.*s: %s", (int)strcspn(text, "\r"), text, end + 4);
}

static void assert_answer_on(int fd, const char *expected)
{
	char answer[256];

	ask_on(fd, answer, sizeof(answer));
	assert_memory_equal(answer, expected, strlen(expected));
}

static void assert_answer(const struct place *p, const char *expected)
{
	_cleanup_(closep) int fd = connect_to(p);

	assert_true(fd >= 0);
	assert_answer_on(fd, expected);
}

static struct front_stats stats;
static _Atomic uint64_t n_refused_before; /* when the last request was answered */

static int get_name(const struct request *request, struct reply *reply)
{
	_cleanup_(buf_finish) struct buf b = {0};
	int r = buf_printf(&b, "%s\n", request->instance ? instance_name(request->instance) : "-");

	n_refused_before = stats.n_not_root;
	return r < 0 ? r : reply_bytes(reply, REPLY_TEXT, &b);
}

static const struct route routes[] = {{METHOD_GET, "/", get_name, .help = "who asks"}};
static const struct route_table table = {routes, ARRAY_SIZE(routes)};

struct world {
	struct settings settings;
	struct registry *registry;
	struct identity *identity;
	struct api api;
	struct http_server *server;
	struct place main;
	int main_fd;
};

static struct world world;

static void begin(enum http_trust trust, unsigned n_threads, bool has_main)
{
	struct world *w = &world;
	struct http_options options = {
		.name = "test",
		.listen_fd = -1,
		.trust = trust,
		.routes = &table,
		.api = &w->api,
		.n_threads = n_threads,
		.stats = &stats,
	};

	*w = (struct world){.main_fd = -1};
	settings_init(&w->settings);
	w->registry = registry_new();
	assert_int_equal(identity_new(w->registry, 16, &w->identity), 0);
	w->api = (struct api){
		.settings = &w->settings, .registry = w->registry, .identity = w->identity};
	if (has_main)
		options.listen_fd = w->main_fd = socket_at(&w->main);
	assert_int_equal(http_new(&options, &w->server), 0);
}

static int end(void **state)
{
	accept_fails = watch_works = watch_fails = n_watch_failed = 0;
	watch_always_fails = false;
	http_free(world.server);
	identity_free(world.identity);
	registry_free(world.registry);
	closep(&world.main_fd);
	world = (struct world){.main_fd = -1};
	stats = (struct front_stats){0};
	return 0;
}

/* Publishes @name, whose root is we and @more. A reference. */
static struct instance *instance_of(const char *name, bool by_mount, unsigned more)
{
	struct record *record = records_new(name, NO_PAIRS);
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
	_cleanup_(diff_freep) struct diff *diff = NULL;

	record->match_mount = by_mount;
	record->has_root = true;
	record->root_uid = getuid() + more;
	s = records_snapshot(record, NULL);
	assert_int_equal(registry_publish(world.registry, s, &diff), 0);
	return registry_find(world.registry, name);
}

static void listen_at(struct place *p, struct instance *own)
{
	assert_int_equal(http_listen(world.server, socket_at(p), own), 0);
}

static void test_common_ones(void **state)
{
	struct place second = {0}, third = {0};

	if (getuid() != 0)
		skip();
	begin(HTTP_ADMIN, 2, true);
	listen_at(&second, NULL);
	assert_answer(&world.main, "HTTP/1.1 200 OK: -");
	listen_at(&third, NULL);
	for (int i = 0; i < 20; i++) {
		assert_answer(&second, "HTTP/1.1 200 OK: -");
		assert_answer(&world.main, "HTTP/1.1 200 OK: -");
		assert_answer(&third, "HTTP/1.1 200 OK: -");
	}
}

static void test_own_ones(void **state)
{
	_cleanup_(instance_unrefp) struct instance *a = NULL, *b = NULL;
	struct place at_a = {0}, at_b = {0}, common = {0};
	_cleanup_(closep) int spare = -1;

	begin(HTTP_GUEST, 2, false);
	a = instance_of("a", true, 0);
	b = instance_of("b", true, 1);
	listen_at(&at_a, a);
	listen_at(&common, NULL);
	listen_at(&at_b, b);
	assert_answer(&at_a, "HTTP/1.1 200 OK: a");
	assert_answer(&common, STRANGER);
	assert_answer(&at_b, NOT_ROOT);
	assert_int_equal(stats.n_not_root, 1);
	instance_unref(instance_of("b", true, 0));
	assert_answer(&at_b, "HTTP/1.1 200 OK: b");
	instance_unref(instance_of("b", false, 0));
	assert_answer(&at_b, STRANGER);
	/* Each has one; what is not taken stays ours. */
	spare = socket_at(&(struct place){0});
	assert_int_equal(http_listen(world.server, spare, a), -EEXIST);
	assert_true(fcntl(spare, F_GETFD) >= 0);
	assert_int_equal(http_listen(world.server, -1, NULL), -EBADF);
	assert_answer(&at_a, "HTTP/1.1 200 OK: a");
}

static void test_removed(void **state)
{
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	_cleanup_(closep) int kept = -1;
	struct place at_a = {0};

	begin(HTTP_GUEST, 2, true);
	a = instance_of("a", true, 0);
	http_unlisten(world.server, a);
	listen_at(&at_a, a);
	kept = connect_to(&at_a);
	assert_answer_on(kept, "HTTP/1.1 200 OK: a");
	http_unlisten(world.server, a);
	assert_int_equal(connect_to(&at_a), -ECONNREFUSED);
	assert_answer_on(kept, "HTTP/1.1 200 OK: a");
	instance_unref(instance_of("a", false, 0));
	assert_answer_on(kept, REFUSED);
	instance_unref(instance_of("a", true, 0));
	assert_answer_on(kept, "HTTP/1.1 200 OK: a");
	/* Its place is free, and so is the instance to have another. */
	listen_at(&at_a, a);
	assert_answer(&at_a, "HTTP/1.1 200 OK: a");
	assert_answer(&world.main, STRANGER);
}

/* One thread, which has run out of descriptors and stays so. */
static int begin_paused(void)
{
	int fd;

	begin(HTTP_GUEST, 1, true);
	watch_always_fails = true;
	accept_fails = 1;
	fd = connect_to(&world.main);
	assert_true(fd >= 0);
	while (n_watch_failed == 0) /* it has paused, and tried to resume */
		sched_yield();
	return fd;
}

static void test_added_to_a_paused_thread(void **state)
{
	_cleanup_(closep) int first = begin_paused(), second = -1;
	_cleanup_(instance_unrefp) struct instance *a = instance_of("a", true, 0);
	struct place at_a = {0};

	/* It would fail if the thread were given it now. */
	listen_at(&at_a, a);
	second = connect_to(&at_a);
	/* The first time that it resumes, it gets only one of them. */
	watch_works = 1;
	watch_fails = 1;
	watch_always_fails = false;
	assert_answer_on(first, STRANGER);
	assert_answer_on(second, "HTTP/1.1 200 OK: a");
	assert_int_equal(watch_works + watch_fails, 0);
}

static void test_removed_from_a_paused_thread(void **state)
{
	_cleanup_(closep) int first = begin_paused();
	_cleanup_(instance_unrefp) struct instance *a = instance_of("a", true, 0);
	struct place at_a = {0};

	listen_at(&at_a, a);
	http_unlisten(world.server, a);
	assert_int_equal(connect_to(&at_a), -ECONNREFUSED);
	watch_always_fails = false;
	assert_answer_on(first, STRANGER);
}

/* One thread can watch it, the next cannot: nobody is accepted, and the socket is the caller's. */
static void test_not_watched_by_all(void **state)
{
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	_cleanup_(closep) int fd = -1, client = -1, accepted = -1;
	struct place p = {0};

	begin(HTTP_GUEST, 2, false);
	a = instance_of("a", true, 0);
	fd = socket_at(&p);
	assert_int_equal(sock_listen(fd, 1), 0);
	client = connect_to(&p);
	watch_works = 1;
	watch_fails = 1;
	assert_int_equal(http_listen(world.server, fd, a), -ENOSPC);
	accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	assert_int_equal(http_listen(world.server, fd, a), 0);
	fd = -1;
	assert_answer(&p, "HTTP/1.1 200 OK: a");
}

/* A queue full of callers, all of whom are refused, takes no more than its share of a round. */
static void test_shares(void **state)
{
	enum {
		N_CROWD = 200
	};
	_cleanup_(closep) int first = begin_paused(), one = -1;
	_cleanup_(instance_unrefp) struct instance *a = instance_of("a", true, 1);
	_cleanup_(instance_unrefp) struct instance *b = instance_of("b", true, 0);
	struct place at_a = {0}, at_b = {0};
	int crowd[N_CROWD];

	listen_at(&at_a, a);
	listen_at(&at_b, b);
	for (int i = 0; i < N_CROWD; i++) {
		crowd[i] = connect_to(&at_a);
		assert_true(crowd[i] >= 0);
	}
	one = connect_to(&at_b);
	assert_int_equal(send(one, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, 0), 27);
	watch_always_fails = false;
	assert_answer_on(one, "HTTP/1.1 200 OK: b");
	assert_in_range(n_refused_before, 0, 32);
	for (int i = 0; i < N_CROWD; i++) {
		assert_answer_on(crowd[i], NOT_ROOT);
		close(crowd[i]);
	}
}

struct storm {
	struct place at_a, at_b;
	atomic_bool is_over;
	_Atomic unsigned n_a, n_b, n_wrong;
};

/* Whether @name answers at @p; anything else but no answer is wrong. */
static bool answers(struct storm *storm, const struct place *p, const char *name)
{
	_cleanup_(closep) int fd = connect_to(p);
	char answer[256] = "", expected[64];

	if (fd >= 0)
		ask_on(fd, answer, sizeof(answer));
	snprintf(expected, sizeof(expected), "HTTP/1.1 200 OK: %s", name);
	if (*answer && !streq(answer, expected))
		storm->n_wrong++;
	return streq(answer, expected);
}

static void *ask_both(void *data)
{
	struct storm *storm = data;

	while (!storm->is_over) {
		/* A thread short of descriptors drops who does not ask at once, as we may not. */
		bool is_there = answers(storm, &storm->at_a, "a") ||
				answers(storm, &storm->at_a, "a") ||
				answers(storm, &storm->at_a, "a");

		storm->n_wrong += !is_there;
		storm->n_a++;
		/* This one may have just been removed. */
		storm->n_b += answers(storm, &storm->at_b, "b");
	}
	return NULL;
}

static void test_storm(void **state)
{
	static struct storm storm;
	_cleanup_(instance_unrefp) struct instance *a = NULL, *b = NULL;
	pthread_t threads[2];
	struct place again;

	begin(HTTP_GUEST, 2, true);
	a = instance_of("a", true, 0);
	b = instance_of("b", true, 0);
	listen_at(&storm.at_a, a);
	listen_at(&storm.at_b, b);
	again = storm.at_b;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_both, &storm), 0);
	for (unsigned i = 0; i < 2000 || storm.n_b < 200; i++) {
		/* Not for ever: who runs short each time that it goes on serves nobody. */
		if (i % 50 == 0 && i < 1000)
			accept_fails = 1;
		http_unlisten(world.server, b);
		/* The name can be taken at once: nothing holds the old socket. */
		listen_at(&again, b);
		sched_yield();
	}
	storm.is_over = true;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(storm.n_wrong, 0);
	assert_true(storm.n_a > 0);
}

#define SERVER_TEST(f) cmocka_unit_test_teardown(f, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_common_ones),
		SERVER_TEST(test_own_ones),
		SERVER_TEST(test_removed),
		SERVER_TEST(test_added_to_a_paused_thread),
		SERVER_TEST(test_removed_from_a_paused_thread),
		SERVER_TEST(test_not_watched_by_all),
		SERVER_TEST(test_shares),
		SERVER_TEST(test_storm),
	};

	world.main_fd = -1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
