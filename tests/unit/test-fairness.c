/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fairness: one of each in turn, bounds, and every allocation failing once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "fairness.h"

/* Requests of one byte that says which. */
static char requests[256];

static int try_to_park(struct fairness *f, uint32_t serial, char what)
{
	requests[(unsigned char)what] = what;
	return fairness_park(f, serial, &requests[(unsigned char)what], 1, FAIRNESS_MAX);
}

static void park(struct fairness *f, uint32_t serial, char what)
{
	assert_int_equal(try_to_park(f, serial, what), 0);
}

static struct parked *take(struct fairness *f, char expected)
{
	struct parked *p = fairness_take(f);

	assert_non_null(p);
	assert_int_equal(p->n, 1);
	assert_int_equal(*(const char *)p->request, expected);
	return p;
}

static void serve(struct fairness *f, char expected)
{
	fairness_done(f, take(f, expected));
}

static void test_in_turn(void **state)
{
	_cleanup_(fairness_freep) struct fairness *f = fairness_new(2);

	assert_true(fairness_is_idle(f));
	assert_null(fairness_take(f));
	for (char c = 'a'; c < 'e'; c++)
		park(f, 1, c);
	park(f, 2, 'A');
	park(f, 0, '0');
	park(f, 2, 'B');
	assert_false(fairness_is_idle(f));
	assert_true(fairness_has_turn(f));
	for (const char *c = "aA0bBc"; *c; c++)
		serve(f, *c);
	/* One that comes later is behind those who wait, but only a round. */
	park(f, 3, 'x');
	park(f, 1, 'e');
	for (const char *c = "dxe"; *c; c++)
		serve(f, *c);
	assert_true(fairness_is_idle(f));
	assert_null(fairness_take(f));
	assert_null(fairness_free(NULL));
}

/* What one of an instance's requests may wait for cannot stop the others. */
static void test_in_service(void **state)
{
	_cleanup_(fairness_freep) struct fairness *f = fairness_new(3);
	struct parked *first, *second, *other;

	for (char c = 'a'; c < 'e'; c++)
		park(f, 1, c);
	first = take(f, 'a');
	second = take(f, 'b');
	assert_null(fairness_take(f));
	assert_false(fairness_is_idle(f));
	park(f, 2, 'A');
	other = take(f, 'A');
	assert_null(fairness_take(f));
	fairness_done(f, second);
	second = take(f, 'c');
	assert_null(fairness_take(f));
	fairness_done(f, other);
	assert_null(fairness_take(f));
	fairness_done(f, first);
	serve(f, 'd');
	fairness_done(f, second);
}

/* A single thread has no other to keep free. */
static void test_one_thread(void **state)
{
	_cleanup_(fairness_freep) struct fairness *f = fairness_new(1);

	park(f, 1, 'a');
	park(f, 1, 'b');
	serve(f, 'a');
	serve(f, 'b');
}

/* It stays where it is. */
static void test_request(void **state)
{
	_cleanup_(fairness_freep) struct fairness *f = fairness_new(2);
	char request[8];
	struct parked *p;

	assert_int_equal(fairness_park(f, 1, request, sizeof(request), FAIRNESS_MAX), 0);
	p = fairness_take(f);
	assert_ptr_equal(p->request, request);
	assert_int_equal(p->n, sizeof(request));
	fairness_done(f, p);
}

/* The limit is an instance's own; what waits then is dropped with all. */
static void test_limit(void **state)
{
	_cleanup_(fairness_freep) struct fairness *f = fairness_new(2);
	struct parked *p;

	for (int i = 0; i < FAIRNESS_MAX; i++)
		park(f, 1, 'a');
	assert_int_equal(try_to_park(f, 1, 'b'), -EAGAIN);
	park(f, 2, 'A');
	p = take(f, 'a');
	park(f, 1, 'c');
	assert_int_equal(try_to_park(f, 1, 'b'), -EAGAIN);
	assert_int_equal(fairness_park(f, 1, requests, 1, FAIRNESS_MAX - 1), -EAGAIN);
	assert_int_equal(fairness_park(f, 1, requests, 1, FAIRNESS_MAX + 1), 0);
	fairness_done(f, p);
}

static void test_no_memory(void **state)
{
	_cleanup_(fairness_freep) struct fairness *f = NULL;
	int r = 0;

	ALLOC_WALK(!f)
	f = fairness_new(2);
	for (uint32_t serial = 1; serial < 100; serial++) {
		ALLOC_WALK(r == -ENOMEM)
		{
			r = try_to_park(f, serial, 'a');
			assert_int_equal(fairness_is_idle(f), r != 0);
		}
		assert_int_equal(r, 0);
		serve(f, 'a');
	}
	ALLOC_WALK(r == -ENOMEM)
	r = try_to_park(f, 1, 'a');
	ALLOC_WALK(r == -ENOMEM)
	r = try_to_park(f, 1, 'b');
	serve(f, 'a');
	serve(f, 'b');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_turn),    cmocka_unit_test(test_in_service),
		cmocka_unit_test(test_one_thread), cmocka_unit_test(test_request),
		cmocka_unit_test(test_limit),      cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
