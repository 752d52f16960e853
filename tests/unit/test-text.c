/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers, truths, names, UTF-8 and likely typos, each at its edges
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/text.h"

static void test_numbers(void **state)
{
	uint64_t n = 99;

	assert_int_equal(text_to_u64("0", 0, 10, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(text_to_u64("18446744073709551615", 0, UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(text_to_u64("007", 7, 7, &n), 0);
	assert_int_equal(n, 7);
}

static void test_numbers_refused(void **state)
{
	static const char *const bad[] = {"",   " 1", "1 ",  "+1", "-1", "0x10",
					  "1a", "1.", "1e3", ".",  "\n", "\xd9\xa1"};
	static const char *const out[] = {"4", "11", "18446744073709551616",
					  "18446744073709551626", /* 10 after wrapping around */
					  "99999999999999999999999999"};
	uint64_t n = 99;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(text_to_u64(bad[i], 0, UINT64_MAX, &n), -EINVAL);
	assert_int_equal(text_to_u64(NULL, 0, UINT64_MAX, &n), -EINVAL);
	assert_int_equal(text_to_u64("99999999999999999999x", 0, 1, &n), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(out); i++)
		assert_int_equal(text_to_u64(out[i], 5, 10, &n), -ERANGE);
	assert_int_equal(n, 99);
}

static void test_numbers_in_a_line(void **state)
{
	const char *rest = "  7\t4294967295 4294967296 x";
	uint64_t n = 1;

	assert_int_equal(text_next_u64(&rest, UINT32_MAX, &n), 0);
	assert_int_equal(n, 7);
	assert_int_equal(text_next_u64(&rest, UINT32_MAX, &n), 0);
	assert_int_equal(n, UINT32_MAX);
	assert_int_equal(text_next_u64(&rest, UINT32_MAX, &n), -ERANGE);
	assert_string_equal(rest, " 4294967296 x");
	assert_int_equal(text_next_u64(&rest, UINT64_MAX, &n), 0);
	n = 1;
	assert_int_equal(text_next_u64(&rest, UINT64_MAX, &n), -EINVAL);
	assert_string_equal(rest, " x");
	rest = "1000000000000000000000000000000";
	assert_int_equal(text_next_u64(&rest, UINT64_MAX, &n), -ERANGE);
	rest = "";
	assert_int_equal(text_next_u64(&rest, UINT64_MAX, &n), -EINVAL);
	assert_int_equal(n, 1);
}

static void test_truth(void **state)
{
	static const char *const yes[] = {"1", "true", "yes", "on", "TRUE", "Yes", "oN"};
	static const char *const no[] = {"0", "false", "no", "off", "FALSE", "No", "oFF"};
	static const char *const neither[] = {"", "2", "t", "truee", "tru", " true", "y", "none"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		assert_int_equal(text_to_bool(yes[i]), 1);
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_int_equal(text_to_bool(no[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(neither); i++)
		assert_int_equal(text_to_bool(neither[i]), -1);
	assert_int_equal(text_to_bool(NULL), -1);
}

static void test_names(void **state)
{
	static const char *const good[] = {"a", "Z9", "web-1", "web.1_x-", "_x", "0"};
	static const char *const bad[] = {"",    ".",   "..",       "-a",  ".a",   "a/b",
					  "a b", "a\n", "\xc3\xa4", "a:b", "a\x7f"};
	char longest[65];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(text_is_name(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(text_is_name(bad[i]));
	assert_false(text_is_name(NULL));
	memset(longest, 'n', sizeof(longest));
	longest[64] = '\0';
	assert_false(text_is_name(longest));
	longest[63] = '\0';
	assert_true(text_is_name(longest));
}

static void test_utf8(void **state)
{
	static const char *const good[] = {"",
					   "plain",
					   "\x7f",
					   "\xc2\x80",         /* the first of two bytes */
					   "\xdf\xbf",         /* the last */
					   "\xe0\xa0\x80",     /* the first of three */
					   "\xed\x9f\xbf",     /* before the surrogates */
					   "\xee\x80\x80",     /* behind them */
					   "\xf0\x90\x80\x80", /* the first of four */
					   "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",
					  "\xc2",
					  "\xc2x",
					  "\xc0\x80",     /* overlong NUL */
					  "\xc1\xbf",     /* overlong */
					  "\xe0\x9f\xbf", /* overlong */
					  "\xe2\x82",
					  "\xed\xa0\x80", /* surrogate */
					  "\xed\xbf\xbf",
					  "\xf0\x8f\xbf\xbf", /* overlong */
					  "\xf4\x90\x80\x80", /* above U+10FFFF */
					  "\xf5\x80\x80\x80",
					  "\xf8\x88\x80\x80\x80",
					  "\xff",
					  "ok\xe2\x28\xa1"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(text_is_utf8(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(text_is_utf8(bad[i], strlen(bad[i])));
	assert_true(text_is_utf8("a\0b", 3));
	assert_int_equal(text_utf8_length("\xe2\x82\xac!", 4), 3);
	assert_int_equal(text_utf8_length("\xe2\x82\xac", 2), 0); /* cut by the length */
	assert_int_equal(text_utf8_length("", 0), 0);
}

static void test_prefix(void **state)
{
	assert_true(text_has_prefix("user.x", "user."));
	assert_true(text_has_prefix("user.", "user."));
	assert_true(text_has_prefix("x", ""));
	assert_false(text_has_prefix("user", "user."));
	assert_false(text_has_prefix("", "u"));
	assert_false(text_has_prefix("User.x", "user."));
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"cloud-init.user-data", "security.devlxd", "on",
					    "user.x"};
	char huge[200];

	assert_string_equal(text_nearest("security.devlx", words, 4), "security.devlxd");
	assert_string_equal(text_nearest("cloudinit.userdata", words, 4), words[0]);
	assert_string_equal(text_nearest("no", (const char *const[]){"on", "n"}, 2), "on");
	assert_string_equal(text_nearest("user.x", words, 4), "user.x");
	assert_null(text_nearest("banana", words, 4));
	assert_string_equal(text_nearest("no", words, 4), "on"); /* a swap is one step */
	assert_string_equal(text_nearest("lsit", (const char *const[]){"list"}, 1), "list");
	assert_null(text_nearest("noo", words, 4)); /* two steps, and one is the limit */
	assert_null(text_nearest("on", words, 0));
	memset(huge, 'x', sizeof(huge));
	huge[sizeof(huge) - 1] = '\0';
	assert_null(text_nearest(huge, words, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_numbers_refused),
		cmocka_unit_test(test_numbers_in_a_line),
		cmocka_unit_test(test_truth),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
