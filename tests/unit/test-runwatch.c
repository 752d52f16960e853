/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When guests start and stop, with cgroups and processes of the kernel's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "base/buf.h"
#include "core/lock.h"
#include "core/registry.h"
#include "guests.h"
#include "runwatch.h"

#define HEAR_SECONDS 20 /* a bound, not a wait */

struct world {
	struct guests g;
	struct runwatch *watch;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct buf heard; /* "+a" started, "-a" stopped */
};

static void hear(void *ctx, const char *name, bool is_running)
{
	struct world *w = ctx;
	LOCK_HOLD(&w->lock);

	assert_int_equal(buf_printf(&w->heard, "%c%s ", is_running ? '+' : '-', name), 0);
	pthread_cond_signal(&w->more);
}

/* Waits until as many bytes were heard, and takes them; the caller frees them. */
static char *take_heard(struct world *w, size_t n)
{
	struct timespec end;
	LOCK_HOLD(&w->lock);

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += HEAR_SECONDS;
	while (w->heard.len < n)
		if (pthread_cond_timedwait(&w->more, &w->lock, &end) != 0)
			break;
	return buf_steal(&w->heard, NULL);
}

static void assert_heard(struct world *w, const char *expected)
{
	_cleanup_(freep) char *heard = take_heard(w, strlen(expected));

	assert_string_equal(heard, expected);
}

/* One of two: what one move of the kernel's makes has no order. */
static void assert_heard_either(struct world *w, const char *one, const char *other)
{
	_cleanup_(freep) char *heard = take_heard(w, strlen(one));

	assert_string_equal(heard, streq(heard, one) ? one : other);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || !guests_init(&w->g, 16))
		return -1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	assert_heard(w, "");
	runwatch_free(w->watch);
	assert_null(runwatch_free(NULL));
	guests_finish(&w->g);
	buf_finish(&w->heard);
	free(w);
	return 0;
}

static void begin(struct world *w)
{
	assert_int_equal(runwatch_new(w->g.registry, hear, NULL, w, &w->watch), 0);
}

static void record(struct world *w, const char *instance, const char *cgroup)
{
	guests_record(&w->g, instance, cgroup, -1);
	runwatch_changed(w->watch, instance);
}

static pid_t start(struct world *w, const char *cgroup)
{
	const struct start how = {.cgroup = cgroup};

	return guests_start(&w->g, &how);
}

/* Nothing else was noticed before this is. One after the other: a run too short to be seen is not told. */
static void fence(struct world *w)
{
	pid_t pid;

	guests_make(&w->g, "fence");
	record(w, "fence", "fence");
	pid = start(w, "fence");
	assert_heard(w, "+fence ");
	guests_end(&w->g, pid);
	assert_heard(w, "-fence ");
	guests_withdraw(&w->g, "fence");
	runwatch_changed(w->watch, "fence");
}

static void test_cgroup_before_and_after_the_record(void **state)
{
	struct world *w = *state;
	pid_t pid;

	begin(w);
	guests_make(&w->g, "before");
	record(w, "a", "before");
	record(w, "b", "after");
	pid = start(w, "before");
	assert_heard(w, "+a ");
	guests_end(&w->g, pid);
	assert_heard(w, "-a ");
	guests_make(&w->g, "after");
	pid = start(w, "after");
	assert_heard(w, "+b ");
	guests_end(&w->g, pid);
	assert_heard(w, "-b ");
}

static void test_what_runs_at_the_start_is_not_told(void **state)
{
	struct world *w = *state;
	pid_t pid;

	guests_make(&w->g, "a");
	pid = start(w, "a");
	guests_record(&w->g, "a", "a", -1);
	begin(w);
	guests_end(&w->g, pid);
	assert_heard(w, "-a ");
}

static void test_a_record_of_what_runs(void **state)
{
	struct world *w = *state;
	pid_t pid;

	begin(w);
	guests_make(&w->g, "a");
	guests_make(&w->g, "b");
	pid = start(w, "a");
	record(w, "a", "a");
	assert_heard(w, "+a ");
	record(w, "a", "b");
	assert_heard(w, "-a ");
	record(w, "a", "a");
	assert_heard(w, "+a ");
	record(w, "a", NULL);
	assert_heard(w, "-a ");
	record(w, "a", "a");
	assert_heard(w, "+a ");
	guests_withdraw(&w->g, "a");
	runwatch_changed(w->watch, "a");
	fence(w); /* it has been noticed */
	guests_end(&w->g, pid);
	fence(w);
}

static void test_removed_and_made_again(void **state)
{
	struct world *w = *state;

	begin(w);
	record(w, "a", "a");
	for (int i = 0; i < 5; i++) {
		pid_t pid;

		guests_make(&w->g, "a");
		pid = start(w, "a");
		assert_heard(w, "+a ");
		guests_end(&w->g, pid);
		assert_heard(w, "-a ");
		guests_remove(&w->g, "a");
		if (i % 2)
			fence(w);
	}
}

static void test_deep_below_what_does_not_exist(void **state)
{
	struct world *w = *state;
	pid_t pid;

	begin(w);
	record(w, "a", "x/y/z");
	record(w, "b", "x/y/z/deeper/still");
	record(w, "c", "x/y");
	for (int i = 0; i < 3; i++) {
		guests_make(&w->g, "x/y/z");
		pid = start(w, "x/y/z");
		assert_heard_either(w, "+a +c ", "+c +a ");
		guests_end(&w->g, pid);
		assert_heard_either(w, "-a -c ", "-c -a ");
		fence(w);
		guests_remove(&w->g, "x/y/z");
		guests_remove(&w->g, "x/y");
		guests_remove(&w->g, "x");
	}
	guests_make(&w->g, "x/y/z/deeper/still");
	pid = start(w, "x/y/z/deeper/still");
	free(take_heard(w, strlen("+a +b +c ")));
	guests_end(&w->g, pid);
	free(take_heard(w, strlen("-a -b -c ")));
}

static void test_binding(void **state)
{
	struct world *w = *state;
	const char *path = guests_path(&w->g, "a");
	uint64_t id = guests_make(&w->g, "a");
	pid_t pid = start(w, "a");

	begin(w);
	record(w, "a", NULL);
	assert_int_equal(registry_bind(w->g.registry, "a", path, id + 1), 0);
	runwatch_changed(w->watch, "a");
	fence(w);
	assert_int_equal(registry_bind(w->g.registry, "a", path, id), 0);
	runwatch_changed(w->watch, "a");
	assert_heard(w, "+a ");
	guests_end(&w->g, pid);
	assert_heard(w, "-a ");
	/* Another cgroup of that path is not the one. */
	guests_remove(&w->g, "a");
	guests_make(&w->g, "a");
	pid = start(w, "a");
	fence(w);
	assert_int_equal(registry_unbind(w->g.registry, "a"), 0);
	runwatch_changed(w->watch, "a");
	guests_end(&w->g, pid);
	fence(w);
}

static void test_two_that_claim_the_same(void **state)
{
	struct world *w = *state;
	pid_t pid;

	begin(w);
	guests_make(&w->g, "a");
	record(w, "a", "a");
	record(w, "b", "a");
	pid = start(w, "a");
	assert_heard(w, "+a +b ");
	guests_withdraw(&w->g, "a");
	runwatch_changed(w->watch, "a");
	guests_end(&w->g, pid);
	assert_heard(w, "-b ");
}

/* A queue of the kernel's that overflows costs a look at all, and no event. */
static void test_overflow(void **state)
{
	struct world *w = *state;
	char name[32];
	pid_t pid;

	guests_make(&w->g, "dir");
	begin(w);
	record(w, "a", "dir/a");
	for (int i = 0; i < 3; i++) {
		guests_make(&w->g, "dir/a");
		pid = start(w, "dir/a");
		for (int k = 0; k < 3000; k++) {
			snprintf(name, sizeof(name), "dir/x%d", k % 2);
			guests_make(&w->g, name);
			guests_remove(&w->g, name);
		}
		assert_heard(w, "+a ");
		guests_end(&w->g, pid);
		assert_heard(w, "-a ");
		guests_remove(&w->g, "dir/a");
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cgroup_before_and_after_the_record),
		TEST(test_what_runs_at_the_start_is_not_told),
		TEST(test_a_record_of_what_runs),
		TEST(test_removed_and_made_again),
		TEST(test_deep_below_what_does_not_exist),
		TEST(test_binding),
		TEST(test_two_that_claim_the_same),
		TEST(test_overflow),
	};

	if (!guests_are_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
