/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables: order, duplicates, bytes, bounds, and every allocation failing once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "records.h"

#define PAIR(k, v)                                                                                 \
	{                                                                                          \
		k, v, sizeof(v) - 1                                                                \
	}

static void test_empty(void **state)
{
	struct table *t = (void *)state;

	assert_null(table_unref(NULL));
	assert_null(table_ref(NULL));
	assert_int_equal(table_new(NULL, 0, &t), 0);
	assert_null(t);
	assert_int_equal(table_size(NULL), 0);
	assert_null(table_get(NULL, "a", NULL));
	assert_int_equal(table_after(NULL, NULL), 0);
	assert_int_equal(table_after(NULL, "a"), 0);
	assert_true(table_equal(NULL, NULL));
}

static void test_order_and_duplicates(void **state)
{
	const struct table_pair pairs[] = {PAIR("b", "old"), PAIR("\xc3\xa9", "e"), PAIR("a", "1"),
					   PAIR("b", "new"), PAIR("", "none"),      PAIR("ab", "")};
	static const char *const keys[] = {"", "a", "ab", "b", "\xc3\xa9"};
	_cleanup_(table_unrefp) struct table *t = NULL;
	size_t len = 77;

	assert_int_equal(table_new(pairs, ARRAY_SIZE(pairs), &t), 0);
	assert_int_equal(table_size(t), ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_string_equal(table_at(t, i).key, keys[i]);
	assert_string_equal(table_get(t, "b", &len), "new");
	assert_int_equal(len, 3);
	assert_string_equal(table_get(t, "ab", &len), "");
	assert_int_equal(len, 0);
	assert_string_equal(table_get(t, "", NULL), "none");
	len = 77;
	assert_null(table_get(t, "aa", &len));
	assert_null(table_get(t, "c", &len));
	assert_int_equal(len, 77);
}

static void test_after(void **state)
{
	_cleanup_(table_unrefp) struct table *t =
		records_table(PAIRS("b", "1", "d", "2", "f", "3"));

	assert_int_equal(table_after(t, NULL), 0);
	assert_int_equal(table_after(t, "a"), 0);
	assert_int_equal(table_after(t, "b"), 1);
	assert_int_equal(table_after(t, "c"), 1);
	assert_int_equal(table_after(t, "e"), 2);
	assert_int_equal(table_after(t, "f"), 3);
	assert_int_equal(table_after(t, "g"), 3);
}

static void test_values_are_copied_bytes(void **state)
{
	char key[] = "key", value[] = "a\0b";
	const struct table_pair pair = {key, value, 3};
	_cleanup_(table_unrefp) struct table *t = NULL;
	struct table_pair found;

	assert_int_equal(table_new(&pair, 1, &t), 0);
	memset(key, 'x', 3);
	memset(value, 'x', 3);
	found = table_at(t, 0);
	assert_string_equal(found.key, "key");
	assert_int_equal(found.value_len, 3);
	assert_memory_equal(found.value, "a\0b\0", 4);
}

static void assert_tables(const struct table_pair *a, const struct table_pair *b, size_t n,
			  bool equal)
{
	_cleanup_(table_unrefp) struct table *x = NULL;
	_cleanup_(table_unrefp) struct table *y = NULL;

	assert_int_equal(table_new(a, n, &x), 0);
	assert_int_equal(table_new(b, n, &y), 0);
	assert_int_equal(table_equal(x, y), equal);
	assert_false(table_equal(x, NULL));
	assert_false(table_equal(NULL, y));
}

static void test_equal(void **state)
{
	const struct table_pair ab[] = {PAIR("a", "1"), PAIR("b", "2")};
	const struct table_pair ba[] = {PAIR("b", "2"), PAIR("a", "1")};
	const struct table_pair other[] = {PAIR("a", "1"), PAIR("b", "3")};
	const struct table_pair nul[] = {PAIR("a", "1"), PAIR("b", "2\0")};
	const struct table_pair split[] = {PAIR("a", "bc")}, shifted[] = {PAIR("ab", "c")};
	_cleanup_(table_unrefp) struct table *t = NULL;

	assert_tables(ab, ba, 2, true);
	assert_tables(ab, other, 2, false);
	assert_tables(ab, nul, 2, false);
	assert_tables(split, shifted, 1, false);
	assert_int_equal(table_new(ab, 1, &t), 0);
	assert_true(table_equal(t, t));
}

static void test_too_large(void **state)
{
	const struct table_pair one[] = {{"a", "", (size_t)UINT32_MAX + 1}};
	const struct table_pair sum[] = {{"a", "", UINT32_MAX / 2}, {"b", "", UINT32_MAX / 2}};
	struct table *t = NULL;

	assert_int_equal(table_new(one, 1, &t), -EFBIG);
	assert_int_equal(table_new(sum, 2, &t), -EFBIG);
	assert_null(t);
}

static void test_many_keys(void **state)
{
	enum {
		N = 5000
	};
	static char keys[N][16];
	static struct table_pair pairs[N];
	_cleanup_(table_unrefp) struct table *t = NULL;
	_cleanup_(table_unrefp) struct table *again = NULL;

	for (size_t i = 0; i < N; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key-%zu", i * 7919 % N);
		pairs[i] = (struct table_pair){keys[i], keys[i], strlen(keys[i])};
	}
	assert_int_equal(table_new(pairs, N, &t), 0);
	assert_int_equal(table_size(t), N);
	again = table_ref(t);
	assert_ptr_equal(again, t);
	for (size_t i = 0; i < N; i++)
		assert_string_equal(table_get(t, keys[i], NULL), keys[i]);
	for (size_t i = 1; i < N; i++)
		assert_true(strcmp(table_at(t, i - 1).key, table_at(t, i).key) < 0);
}

/* Where offsets grow from two bytes to four. */
static void test_width(void **state)
{
	static char value[UINT16_MAX + 8];

	memset(value, 'v', sizeof(value));
	for (size_t len = UINT16_MAX - 12; len < UINT16_MAX + 4; len++) {
		const struct table_pair pairs[] = {{"a", value, len}, {"b", "x", 1}};
		_cleanup_(table_unrefp) struct table *t = NULL;
		_cleanup_(table_unrefp) struct table *same = NULL;
		size_t n;

		assert_int_equal(table_new(pairs, 2, &t), 0);
		assert_int_equal(table_new(pairs, 2, &same), 0);
		assert_memory_equal(table_get(t, "a", &n), value, len);
		assert_int_equal(n, len);
		assert_string_equal(table_get(t, "b", &n), "x");
		assert_int_equal(n, 1);
		assert_true(table_equal(t, same));
	}
}

static void test_no_memory(void **state)
{
	const struct table_pair pairs[] = {PAIR("b", "2"), PAIR("a", "1")};
	_cleanup_(table_unrefp) struct table *t = NULL;
	int r, n_failed = 0;

	ALLOC_WALK(r == -ENOMEM && ++n_failed)
	{
		assert_null(t);
		r = table_new(pairs, 2, &t);
	}
	assert_int_equal(r, 0);
	assert_int_equal(n_failed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),     cmocka_unit_test(test_order_and_duplicates),
		cmocka_unit_test(test_after),     cmocka_unit_test(test_values_are_copied_bytes),
		cmocka_unit_test(test_equal),     cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_many_keys), cmocka_unit_test(test_width),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
