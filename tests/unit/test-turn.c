/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns: a quantum per instance and round, first come first served within it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "front/turn.h"

/* Never looked into: only their addresses count. */
static const char names[2];
#define GREEDY ((const struct instance *)&names[0])
#define QUIET  ((const struct instance *)&names[1])

static void enter(struct turn *t, struct turn_entry *e, size_t n, const struct instance *i)
{
	for (size_t k = 0; k < n; k++)
		assert_int_equal(turn_enter(t, &e[k], i), 0);
}

static void leave(struct turn *t, struct turn_entry *e, size_t n)
{
	for (size_t k = 0; k < n; k++)
		turn_leave(t, &e[k]);
}

static void one_alone_is_not_limited(void **state)
{
	struct turn t = {0};
	struct turn_entry e[3 * TURN_QUANTUM] = {0};

	enter(&t, e, ARRAY_SIZE(e), GREEDY);
	turn_begin(&t);
	for (size_t i = 0; i < ARRAY_SIZE(e); i++)
		assert_true(turn_take(&t, &e[i]));
	leave(&t, e, ARRAY_SIZE(e));
	assert_null(t.lanes);
}

static void a_neighbour_is_served_in_the_same_round(void **state)
{
	struct turn t = {0};
	struct turn_entry greedy[3 * TURN_QUANTUM] = {0}, quiet = {0};

	enter(&t, greedy, ARRAY_SIZE(greedy), GREEDY);
	enter(&t, &quiet, 1, QUIET);
	turn_begin(&t);
	for (size_t i = 0; i < ARRAY_SIZE(greedy); i++)
		assert_int_equal(turn_take(&t, &greedy[i]), i < TURN_QUANTUM);
	assert_true(turn_is_pending(&t));
	assert_true(turn_take(&t, &quiet));
	leave(&t, greedy, ARRAY_SIZE(greedy));
	leave(&t, &quiet, 1);
	assert_false(turn_is_pending(&t));
	assert_null(t.lanes);
}

static void those_who_wait_go_before_newer_requests(void **state)
{
	struct turn t = {0};
	struct turn_entry greedy[2 * TURN_QUANTUM + 1] = {0}, quiet = {0}, *e;

	enter(&t, greedy, ARRAY_SIZE(greedy), GREEDY);
	enter(&t, &quiet, 1, QUIET);
	turn_begin(&t);
	for (size_t i = 0; i < ARRAY_SIZE(greedy); i++)
		turn_take(&t, &greedy[i]);

	turn_begin(&t);
	for (size_t i = 0; i < TURN_QUANTUM; i++)
		assert_ptr_equal(turn_next(&t), &greedy[TURN_QUANTUM + i]);
	assert_null(turn_next(&t));
	/* A newer one of the same instance does not take the place of those granted. */
	assert_false(turn_take(&t, &greedy[0]));
	for (size_t i = 0; i < TURN_QUANTUM; i++)
		assert_true(turn_take(&t, &greedy[TURN_QUANTUM + i]));

	turn_begin(&t);
	assert_ptr_equal(turn_next(&t), &greedy[2 * TURN_QUANTUM]);
	assert_ptr_equal(turn_next(&t), &greedy[0]);
	assert_null(turn_next(&t));
	assert_false(turn_is_pending(&t));
	leave(&t, greedy, ARRAY_SIZE(greedy));
	leave(&t, &quiet, 1);
	e = turn_any(&t);
	assert_null(e);
}

static void one_that_leaves_while_it_waits_is_not_handed_out(void **state)
{
	struct turn t = {0};
	struct turn_entry greedy[TURN_QUANTUM + 2] = {0}, quiet = {0};

	enter(&t, greedy, ARRAY_SIZE(greedy), GREEDY);
	enter(&t, &quiet, 1, QUIET);
	turn_begin(&t);
	for (size_t i = 0; i < ARRAY_SIZE(greedy); i++)
		turn_take(&t, &greedy[i]);
	turn_leave(&t, &greedy[TURN_QUANTUM]);
	assert_ptr_equal(turn_any(&t), &greedy[TURN_QUANTUM + 1]);
	assert_null(turn_any(&t));
	leave(&t, greedy, ARRAY_SIZE(greedy));
	leave(&t, &quiet, 1);
}

static void one_that_never_entered_takes_no_part(void **state)
{
	struct turn t = {0};
	struct turn_entry e = {0};

	for (int i = 0; i < 3 * TURN_QUANTUM; i++)
		assert_true(turn_take(&t, &e));
	turn_leave(&t, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_alone_is_not_limited),
		cmocka_unit_test(a_neighbour_is_served_in_the_same_round),
		cmocka_unit_test(those_who_wait_go_before_newer_requests),
		cmocka_unit_test(one_that_leaves_while_it_waits_is_not_handed_out),
		cmocka_unit_test(one_that_never_entered_takes_no_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
