/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Invalidation: what is told in which order, and that who is held up holds nobody else up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <sched.h>

#include "alloc.h"
#include "inval.h"
#include "kernel.h"

#define FOR_EVER (UINT64_C(3600) * 1000 * 1000)

/* How often done() was called of the batches with each number. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n[512], n_all;
} done = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void on_done(struct inval_batch *b)
{
	LOCK_HOLD(&done.lock);

	done.n[(uintptr_t)b->arg]++;
	done.n_all++;
	inval_batch_free(b);
	pthread_cond_broadcast(&done.changed);
}

static void wait_done(unsigned number)
{
	LOCK_HOLD(&done.lock);

	while (done.n[number] == 0)
		pthread_cond_wait(&done.changed, &done.lock);
}

static unsigned n_done(unsigned number)
{
	LOCK_HOLD(&done.lock);

	return done.n[number];
}

static unsigned n_all_done(void)
{
	LOCK_HOLD(&done.lock);

	return done.n_all;
}

/* A batch of the node @node (0: none) and of @name in @directory (NULL: none). */
static struct inval_batch *new_batch(struct inval_lane *lane, unsigned number, uint64_t node,
				     uint64_t directory, const char *name)
{
	struct inval_batch *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->name = "web1";
	b->lane = lane;
	b->done = on_done;
	b->arg = (void *)(uintptr_t)number;
	if (node)
		assert_int_equal(inval_add_node(b, node), 0);
	if (name)
		assert_int_equal(inval_add_entry(b, directory, name), 0);
	return b;
}

static bool no_idle_work(void *ctx)
{
	return false;
}

static struct inval *start(void)
{
	struct inval *v = NULL;

	assert_int_equal(inval_new(KERNEL_FD, no_idle_work, NULL, &v), 0);
	return v;
}

static int setup(void **state)
{
	kernel_begin();
	memset(done.n, 0, sizeof(done.n));
	done.n_all = 0;
	return 0;
}

static void never(void *arg, const char *name)
{
	abort();
}

static void test_what_is_told(void **state)
{
	struct inval *v = start();
	struct inval_lane lane = {0};
	struct inval_batch *b = new_batch(&lane, 0, 100, 11, "a");

	for (uint64_t id = 101; id < 120; id++)
		assert_int_equal(inval_add_node(b, id), 0);
	for (int i = 0; i < 19; i++)
		assert_int_equal(inval_add_entry(b, 12, "name with % and \xc3\xa9"), 0);
	inval_submit(v, b);
	inval_wait(v, FOR_EVER, never, NULL);
	assert_int_equal(kernel_n_told(), 40);
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(kernel.told[i].id, 100 + i);
		assert_string_equal(kernel.told[i].name, "");
		assert_int_equal(kernel.told[20 + i].id, i == 0 ? 11 : 12);
		assert_string_equal(kernel.told[20 + i].name,
				    i == 0 ? "a" : "name with % and \xc3\xa9");
	}
	assert_null(inval_free(v));
	assert_int_equal(n_done(0), 1);
}

/* After their attributes, those below before those above; of nodes that stay nothing is said. */
static void test_gone(void **state)
{
	struct inval *v = start();
	struct inval_lane lane = {0};
	struct inval_batch *b = new_batch(&lane, 0, 100, 0, NULL);

	for (uint64_t id = 101; id < 104; id++)
		assert_int_equal(inval_add_gone(b, id), 0);
	kernel_hold(101); /* nothing that a guest could keep waiting */
	inval_submit(v, b);
	inval_wait(v, FOR_EVER, never, NULL);
	assert_int_equal(kernel_n_told(), 4);
	assert_int_equal(kernel_n_gone(), 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(kernel.gone[i], 103 - i);
	kernel_let_go(101);
	inval_free(v);
}

/* It is tried once. */
static void test_gone_with_an_older_kernel(void **state)
{
	struct inval *v = start();
	struct inval_lane lane = {0};

	kernel_set_cannot_prune(true);
	for (unsigned i = 0; i < 2; i++) {
		struct inval_batch *b = new_batch(&lane, i, 0, 0, NULL);

		assert_int_equal(inval_add_gone(b, 100), 0);
		assert_int_equal(inval_add_gone(b, 101), 0);
		inval_submit(v, b);
	}
	inval_wait(v, FOR_EVER, never, NULL);
	assert_int_equal(kernel_n_told(), 4);
	assert_int_equal(kernel_n_gone(), 1);
	kernel_set_cannot_prune(false);
	inval_free(v);
}

static void test_nothing_to_tell(void **state)
{
	struct inval *v = start();
	struct inval_lane lane = {0};

	inval_submit(v, new_batch(&lane, 0, 0, 0, NULL));
	inval_submit(v, new_batch(&lane, 1, 5, 0, NULL));
	wait_done(1);
	assert_int_equal(n_done(0), 1);
	assert_int_equal(kernel_n_told(), 1);
	inval_wait(v, FOR_EVER, never, NULL);
	inval_free(v);
	assert_null(inval_free(NULL));
}

static void test_knows(void **state)
{
	struct inval *v = start();

	kernel_forget(5);
	assert_false(inval_knows(v, 5));
	assert_true(inval_knows(v, 6));
	kernel_remember(5);
	assert_true(inval_knows(v, 5));
	inval_free(v);
}

/* What the kernel does not remember is as good as told. */
static void test_unknown(void **state)
{
	struct inval *v = start();
	struct inval_lane lane = {0};

	kernel_forget(5);
	inval_submit(v, new_batch(&lane, 0, 5, 5, "a"));
	inval_wait(v, FOR_EVER, never, NULL);
	assert_int_equal(kernel_n_told_of(5, ""), 1);
	assert_int_equal(kernel_n_told_of(5, "a"), 1);
	kernel_remember(5);
	inval_free(v);
	assert_int_equal(n_done(0), 1);
}

static void test_one_in_flight_in_order(void **state)
{
	struct inval *v = start();
	struct inval_lane held = {0}, other = {0};

	kernel_hold(11);
	inval_submit(v, new_batch(&held, 0, 100, 11, "a"));
	inval_submit(v, new_batch(&held, 1, 101, 12, "b"));
	inval_submit(v, new_batch(&held, 2, 102, 11, "c"));
	inval_submit(v, new_batch(&other, 3, 103, 13, "d"));
	wait_done(3);
	kernel_wait_inside(1);
	/* Nodes need nobody's leave. */
	assert_int_equal(kernel_n_told_of(102, ""), 1);
	/* "b" is not held by anybody, but waits for the one before it. */
	assert_int_equal(kernel_n_told_of(12, "b"), 0);
	assert_int_equal(n_all_done(), 1);
	kernel_let_go(11);
	inval_wait(v, FOR_EVER, never, NULL);
	assert_int_equal(kernel_n_told(), 8);
	assert_string_equal(kernel.told[5].name, "a");
	assert_string_equal(kernel.told[6].name, "b");
	assert_string_equal(kernel.told[7].name, "c");
	inval_free(v);
	assert_int_equal(n_all_done(), 4);
}

static unsigned count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

/* As many guests as there can be threads hold their directories; another one's are told all the same. */
static void test_pool_grows_and_shrinks(void **state)
{
	unsigned before = count_threads();
	struct inval *v = start();
	struct inval_lane lanes[41] = {{0}};

	for (unsigned i = 0; i < 40; i++) {
		kernel_hold(100 + i);
		inval_submit(v, new_batch(&lanes[i], i, 0, 100 + i, "a"));
	}
	kernel_wait_inside(40);
	inval_submit(v, new_batch(&lanes[40], 40, 0, 1000, "a"));
	wait_done(40);
	assert_int_equal(n_all_done(), 1);
	assert_true(count_threads() >= before + 1 + 41);
	for (unsigned i = 0; i < 40; i++)
		kernel_let_go(100 + i);
	inval_wait(v, FOR_EVER, never, NULL);
	while (count_threads() > before + 1 + 2)
		sched_yield();
	/* Who is left still serves. */
	inval_submit(v, new_batch(&lanes[40], 41, 0, 1000, "b"));
	wait_done(41);
	inval_free(v);
	assert_int_equal(n_all_done(), 42);
}

static void count_stalled(void *arg, const char *name)
{
	assert_string_equal(name, "web1");
	++*(unsigned *)arg;
}

static void test_wait(void **state)
{
	struct inval *v = start();
	struct inval_lane held = {0}, other = {0};
	unsigned n = 0;

	inval_wait(v, FOR_EVER, never, NULL);
	kernel_hold(11);
	inval_submit(v, new_batch(&held, 0, 0, 11, "a"));
	inval_submit(v, new_batch(&other, 1, 0, 12, "a"));
	kernel_wait_inside(1);
	inval_wait(v, 1000, count_stalled, &n);
	assert_in_range(n, 1, 2);
	wait_done(1);
	n = 0;
	inval_wait(v, 0, count_stalled, &n);
	assert_int_equal(n, 1);
	/* It has been held up for too long already: only the newer one is waited for. */
	kernel_set_clock_ahead(FOR_EVER);
	inval_submit(v, new_batch(&other, 2, 0, 12, "b"));
	n = 0;
	inval_wait(v, FOR_EVER, count_stalled, &n);
	assert_int_equal(n, 1);
	assert_int_equal(kernel_n_told_of(12, "b"), 1);
	kernel_set_clock_ahead(0);
	kernel_let_go(11);
	inval_wait(v, FOR_EVER, never, NULL);
	assert_int_equal(kernel_n_told_of(11, "a"), 1);
	inval_free(v);
}

static void test_n_stalled(void **state)
{
	struct inval *v = start();
	struct inval_lane lanes[2] = {{0}};

	kernel_hold(11);
	kernel_hold(12);
	inval_submit(v, new_batch(&lanes[0], 0, 0, 11, "a"));
	inval_submit(v, new_batch(&lanes[1], 1, 0, 12, "a"));
	kernel_wait_inside(2);
	kernel_set_clock_ahead(1000 * 1000);
	assert_int_equal(inval_n_stalled(v), 2);
	kernel_set_clock_ahead(0);
	kernel_let_go(11);
	wait_done(0);
	kernel_set_clock_ahead(1000 * 1000);
	assert_int_equal(inval_n_stalled(v), 1);
	kernel_set_clock_ahead(0);
	kernel_let_go(12);
	inval_wait(v, FOR_EVER, never, NULL);
	assert_int_equal(inval_n_stalled(v), 0);
	inval_free(v);
}

/* Who holds a directory while all changes does not make us remember for ever what was to be told. */
static void test_lane_is_bounded(void **state)
{
	struct inval *v = start();
	struct inval_lane held = {0};

	kernel_hold(11);
	inval_submit(v, new_batch(&held, 0, 0, 11, "first"));
	kernel_wait_inside(1);
	for (unsigned i = 1; i < 300; i++)
		inval_submit(v, new_batch(&held, i, 1000 + i, 11, "b"));
	wait_done(299);
	assert_int_equal(n_all_done(), 299 - 256);
	assert_int_equal(kernel_n_told(), 299);
	kernel_let_go(11);
	inval_wait(v, FOR_EVER, never, NULL);
	inval_free(v); /* also waits for who is in done() */
	assert_int_equal(n_all_done(), 300);
	assert_int_equal(kernel_n_told_of(11, "b"), 256);
}

/* What waits behind somebody who is held is ended without being told. */
static void test_end_with_some_waiting(void **state)
{
	struct inval *v = start();
	struct inval_lane held = {0};

	kernel_hold(11);
	for (unsigned i = 0; i < 10; i++)
		inval_submit(v, new_batch(&held, i, 1000 + i, 11, "a"));
	kernel_wait_inside(1);
	for (unsigned i = 0; i < 10; i++)
		kernel_wait_told(1000 + i, "");
	kernel_let_go(11);
	assert_null(inval_free(v));
	assert_int_equal(n_all_done(), 10);
}

static struct inval *abandoned; /* what the kernel holds is nobody's */

static void test_end_with_one_held(void **state)
{
	static struct inval_lane held;
	unsigned before = count_threads();

	abandoned = start();
	kernel_hold(11);
	inval_submit(abandoned, new_batch(&held, 0, 0, 11, "a"));
	inval_submit(abandoned, new_batch(&held, 1, 0, 11, "b"));
	kernel_wait_inside(1);
	assert_null(inval_free(abandoned));
	assert_int_equal(kernel_n_inside(), 1);
	assert_int_equal(n_all_done(), 0);
	/* Those who would have been told are gone when it comes back. */
	kernel_let_go(11);
	while (count_threads() > before)
		sched_yield();
	assert_int_equal(n_all_done(), 0);
	assert_int_equal(kernel_n_told_of(11, "b"), 0);
}

static struct {
	_Atomic unsigned n_calls, n_left;
} idle_work;

static bool do_idle_work(void *ctx)
{
	idle_work.n_calls++;
	assert_ptr_equal(ctx, &idle_work);
	if (idle_work.n_left == 0)
		return false;
	idle_work.n_left--;
	return true;
}

static void test_idle_work(void **state)
{
	struct inval_lane lane = {0};
	struct inval *v = NULL;
	unsigned n;

	assert_int_equal(inval_new(KERNEL_FD, do_idle_work, &idle_work, &v), 0);
	idle_work.n_left = 5;
	inval_wake(v);
	while (idle_work.n_left > 0)
		sched_yield();
	while (idle_work.n_calls < 6)
		sched_yield();
	n = idle_work.n_calls;
	inval_submit(v, new_batch(&lane, 0, 5, 0, NULL));
	while (idle_work.n_calls == n)
		sched_yield();
	/* The last work is done when all ends. */
	idle_work.n_left = 3;
	inval_wake(v);
	inval_free(v);
	assert_int_equal(idle_work.n_left, 0);
}

static void test_no_memory(void **state)
{
	struct inval_batch *b = calloc(1, sizeof(*b));
	int r = 0;

	assert_non_null(b);
	for (uint64_t i = 0; i < 20; i++) {
		ALLOC_WALK(r == -ENOMEM)
		r = inval_add_node(b, i);
		assert_int_equal(r, 0);
		ALLOC_WALK(r == -ENOMEM)
		r = inval_add_entry(b, i, "name");
		assert_int_equal(r, 0);
		assert_int_equal(b->n_nodes, i + 1);
		assert_int_equal(b->n_entries, i + 1);
	}
	inval_batch_free(b);
	inval_batch_free(NULL);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_told),
		TEST(test_gone),
		TEST(test_gone_with_an_older_kernel),
		TEST(test_nothing_to_tell),
		TEST(test_knows),
		TEST(test_unknown),
		TEST(test_one_in_flight_in_order),
		TEST(test_pool_grows_and_shrinks),
		TEST(test_wait),
		TEST(test_n_stalled),
		TEST(test_lane_is_bounded),
		TEST(test_end_with_some_waiting),
		TEST(test_end_with_one_held),
		TEST(test_idle_work),
		TEST(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
