/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The growing buffer: contents, termination, and that a failure changes nothing
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"

static void test_empty(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};
	_cleanup_(freep) char *bytes = NULL;
	size_t n = 7;

	assert_null(b.data);
	bytes = buf_steal(&b, &n);
	assert_string_equal(bytes, "");
	assert_int_equal(n, 0);
	assert_null(b.data);
	buf_finish(&b);
	buf_finish(&b);
}

static void test_append_is_terminated_at_every_length(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};

	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(buf_putc(&b, (char)('a' + i % 26)), 0);
		assert_int_equal(b.len, i + 1);
		assert_true(b.len < b.size);
		assert_int_equal(b.data[b.len], 0);
	}
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
}

static void test_append_keeps_nul_bytes(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(buf_append(&b, "a\0b", 3), 0);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
}

static void test_printf_grows_as_needed(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};
	_cleanup_(freep) char *bytes = NULL;
	size_t n;

	assert_int_equal(buf_puts(&b, "x="), 0);
	assert_int_equal(buf_printf(&b, "%d,%0500d;", 42, 7), 0);
	assert_int_equal(b.len, 2 + 3 + 500 + 1);
	bytes = buf_steal(&b, &n);
	assert_int_equal(n, strlen(bytes));
	assert_memory_equal(bytes, "x=42,000", 8);
	assert_string_equal(bytes + n - 3, "07;");
	assert_int_equal(b.len, 0);
}

static void test_reserve_avoids_moves(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};
	const char *before;

	assert_int_equal(buf_reserve(&b, 300), 0);
	before = b.data;
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(buf_putc(&b, 'x'), 0);
	assert_ptr_equal(b.data, before);
}

static void test_no_memory_leaves_it_as_it_was(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOMEM);
	assert_null(b.data);
	assert_int_equal(buf_puts(&b, "kept"), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX - 2), -ENOMEM); /* would wrap around */
	assert_int_equal(buf_append(&b, "x", SIZE_MAX / 4), -ENOMEM);
	assert_string_equal(b.data, "kept");
	assert_int_equal(b.len, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_append_is_terminated_at_every_length),
		cmocka_unit_test(test_append_keeps_nul_bytes),
		cmocka_unit_test(test_printf_grows_as_needed),
		cmocka_unit_test(test_reserve_avoids_moves),
		cmocka_unit_test(test_no_memory_leaves_it_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
