/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits: the bounds of connections and requests, alone and from several threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "core/limits.h"
#include "core/settings.h"

#define SECOND UINT64_C(1000000)
#define START  (UINT64_C(86400) * SECOND)

static void test_connections(void **state)
{
	const struct settings s = {.max_connections = 2};
	struct account a = {0};

	assert_true(account_connect(&a, &s));
	assert_true(account_connect(&a, &s));
	assert_false(account_connect(&a, &s));
	assert_int_equal(a.n_connections, 2);
	account_disconnect(&a);
	assert_true(account_connect(&a, &s));
	assert_int_equal(a.n_accepted, 3);
	assert_int_equal(a.n_refused_connections, 1);
}

static void test_event_listeners(void **state)
{
	const struct settings s = {.max_event_listeners = 2};
	struct account a = {0};

	assert_true(account_listen(&a, &s));
	assert_true(account_listen(&a, &s));
	assert_false(account_listen(&a, &s));
	assert_int_equal(a.n_event_listeners, 2);
	assert_int_equal(a.n_refused_requests, 1);
	account_unlisten(&a);
	assert_true(account_listen(&a, &s));
}

static unsigned take(struct account *a, const struct settings *s, uint64_t now, unsigned tries)
{
	unsigned n = 0;

	while (tries-- > 0)
		n += account_request(a, s, now) == 0;
	return n;
}

static void test_no_request_limit(void **state)
{
	const struct settings s = {.max_requests_per_s = 0};
	struct account a = {0};

	assert_int_equal(take(&a, &s, START, 1000), 1000);
	assert_int_equal(a.n_requests, 1000);
	assert_int_equal(a.n_refused_requests, 0);
}

static void test_burst_is_one_second(void **state)
{
	static const uint32_t rates[] = {1, 2, 3, 7, 10, 64, 999, 1000};

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		const struct settings s = {.max_requests_per_s = rates[i]};
		struct account a = {0};

		assert_int_equal(take(&a, &s, START, 3000), rates[i]);
		assert_int_equal(a.n_requests, rates[i]);
		assert_int_equal(a.n_refused_requests, 3000 - rates[i]);
	}
}

static void test_refill(void **state)
{
	const struct settings s = {.max_requests_per_s = 10};
	struct account a = {0};

	assert_int_equal(take(&a, &s, START, 20), 10);
	assert_int_equal(account_request(&a, &s, START), 1);
	assert_int_equal(take(&a, &s, START + SECOND / 10 - 1, 20), 0);
	assert_int_equal(take(&a, &s, START + SECOND / 10, 20), 1);
	assert_int_equal(take(&a, &s, START + SECOND, 20), 9);
	/* A long rest does not save up more than the burst. */
	assert_int_equal(take(&a, &s, START + 3600 * SECOND, 20), 10);
	/* Another thread's slightly older clock takes nothing twice and waits no less. */
	assert_int_equal(take(&a, &s, START + 3599 * SECOND, 20), 0);
	assert_in_range(account_request(&a, &s, START + 3599 * SECOND), 1, 2);
}

static void test_small_times(void **state)
{
	const struct settings s = {.max_requests_per_s = 2};
	struct account a = {0};

	assert_int_equal(take(&a, &s, 0, 5), 2);
	assert_int_equal(take(&a, &s, SECOND, 5), 2);
}

struct load {
	struct account account;
	struct settings settings;
	_Atomic uint32_t n_open, n_most, n_passed;
};

static void *charge(void *arg)
{
	struct load *l = arg;

	for (int i = 0; i < 5000; i++) {
		if (account_connect(&l->account, &l->settings)) {
			uint32_t n = ++l->n_open;

			if (n > l->n_most)
				l->n_most = n;
			l->n_open--;
			account_disconnect(&l->account);
		}
		l->n_passed += account_request(&l->account, &l->settings, START) == 0;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct load l = {.settings = {.max_connections = 2, .max_requests_per_s = 1000}};
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, charge, &l), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_in_range(l.n_most, 1, 2);
	assert_int_equal(l.account.n_connections, 0);
	assert_int_equal(l.account.n_accepted + l.account.n_refused_connections, 20000);
	assert_int_equal(l.n_passed, 1000);
	assert_int_equal(l.account.n_requests, 1000);
	assert_int_equal(l.account.n_refused_requests, 19000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),      cmocka_unit_test(test_event_listeners),
		cmocka_unit_test(test_no_request_limit), cmocka_unit_test(test_burst_is_one_second),
		cmocka_unit_test(test_refill),           cmocka_unit_test(test_small_times),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
