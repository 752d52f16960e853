/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instances: references, the swap of snapshots under load, and to which run Ready belongs. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "core/instance.h"
#include "records.h"

static const struct boot first = {.cgroup_id = 7, .init_start = 100, .init_pid = 10};
static const struct boot second = {.cgroup_id = 7, .init_start = 200, .init_pid = 10};
static const struct boot unknown = {0};

static void test_boots(void **state)
{
	const struct boot copy = first, other_pid = {7, 100, 11}, other_cgroup = {8, 100, 10};

	assert_true(boot_equal(&first, &copy));
	assert_false(boot_equal(&first, &second));
	assert_false(boot_equal(&first, &other_pid));
	assert_false(boot_equal(&first, &other_cgroup));
	assert_false(boot_equal(&first, &unknown));
	assert_false(boot_equal(&unknown, &first));
	assert_false(boot_equal(&unknown, &unknown));
}

static void test_references(void **state)
{
	struct instance *i = instance_new("web1");

	assert_null(instance_unref(NULL));
	assert_null(instance_ref(NULL));
	assert_string_equal(instance_name(i), "web1");
	assert_int_equal(instance_account(i)->n_connections, 0);
	assert_false(instance_is_shared(i));
	assert_ptr_equal(instance_ref(i), i);
	assert_true(instance_is_shared(i));
	assert_null(instance_unref(i));
	assert_false(instance_is_shared(i));
	assert_null(instance_unref(i));
}

static void test_snapshots(void **state)
{
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	_cleanup_(snapshot_unrefp) struct snapshot *a =
		records_snapshot(records_new("web1", NO_PAIRS), NULL);
	_cleanup_(snapshot_unrefp) struct snapshot *held = NULL;

	assert_null(instance_snapshot(i));
	instance_set_snapshot(i, a);
	held = instance_snapshot(i);
	assert_ptr_equal(held, a);
	instance_set_snapshot(i, a);
	instance_set_snapshot(i, NULL);
	assert_null(instance_snapshot(i));
	assert_string_equal(snapshot_name(held), "web1");
	instance_set_snapshot(i, a);
}

static void test_ready(void **state)
{
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	struct boot said;

	assert_false(instance_ready_boot(i, &said));
	instance_set_ready(i, &first, true);
	assert_true(instance_is_ready(i, &first));
	assert_false(instance_is_ready(i, &second));
	assert_false(instance_is_ready(i, &unknown));
	assert_true(instance_ready_boot(i, &said));
	assert_true(boot_equal(&said, &first));

	instance_set_ready(i, &second, false);
	assert_true(instance_is_ready(i, &first));
	instance_set_ready(i, &second, true);
	assert_false(instance_is_ready(i, &first));
	assert_true(instance_is_ready(i, &second));
	instance_set_ready(i, &second, false);
	assert_false(instance_is_ready(i, &second));
	assert_false(instance_ready_boot(i, &said));

	instance_set_ready(i, &unknown, true);
	assert_false(instance_is_ready(i, &unknown));
	assert_false(instance_ready_boot(i, &said));
}

/* Each snapshot holds one value twice: a reader that sees two halves has met a torn one. */
static void *read_snapshots(void *arg)
{
	struct instance *i = arg;
	long n_torn = 0;

	for (int n = 0; n < 5000; n++) {
		_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(i);

		if (s && !streq(snapshot_config(s, "a", NULL), snapshot_config(s, "b", NULL)))
			n_torn++;
		instance_set_ready(i, n % 2 ? &first : &second, true);
		instance_is_ready(i, &first);
	}
	return (void *)n_torn;
}

static void test_threads(void **state)
{
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	pthread_t readers[3];
	void *n_torn;

	for (size_t n = 0; n < ARRAY_SIZE(readers); n++)
		assert_int_equal(pthread_create(&readers[n], NULL, read_snapshots, i), 0);
	for (int n = 0; n < 2000; n++) {
		const char *value = n % 2 ? "odd" : "even";
		_cleanup_(snapshot_unrefp) struct snapshot *s =
			records_snapshot(records_new("web1", PAIRS("a", value, "b", value)), NULL);

		instance_set_snapshot(i, n % 10 ? s : NULL);
	}
	for (size_t n = 0; n < ARRAY_SIZE(readers); n++) {
		assert_int_equal(pthread_join(readers[n], &n_torn), 0);
		assert_null(n_torn);
	}
}

static void test_no_memory(void **state)
{
	_cleanup_(instance_unrefp) struct instance *i = NULL;
	int n_failed = 0;

	ALLOC_WALK(!i && ++n_failed)
	i = instance_new("web1");
	assert_int_equal(n_failed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boots),     cmocka_unit_test(test_references),
		cmocka_unit_test(test_snapshots), cmocka_unit_test(test_ready),
		cmocka_unit_test(test_threads),   cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
