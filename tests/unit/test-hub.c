/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub: what is published to whom, and that each waiter is woken once
 */
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/diff.h"
#include "core/hub.h"
#include "core/instance.h"
#include "core/registry.h"
#include "records.h"

struct world {
	struct hub *hub;
	struct instance *web1, *web2;
};

static int setup(void **state)
{
	static struct world w;

	w = (struct world){.web1 = instance_new("web1"), .web2 = instance_new("web2")};
	*state = &w;
	return hub_new(&(struct hub_options){.fd = -1}, &w.hub);
}

static int teardown(void **state)
{
	struct world *w = *state;

	hub_free(w->hub);
	instance_unref(w->web1);
	instance_unref(w->web2);
	return 0;
}

static struct snapshot *snapshot(const char *name, const char *const *config)
{
	return records_snapshot(records_new(name, config), NULL);
}

/* From the configuration @a to @b, each NULL: no record. */
static void change(struct world *w, const char *name, const char *const *a, const char *const *b)
{
	_cleanup_(snapshot_unrefp) struct snapshot *old = a ? snapshot(name, a) : NULL;
	_cleanup_(snapshot_unrefp) struct snapshot *new = b ? snapshot(name, b) : NULL;
	_cleanup_(diff_freep) struct diff *d = NULL;

	assert_int_equal(diff_new(old, new, &d), 0);
	hub_changed(w->hub, d, NULL, NULL);
}

static struct hub_log *log_of(struct world *w, struct instance *i)
{
	struct hub_log *l = NULL;

	assert_int_equal(hub_log_of(w->hub, i, &l), 0);
	return l;
}

/* What is in the log behind *cursor of those types: how many lines, and the last one. */
static size_t read_on(struct hub_log *l, struct eventlog_cursor *cursor, unsigned types,
		      const char **ret_last)
{
	static char bytes[256 * 1024];
	ssize_t n = hub_read(l, cursor, types, bytes, sizeof(bytes) - 1);
	size_t n_lines = 0;

	assert_true(n >= 0);
	bytes[n] = '\0';
	*ret_last = "";
	for (char *line = strtok(bytes, "\n"); line; line = strtok(NULL, "\n")) {
		*ret_last = line;
		n_lines++;
	}
	return n_lines;
}

static void test_what_a_guest_hears(void **state)
{
	struct world *w = *state;
	_cleanup_(hub_log_unrefp) struct hub_log *l = log_of(w, w->web1);
	struct eventlog_cursor c = {0}, all = {0};
	const char *last;

	/* The log begins with a line, which only who asks for it gets. */
	assert_int_equal(read_on(l, &all, EVENT_TYPES_ALL, &last), 1);
	assert_non_null(strstr(last, "log-started"));
	hub_end(l, &c);
	assert_int_equal(c.at, all.at);
	change(w, "web1", NULL, PAIRS("user.a", "1"));
	assert_int_equal(read_on(l, &c, EVENT_TYPES_ALL, &last), 0);
	change(w, "web1", PAIRS("user.a", "1"), PAIRS("user.a", "2", "user.b", "1", "raw.x", "1"));
	assert_int_equal(read_on(l, &c, EVENT_TYPES_DEFAULT, &last), 2);
	assert_non_null(strstr(last, "user.b"));
	/* Another's is not here, and what is none is none. */
	change(w, "web2", PAIRS("user.a", "1"), PAIRS("user.a", "2"));
	change(w, "web1", PAIRS("user.a", "1"), PAIRS("user.a", "1"));
	assert_int_equal(read_on(l, &c, EVENT_TYPES_ALL, &last), 0);
	/* Nor what happens while it may not ask, or begins or ends with that. */
	change(w, "web1", PAIRS("user.a", "1"), PAIRS("user.a", "2", "security.devlxd", "false"));
	change(w, "web1", PAIRS("user.a", "2", "security.devlxd", "false"),
	       PAIRS("user.a", "3", "security.devlxd", "false"));
	change(w, "web1", PAIRS("user.a", "3", "security.devlxd", "false"), PAIRS("user.a", "4"));
	assert_int_equal(read_on(l, &c, EVENT_TYPES_ALL, &last), 0);
	assert_int_equal(read_on(l, &all, EVENT_TYPE_BIT(EVENT_DEVICE), &last), 0);
}

static void test_what_the_host_hears(void **state)
{
	struct world *w = *state;
	struct hub_log *plain, *full;
	struct eventlog_cursor p, f;
	const char *last;

	/* Before somebody listens, nothing is kept. */
	change(w, "web1", NULL, PAIRS("user.a", "secret"));
	plain = hub_host_log(w->hub, false);
	full = hub_host_log(w->hub, true);
	hub_end(plain, &p);
	hub_end(full, &f);
	assert_int_equal(p.at, 0);
	change(w, "web1", PAIRS("user.a", "secret"), PAIRS("user.a", "secret2"));
	assert_int_equal(read_on(full, &f, EVENT_TYPES_DEFAULT, &last), 1);
	assert_non_null(strstr(last, "secret2"));
	assert_non_null(strstr(last, "\"instance\":\"web1\""));
	assert_int_equal(read_on(plain, &p, EVENT_TYPES_DEFAULT, &last), 1);
	assert_null(strstr(last, "secret"));
	hub_lifecycle(w->hub, LIFECYCLE_READY, "web2", NULL);
	change(w, "web1", PAIRS("user.a", "1"), NULL);
	assert_int_equal(read_on(plain, &p, EVENT_TYPES_ALL, &last), 2);
	assert_non_null(strstr(last, "instance-deleted"));
	hub_log_unref(plain);
	hub_log_unref(full);
	/* And after. */
	hub_lifecycle(w->hub, LIFECYCLE_READY, "web2", NULL);
	plain = hub_host_log(w->hub, false);
	hub_end(plain, &p);
	assert_int_equal(p.at, 0);
	hub_log_unref(plain);
}

struct listener {
	struct hub_waiter waiter;
	sem_t woken;
	_Atomic unsigned n_woken;
};

static void wake(struct hub_waiter *waiter)
{
	struct listener *l = (struct listener *)waiter;

	l->n_woken++;
	sem_post(&l->woken);
}

static void test_waiting(void **state)
{
	struct world *w = *state;
	_cleanup_(hub_log_unrefp) struct hub_log *l = log_of(w, w->web1);
	struct listener a = {.waiter.wake = wake}, b = {.waiter.wake = wake};
	struct eventlog_cursor c;
	struct hub_stats stats;

	sem_init(&a.woken, 0, 0);
	sem_init(&b.woken, 0, 0);
	assert_false(hub_wait(l, 0, &a.waiter));
	hub_end(l, &c);
	assert_true(hub_wait(l, c.at, &a.waiter));
	assert_true(hub_wait(l, c.at, &b.waiter));
	hub_count(w->hub, &stats);
	assert_int_equal(stats.n_waiters, 2);
	assert_true(hub_cancel(l, &b.waiter));
	assert_false(hub_cancel(l, &b.waiter));
	change(w, "web1", PAIRS("user.a", "1"), PAIRS("user.a", "2"));
	sem_wait(&a.woken);
	change(w, "web1", PAIRS("user.a", "1"), PAIRS("user.a", "2"));
	assert_false(hub_cancel(l, &a.waiter));
	hub_end(l, &c);
	assert_true(hub_wait(l, c.at, &b.waiter));
	hub_kick(w->hub, w->web2);
	hub_kick(w->hub, w->web1);
	sem_wait(&b.woken);
	assert_int_equal(a.n_woken, 1);
	assert_int_equal(b.n_woken, 1);
	/* Who may not ask any more, or is gone, is woken to see that. */
	assert_true(hub_wait(l, c.at, &a.waiter));
	change(w, "web1", PAIRS("user.a", "1"), PAIRS("security.devlxd", "false"));
	sem_wait(&a.woken);
	assert_true(hub_wait(l, c.at, &a.waiter));
	change(w, "web1", PAIRS("user.a", "1"), NULL);
	sem_wait(&a.woken);
	hub_count(w->hub, &stats);
	assert_int_equal(stats.n_waiters, 0);
}

static void test_too_slow(void **state)
{
	struct world *w = *state;
	_cleanup_(hub_log_unrefp) struct hub_log *l = log_of(w, w->web1);
	struct listener a = {.waiter.wake = wake};
	struct eventlog_cursor c, end;
	char bytes[64];
	uint64_t n;

	hub_end(l, &c);
	assert_true(hub_wait(l, c.at, &a.waiter)); /* where nobody listens less is kept */
	for (int i = 0; i < 2000; i++)
		change(w, "web1", PAIRS("user.a", "1"), PAIRS("user.a", "2"));
	assert_int_equal(hub_read(l, &c, EVENT_TYPES_ALL, bytes, sizeof(bytes)), -ENODATA);
	n = hub_skip_lost(l, &c);
	hub_end(l, &end);
	assert_true(n > 1000 && n < 2000);
	assert_int_equal(c.n, 1 + n);
	assert_true(end.at - c.at <= EVENTLOG_WINDOW_MIN);
	/* One that does not fit is not cut. */
	assert_int_equal(hub_read(l, &c, EVENT_TYPES_ALL, bytes, sizeof(bytes)), 0);
	hub_cancel(l, &a.waiter);
}

/* Another of the same name has another's history. */
static void test_who_comes_back(void **state)
{
	struct world *w = *state;
	struct hub_log *l = log_of(w, w->web1);
	struct hub_stats stats;
	uint64_t id, at;
	char bytes[1024] = "";

	change(w, "web1", PAIRS("user.a", "1"), PAIRS("user.a", "secret"));
	assert_int_equal(hub_open(l, &id), 0);
	change(w, "web1", PAIRS("user.a", "1"), NULL);
	assert_true(hub_read_file(l, id, 0, bytes, sizeof(bytes) - 1, &at) > 0);
	assert_null(strstr(bytes, "secret"));
	assert_non_null(strstr(bytes, "lost"));
	hub_close(l, id);
	assert_int_equal(hub_read_file(l, id, 0, bytes, sizeof(bytes) - 1, &at), -EBADF);
	assert_int_equal(hub_seek_end(l, id), -EBADF);
	hub_log_unref(l);
	/* With nobody there it goes. */
	change(w, "web1", PAIRS("user.a", "1"), NULL);
	hub_count(w->hub, &stats);
	assert_int_equal(stats.n_logs, 0);
	assert_null(hub_free(NULL));
	assert_null(hub_log_unref(NULL));
}

static void test_what_an_earlier_one_kept(void **state)
{
	struct world *w = *state;
	_cleanup_(closep) int fd = memfd_create("test", MFD_CLOEXEC);
	_cleanup_(hub_freep) struct hub *h = NULL;
	_cleanup_(registry_freep) struct registry *registry = registry_new();
	struct hub_stats stats;
	struct hub_log *l;
	struct eventlog_cursor c = {0};
	const char *last;

	assert_int_equal(hub_new(&(struct hub_options){.fd = fd}, &h), 0);
	assert_int_equal(hub_log_of(h, w->web1, &l), 0);
	hub_log_unref(l);
	h = hub_free(h);
	assert_int_equal(hub_new(&(struct hub_options){.fd = fd}, &h), 0);
	hub_count(h, &stats);
	assert_int_equal(stats.n_logs, 1);
	assert_int_equal(hub_log_of(h, w->web1, &l), 0);
	assert_int_equal(read_on(l, &c, EVENT_TYPES_ALL, &last), 1);
	hub_log_unref(l);
	assert_int_equal(hub_take_up(h, registry, NULL, NULL), 0);
	hub_count(h, &stats);
	assert_int_equal(stats.n_logs, 0);
}

/* Publishing, waiting, cancelling and reading all at once: for the thread sanitizer, and that nothing is lost. */
#define N_STORM 2000

static void *storm_reader(void *arg)
{
	struct world *w = arg;
	_cleanup_(hub_log_unrefp) struct hub_log *l = log_of(w, w->web1);
	struct listener a = {.waiter.wake = wake};
	struct eventlog_cursor c = {0};
	uint64_t n_lost = 0;
	char bytes[32 * 1024];

	sem_init(&a.woken, 0, 0);
	while (c.n < N_STORM + 1) {
		ssize_t n = hub_read(l, &c, EVENT_TYPES_ALL, bytes, sizeof(bytes));

		if (n == -ENODATA)
			n_lost += hub_skip_lost(l, &c);
		if (n != 0 || c.n >= N_STORM + 1)
			continue;
		if (hub_wait(l, c.at, &a.waiter) && (c.n % 3 || !hub_cancel(l, &a.waiter)))
			sem_wait(&a.woken);
	}
	return (void *)(uintptr_t)n_lost;
}

static void test_storm(void **state)
{
	struct world *w = *state;
	pthread_t readers[4];

	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		assert_int_equal(pthread_create(&readers[i], NULL, storm_reader, w), 0);
	for (int i = 0; i < N_STORM; i++)
		change(w, "web1", PAIRS("user.a", "1"), PAIRS("user.a", "2"));
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		pthread_join(readers[i], NULL);
}

int main(void)
{
#define TEST(T) cmocka_unit_test_setup_teardown(T, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_a_guest_hears),
		TEST(test_what_the_host_hears),
		TEST(test_waiting),
		TEST(test_too_slow),
		TEST(test_who_comes_back),
		TEST(test_what_an_earlier_one_kept),
		TEST(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
