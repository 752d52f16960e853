/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pause before a worker is replaced
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "pause.h"

static void a_quarter_of_the_kernels_patience_at_most(void **state)
{
	static const struct {
		unsigned timeout_s;
		uint64_t expected_us;
	} cases[] = {{0, 5000000}, {1, 250000}, {15, 3750000}, {20, 5000000}, {3600, 5000000}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(pause_max_us(cases[i].timeout_s), cases[i].expected_us);
}

static void pauses_grow_while_workers_die_early(void **state)
{
	static const uint64_t expected[] = {0,       100000,  200000,  400000, 800000,
					    1600000, 3200000, 5000000, 5000000};
	struct pause p = {.max_us = pause_max_us(0), .short_us = 1000000};

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(pause_next(&p, 999999), expected[i]);
	assert_int_equal(pause_next(&p, 1000000), 0);
	assert_int_equal(pause_next(&p, 0), 0);
	assert_int_equal(pause_next(&p, 0), 100000);
}

static void a_short_patience_bounds_every_pause(void **state)
{
	struct pause p = {.max_us = pause_max_us(1), .short_us = 1};

	for (size_t i = 0; i < 10; i++)
		assert_true(pause_next(&p, 0) <= 250000);
	assert_int_equal(pause_next(&p, 0), 250000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quarter_of_the_kernels_patience_at_most),
		cmocka_unit_test(pauses_grow_while_workers_die_early),
		cmocka_unit_test(a_short_patience_bounds_every_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
