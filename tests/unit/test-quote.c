/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Go's %q: what a terminal would act on comes out escaped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/quote.h"

static void assert_quoted(const char *bytes, size_t n, const char *expected)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(quote_go(&b, bytes, n), 0);
	assert_string_equal(b.data, expected);
}

#define ASSERT_QUOTED(literal, expected) assert_quoted(literal, sizeof(literal) - 1, expected)

static void test_quote(void **state)
{
	ASSERT_QUOTED("", "\"\"");
	ASSERT_QUOTED("Ready", "\"Ready\"");
	ASSERT_QUOTED("a\"b\\c", "\"a\\\"b\\\\c\"");
	ASSERT_QUOTED("\a\b\t\n\v\f\r", "\"\\a\\b\\t\\n\\v\\f\\r\"");
	ASSERT_QUOTED("\0\x1b[2J\x7f", "\"\\x00\\x1b[2J\\x7f\"");
	ASSERT_QUOTED("caf\u00e9 \u65e5 \U0001f600", "\"caf\u00e9 \u65e5 \U0001f600\"");
	ASSERT_QUOTED("\xff\xc3", "\"\\xff\\xc3\"");
	ASSERT_QUOTED("\xc2\x85\u00a0\u00ad", "\"\\u0085\\u00a0\\u00ad\"");
	ASSERT_QUOTED("\u202e\u2028\ufeff", "\"\\u202e\\u2028\\ufeff\"");
	ASSERT_QUOTED("\U000e0001", "\"\\U000e0001\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
