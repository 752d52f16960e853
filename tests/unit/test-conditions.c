/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of a file is sent, and when: as RFC 9110 has it and Go's server does it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/conditions.h"
#include "api/httpdate.h"
#include "base/cleanup.h"

#define SIZE   UINT64_C(1000)
#define MTIME  INT64_C(784111777)
#define SAME   "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER  "Sun, 06 Nov 1994 08:49:38 GMT"

static void assert_verdict(struct request_conditions c, enum conditions_verdict expected,
			   uint64_t first, uint64_t n)
{
	struct conditions_range range = {7, 7};

	assert_int_equal(conditions_judge(&c, SIZE, MTIME, &range), expected);
	assert_int_equal(range.first, first);
	assert_int_equal(range.n, n);
}

static void assert_range(const char *range, enum conditions_verdict expected, uint64_t first,
			 uint64_t n)
{
	assert_verdict((struct request_conditions){.range = range}, expected, first, n);
}

static void test_one_range(void **state)
{
	assert_range("bytes=0-0", CONDITIONS_PART, 0, 1);
	assert_range("bytes=5-9", CONDITIONS_PART, 5, 5);
	assert_range("bytes=0-", CONDITIONS_PART, 0, SIZE);
	assert_range("bytes=999-", CONDITIONS_PART, 999, 1);
	assert_range("bytes=999-5000", CONDITIONS_PART, 999, 1);
	assert_range("bytes=-1", CONDITIONS_PART, 999, 1);
	assert_range("bytes=-1000", CONDITIONS_PART, 0, SIZE);
	assert_range("bytes=-1001", CONDITIONS_PART, 0, SIZE);
	assert_range("bytes= \t5 - 9 ,, ", CONDITIONS_PART, 5, 5);
	assert_range("bytes=5-9223372036854775807", CONDITIONS_PART, 5, 995);
}

static void test_unsatisfiable(void **state)
{
	static const char *const texts[] = {
		"bytes=1000-",
		"bytes=1000-1001",
		"bytes=-0",
		"bytes=9-5",
		"bytes=x",
		"bytes=-",
		"bytes=--1",
		"bytes=1",
		"bytes=1-2x",
		"bytes=1-2 3",
		"items=0-1",
		"0-1",
		"bytes 0-1",
		"bytes=0x1-2",
		"bytes=+1-2",
		"bytes=1-+2",
		"bytes=1000-,-0",
		"bytes=99999999999999999999999999-",
		"bytes=9223372036854775808-",
		"bytes=1-9223372036854775808",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_range(texts[i], CONDITIONS_UNSATISFIABLE, 0, 0);
}

/* More than one: all. One of them that is behind the end does not count. */
static void test_several_ranges(void **state)
{
	assert_range("bytes=0-1,5-6", CONDITIONS_WHOLE, 0, SIZE);
	assert_range("bytes=0-1,-1,5-", CONDITIONS_WHOLE, 0, SIZE);
	assert_range("bytes=2-4,1000-", CONDITIONS_PART, 2, 3);
	assert_range("bytes=2-4,-0", CONDITIONS_PART, 2, 3);
	assert_range("bytes=1000-,2-4", CONDITIONS_PART, 2, 3);
	assert_range("bytes=0-1,5-x", CONDITIONS_UNSATISFIABLE, 0, 0);
	assert_range("bytes=", CONDITIONS_WHOLE, 0, SIZE);
	assert_range("bytes=,", CONDITIONS_WHOLE, 0, SIZE);
	assert_range("", CONDITIONS_WHOLE, 0, SIZE);
	assert_range(NULL, CONDITIONS_WHOLE, 0, SIZE);
}

static void assert_if_range(const char *if_range, enum conditions_verdict expected)
{
	assert_verdict((struct request_conditions){.range = "bytes=1-2", .if_range = if_range},
		       expected, expected == CONDITIONS_PART,
		       expected == CONDITIONS_PART ? 2 : SIZE);
}

static void test_if_range(void **state)
{
	assert_if_range(SAME, CONDITIONS_PART);
	assert_if_range(BEFORE, CONDITIONS_WHOLE);
	assert_if_range(AFTER, CONDITIONS_WHOLE);
	assert_if_range("\"tag\"", CONDITIONS_WHOLE);
	assert_if_range("", CONDITIONS_WHOLE);
	/* Nor is a range looked at that is not wanted. */
	assert_verdict((struct request_conditions){.range = "bytes=x", .if_range = BEFORE},
		       CONDITIONS_WHOLE, 0, SIZE);
}

#define ASSERT(verdict, n, ...)                                                                    \
	assert_verdict((struct request_conditions){__VA_ARGS__}, CONDITIONS_##verdict, 0, n)

static void test_dates(void **state)
{
	ASSERT(NOT_MODIFIED, 0, .modified_since = SAME);
	ASSERT(NOT_MODIFIED, 0, .modified_since = AFTER);
	ASSERT(NOT_MODIFIED, 0, .modified_since = AFTER, .range = "bytes=1-2");
	ASSERT(WHOLE, SIZE, .modified_since = BEFORE);
	ASSERT(WHOLE, SIZE, .modified_since = "yesterday");
	ASSERT(WHOLE, SIZE, .unmodified_since = SAME);
	ASSERT(WHOLE, SIZE, .unmodified_since = AFTER);
	ASSERT(WHOLE, SIZE, .unmodified_since = "yesterday");
	ASSERT(FAILED, 0, .unmodified_since = BEFORE);
	ASSERT(FAILED, 0, .unmodified_since = BEFORE, .modified_since = AFTER);
}

/* There are none here, so a tag only keeps the dates from being looked at. */
static void test_tags(void **state)
{
	ASSERT(WHOLE, SIZE, .match = "*", .unmodified_since = BEFORE);
	ASSERT(FAILED, 0, .match = "\"tag\"");
	ASSERT(NOT_MODIFIED, 0, .none_match = "*");
	ASSERT(WHOLE, SIZE, .none_match = "\"tag\"", .modified_since = AFTER);
}

static void assert_date(const char *text, int64_t expected)
{
	int64_t seconds = 7;

	assert_int_equal(httpdate_parse(text, &seconds), 0);
	assert_int_equal(seconds, expected);
}

static void test_date_forms(void **state)
{
	static const char *const bad[] = {"",          "Sun, 06 Nov 1994 08:49:37",
					  SAME "x",    "Sun, 06 Now 1994 08:49:37 GMT",
					  "784111777", "Sun, 06 Nov 1994 25:49:37 GMT"};
	char text[HTTPDATE_SIZE];
	int64_t seconds = 7;

	assert_date(SAME, MTIME);
	assert_date("Sunday, 06-Nov-94 08:49:37 GMT", MTIME);
	assert_date("Sun Nov  6 08:49:37 1994", MTIME);
	assert_date("Thu, 01 Jan 1970 00:00:00 GMT", 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(httpdate_parse(bad[i], &seconds), -EINVAL);
	assert_int_equal(seconds, 7);
	assert_true(httpdate_format(MTIME, text));
	assert_string_equal(text, SAME);
	assert_false(httpdate_format(INT64_MAX, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_range),      cmocka_unit_test(test_unsatisfiable),
		cmocka_unit_test(test_several_ranges), cmocka_unit_test(test_if_range),
		cmocka_unit_test(test_dates),          cmocka_unit_test(test_tags),
		cmocka_unit_test(test_date_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
