/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pokes: one of an instance is in flight, further ones wait in order, and what is lost holds nothing up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <sys/socket.h>

#include "kernel.h"
#include "poke.h"
#include "tree.h"
#include <utlist.h>

#define SERIAL 7
#define DIR    tree_id(SERIAL, 100)
#define OLD    tree_id(SERIAL, 200)

struct world {
	struct inval *inval;
	struct shared shared;
	struct poke *poke;
	int fds[2]; /* the worker's end, the poker's */
};

static bool idle(void *ctx)
{
	return false;
}

static int setup(void **state)
{
	static struct world w;

	w = (struct world){.shared = {.n_workers = 1}};
	memset(kernel.unknown, 0, sizeof(kernel.unknown));
	kernel_begin();
	*state = &w;
	return inval_new(KERNEL_FD, idle, NULL, &w.inval) < 0 ||
			       socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, w.fds) < 0 ||
			       poke_new(w.fds[0], w.inval, &w.shared, &w.poke) < 0
		       ? -1
		       : 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	poke_free(w->poke);
	inval_free(w->inval);
	close(w->fds[0]);
	close(w->fds[1]);
	return 0;
}

static void submit_of(struct world *w, uint32_t serial, enum poker_op op, const char *name)
{
	struct poke_item *list = NULL, *item = poke_item_new("web1/config", name);

	assert_non_null(item);
	item->op = op;
	item->parent = tree_id(serial, 100);
	item->old_id = op == POKER_ADD ? 0 : tree_id(serial, 200);
	DL_APPEND(list, item);
	poke_submit(w->poke, serial, list);
}

static void submit(struct world *w, enum poker_op op, const char *name)
{
	submit_of(w, SERIAL, op, name);
}

/* The poker takes the next request, which is about @name; its number. */
static uint64_t take(struct world *w, enum poker_op op, const char *name)
{
	struct poker_request r = {0};

	assert_true(recv(w->fds[1], &r, sizeof(r), 0) >
		    (ssize_t)offsetof(struct poker_request, path));
	assert_int_equal(r.op, op);
	assert_memory_equal(r.path, "web1/config/", strlen("web1/config/"));
	assert_string_equal(r.path + strlen("web1/config/"), name);
	return r.number;
}

static bool has_request(struct world *w)
{
	char byte;

	return recv(w->fds[1], &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0;
}

static void say(struct world *w, uint64_t number, int error)
{
	const struct poker_answer a = {.number = number, .error = error};

	assert_int_equal(send(w->fds[1], &a, sizeof(a), 0), sizeof(a));
}

static void wait_quiet(struct world *w)
{
	while (poke_is_busy(w->poke))
		sched_yield();
}

static struct poke_stats count(struct world *w)
{
	struct poke_stats s;

	poke_count(w->poke, &s);
	return s;
}

static void test_one_in_flight(void **state)
{
	struct world *w = *state;
	struct poke_shown s;
	uint64_t number;

	assert_false(poke_in_flight(w->poke, SERIAL, &s));
	submit(w, POKER_ADD, "a");
	submit(w, POKER_REMOVE, "b");
	number = take(w, POKER_ADD, "a");
	assert_false(has_request(w));
	assert_true(poke_in_flight(w->poke, SERIAL, &s));
	assert_string_equal(s.name, "a");
	assert_true(s.item.parent == DIR && s.item.op == POKER_ADD);
	say(w, number + 1, 0); /* not known */
	say(w, number, 0);
	number = take(w, POKER_REMOVE, "b");
	assert_true(poke_in_flight(w->poke, SERIAL, &s));
	assert_true(s.item.old_id == OLD);
	say(w, number, -ENOENT);
	wait_quiet(w);
	assert_false(poke_in_flight(w->poke, SERIAL, &s));
	assert_int_equal(count(w).n_sent, 2);
	assert_int_equal(count(w).n_failed, 1);
}

static void test_instances_do_not_wait_for_each_other(void **state)
{
	struct world *w = *state;
	uint64_t a, b;

	submit_of(w, 1, POKER_ADD, "a");
	submit_of(w, 2, POKER_ADD, "b");
	a = take(w, POKER_ADD, "a");
	b = take(w, POKER_ADD, "b");
	say(w, b, 0);
	say(w, a, 0);
	wait_quiet(w);
}

static void test_another_poker(void **state)
{
	struct world *w = *state;

	submit(w, POKER_ADD, "a");
	submit(w, POKER_ADD, "b");
	(void)take(w, POKER_ADD, "a");
	say(w, 0, 0); /* what an earlier one took is not answered */
	say(w, take(w, POKER_ADD, "b"), 0);
	wait_quiet(w);
}

static void test_nobody_watches(void **state)
{
	struct world *w = *state;
	struct poke_shown s;

	kernel_forget(DIR);
	submit(w, POKER_ADD, "a");
	assert_int_equal(count(w).n_sent, 0);
	/* A file that is watched need not have a directory that is. */
	submit(w, POKER_CHANGE, "a");
	say(w, take(w, POKER_CHANGE, "a"), 0);
	wait_quiet(w);
	kernel_forget(OLD);
	submit(w, POKER_CHANGE, "a");
	assert_int_equal(count(w).n_sent, 1);
	/* And the other way round: then the old node has no use. */
	kernel_remember(DIR);
	submit(w, POKER_CHANGE, "a");
	assert_true(poke_in_flight(w->poke, SERIAL, &s));
	assert_true(s.item.old_id == 0);
}

static void test_too_many(void **state)
{
	struct world *w = *state;
	char name[16];
	uint64_t number;

	submit(w, POKER_ADD, "first");
	for (unsigned i = 0; i < POKE_LANE_MAX + 10; i++) {
		snprintf(name, sizeof(name), "%u", i);
		submit(w, POKER_CHANGE, name);
	}
	assert_int_equal(count(w).n_dropped, 11);
	submit(w, POKER_REMOVE, "0"); /* in place of what was said of that before */
	assert_int_equal(count(w).n_dropped, 12);
	number = take(w, POKER_ADD, "first");
	for (unsigned i = 1; i < POKE_LANE_MAX - 1; i++) {
		snprintf(name, sizeof(name), "%u", i);
		say(w, number, 0);
		number = take(w, POKER_CHANGE, name);
	}
	say(w, number, 0);
	say(w, take(w, POKER_REMOVE, "0"), 0);
	wait_quiet(w);
}

/* More instances than the channel holds. */
static void test_full_channel(void **state)
{
	enum {
		N = 3000
	};
	struct world *w = *state;
	struct poker_request r;

	for (uint32_t i = 1; i <= N; i++)
		submit_of(w, i, POKER_ADD, "a");
	assert_true(count(w).n_sent < N);
	for (uint32_t i = 0; i < N; i++) {
		assert_true(recv(w->fds[1], &r, sizeof(r), 0) > 0);
		say(w, r.number, 0);
	}
	wait_quiet(w);
	assert_int_equal(count(w).n_sent, N);
}

static void test_too_long(void **state)
{
	char dir[POKER_PATH_MAX];

	memset(dir, 'd', sizeof(dir) - 1);
	dir[sizeof(dir) - 1] = '\0';
	assert_null(poke_item_new(dir, "name"));
	assert_null(poke_free(NULL));
	poke_items_free(NULL);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_in_flight), TEST(test_instances_do_not_wait_for_each_other),
		TEST(test_another_poker), TEST(test_nobody_watches),
		TEST(test_too_many),      TEST(test_full_channel),
		TEST(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
