/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records as trees: texts of values, profiles by default, layers, and differences that never quote
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "ctl/member.h"

static void test_object(void **state)
{
	json_auto_t *record =
		json_pack("{s:{s:s}, s:n, s:[]}", "config", "a", "1", "devices", "match");

	assert_string_equal(
		json_string_value(json_object_get(member_object(record, "config"), "a")), "1");
	assert_true(json_is_object(member_object(record, "devices")));
	assert_true(json_is_object(member_object(record, "root")));
	assert_null(member_object(record, "match"));
}

static void test_text(void **state)
{
	json_auto_t *values = json_pack("[s, i, b, {}]", "x", 12, 1);
	json_auto_t *text = member_text(json_array_get(values, 0));
	json_auto_t *number = member_text(json_array_get(values, 1));
	json_auto_t *truth = member_text(json_array_get(values, 2));

	assert_string_equal(json_string_value(text), "x");
	assert_string_equal(json_string_value(number), "12");
	assert_string_equal(json_string_value(truth), "true");
	assert_null(member_text(json_array_get(values, 3)));
}

static void test_profiles(void **state)
{
	json_auto_t *none = json_object(), *empty = json_pack("{s:[]}", "profiles");
	json_auto_t *by_default = member_profiles(none), *nothing = member_profiles(empty);
	size_t i = 9;

	assert_true(member_contains(by_default, "default", &i));
	assert_int_equal(i, 0);
	assert_int_equal(json_array_size(nothing), 0);
	assert_false(member_contains(nothing, "default", NULL));
}

static void test_diff(void **state)
{
	json_auto_t *old = json_pack("{s:s, s:{s:s, s:s, s:s}, s:{s:s}}", "name", "x", "config",
				     "a", "1", "b", "secret", "c", "3", "match", "cgroup", "/a");
	json_auto_t *new =
		json_pack("{s:{s:s, s:s, s:s}, s:{s:{}}, s:{s:s}}", "config", "a", "1", "b",
			  "hidden", "d", "4", "devices", "eth0", "match", "cgroup", "/b");
	_cleanup_(buf_finish) struct buf same = {0}, b = {0};

	assert_int_equal(member_diff(old, old, &same), 0);
	assert_int_equal(same.len, 0);
	assert_int_equal(member_diff(old, new, &b), 0);
	assert_string_equal(b.data, "config.b: changed\n"
				    "config.d: added\n"
				    "config.c: removed\n"
				    "devices.eth0: added\n"
				    "match: changed\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_diff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
