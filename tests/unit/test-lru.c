/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bounded memory: what it keeps, what it forgets, and that it counts right
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "core/lru.h"

static void take(void *value)
{
	++**(int **)value;
}

static void drop(void *value)
{
	--**(int **)value;
}

static void test_keeps_and_replaces(void **state)
{
	_cleanup_(lru_freep) struct lru *l = lru_new(4, sizeof(int), NULL, NULL);
	int value = 5;

	assert_false(lru_get(l, 1, &value));
	assert_int_equal(value, 5);
	lru_put(l, 1, &value);
	value = 6;
	assert_true(lru_get(l, 1, &value));
	assert_int_equal(value, 5);
	value = 7;
	lru_put(l, 1, &value);
	value = 0;
	assert_true(lru_get(l, 1, &value));
	assert_int_equal(value, 7);
}

static void test_forgets_the_longest_unused(void **state)
{
	_cleanup_(lru_freep) struct lru *l = lru_new(2, sizeof(int), NULL, NULL);
	int value = 1;

	lru_put(l, 1, &value);
	lru_put(l, 2, &value);
	assert_true(lru_get(l, 1, &value));
	lru_put(l, 3, &value);
	assert_true(lru_get(l, 1, &value));
	assert_false(lru_get(l, 2, &value));
	assert_true(lru_get(l, 3, &value));
}

static void test_counts(void **state)
{
	struct lru *l = lru_new(0, sizeof(int *), take, drop); /* room for one */
	int a = 0, b = 0, *p = &a;

	lru_put(l, 1, &p);
	lru_put(l, 1, &p);
	assert_int_equal(a, 1);
	assert_true(lru_get(l, 1, &p));
	assert_int_equal(a, 2);
	p = &b;
	lru_put(l, 2, &p);
	assert_int_equal(a, 1);
	assert_int_equal(b, 1);
	assert_null(lru_free(l));
	assert_int_equal(b, 0);
	assert_null(lru_free(NULL));
}

static void test_no_memory(void **state)
{
	_cleanup_(lru_freep) struct lru *l = NULL;
	int count = 0, *p = &count;
	bool is_known = false;

	ALLOC_WALK(!l)
	l = lru_new(8, sizeof(int *), take, drop);
	ALLOC_WALK(!is_known)
	{
		lru_put(l, 1, &p);
		is_known = lru_get(l, 1, &p);
		assert_int_equal(count, is_known ? 2 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keeps_and_replaces),
		cmocka_unit_test(test_forgets_the_longest_unused),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
