/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings: defaults, bounds of every member, and what each complaint says. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "core/settings.h"

static void test_defaults(void **state)
{
	_cleanup_(settings_finish) struct settings s = {0};

	settings_init(&s);
	assert_null(s.location);
	assert_int_equal(s.threads, 0);
	assert_int_equal(s.max_connections, 64);
	assert_int_equal(s.max_event_listeners, 16);
	assert_int_equal(s.max_header_bytes, 12288);
	assert_int_equal(s.max_body_bytes, 65536);
	assert_int_equal(s.first_header_timeout_ms, 3000);
	assert_int_equal(s.idle_timeout_s, 33);
	assert_int_equal(s.max_requests_per_s, 0);
	assert_int_equal(s.max_refused, 64);
	assert_int_equal(s.identity_cache, 4096);
	assert_int_equal(s.max_record_bytes, 8 * 1024 * 1024);
	assert_int_equal(s.max_value_bytes, 1024 * 1024);
}

static int parse(struct settings *s, const char *text, struct buf *error)
{
	return settings_parse(s, text, strlen(text), error);
}

static void assert_accepted(struct settings *s, const char *text)
{
	_cleanup_(buf_finish) struct buf error = {0};

	assert_int_equal(parse(s, text, &error), 0);
	assert_int_equal(error.len, 0);
}

static void assert_refused(const char *text, const char *complaint)
{
	_cleanup_(settings_finish) struct settings s = {0};
	_cleanup_(buf_finish) struct buf error = {0};

	settings_init(&s);
	assert_accepted(&s, "{\"location\":\"before\",\"max_refused\":9}");
	assert_int_equal(parse(&s, text, &error), -EINVAL);
	assert_string_equal(error.data, complaint);
	assert_string_equal(s.location, "before");
	assert_int_equal(s.max_refused, 9);
	assert_int_equal(s.threads, 0);
}

static void test_accepted(void **state)
{
	_cleanup_(settings_finish) struct settings s = {0};

	settings_finish(&s);
	settings_init(&s);
	assert_accepted(&s, "{}");
	assert_accepted(&s, "{\"location\": \"dc1\", \"max_connections\": 5, \"threads\": 2}");
	assert_string_equal(s.location, "dc1");
	assert_int_equal(s.max_connections, 5);
	assert_int_equal(s.threads, 2);
	assert_int_equal(s.idle_timeout_s, 33);
	assert_accepted(&s, "{\"location\": \"d\xc3\xbcsseldorf\"}");
	assert_string_equal(s.location, "d\xc3\xbcsseldorf");
	assert_int_equal(s.max_connections, 5);
}

static void test_not_an_object(void **state)
{
	_cleanup_(settings_finish) struct settings s = {0};
	_cleanup_(buf_finish) struct buf error = {0};

	assert_refused("[]", "1:1: expected an object");
	assert_int_equal(parse(&s, "{\n\"threads\" 1}", &error), -EINVAL);
	assert_true(strstr(error.data, "2:"));
	assert_true(strstr(error.data, "':' expected"));
	buf_finish(&error);
	assert_int_equal(parse(&s, "{\"threads\": 1, \"threads\": 2}", &error), -EINVAL);
	assert_true(strstr(error.data, "duplicate object key"));
	buf_finish(&error);
	assert_int_equal(parse(&s, "{\"loc\\\nion\"}", &error), -EINVAL);
	assert_null(strchr(error.data, '\n'));
	buf_finish(&error);
	assert_int_equal(parse(&s, "", &error), -EINVAL);
	assert_true(error.len > 0);
}

static void test_complaints(void **state)
{
	assert_refused(
		"{\n  \"max_conections\": 5}",
		"2:21: \"max_conections\": unknown member; did you mean \"max_connections\"?");
	assert_refused("{\"colour\": 5}", "1:12: \"colour\": unknown member");
	assert_refused("{\"co\\nlour\": 5}", "1:14: unknown member");
	assert_refused("{\"threads\": 1,\n \"max_refused\": \"7\"}",
		       "2:17: \"max_refused\": expected a whole number from 1 to 4096");
	assert_refused("{\"threads\": 1.0}",
		       "1:13: \"threads\": expected a whole number from 0 to 64");
	assert_refused("{\"threads\": -1}",
		       "1:13: \"threads\": expected a whole number from 0 to 64");
	assert_refused("{\"threads\": null}",
		       "1:13: \"threads\": expected a whole number from 0 to 64");
	assert_refused("{\"threads\": 4294967297}",
		       "1:13: \"threads\": expected a whole number from 0 to 64");
	assert_refused("{\"location\": 1}",
		       "1:14: \"location\": expected a printable string of 1 to 255 bytes");
	assert_refused("{\"location\": \"\"}",
		       "1:14: \"location\": expected a printable string of 1 to 255 bytes");
	assert_refused("{\"location\": \"a\\nb\"}",
		       "1:14: \"location\": expected a printable string of 1 to 255 bytes");
}

static int parse_number(const char *name, uint64_t number)
{
	_cleanup_(settings_finish) struct settings s = {0};
	_cleanup_(buf_finish) struct buf text = {0}, error = {0};

	assert_int_equal(buf_printf(&text, "{\"%s\": %" PRIu64 "}", name, number), 0);
	return settings_parse(&s, text.data, text.len, &error);
}

/* Every member is described, takes its bounds and its default, and nothing beyond. */
static void test_table(void **state)
{
	struct settings_member m, earlier;
	size_t n = 0;

	for (; settings_describe(n, &m); n++) {
		assert_true(strlen(m.help) > 0);
		for (size_t i = 0; i < n; i++) {
			assert_true(settings_describe(i, &earlier));
			assert_string_not_equal(m.name, earlier.name);
		}
		if (m.is_text)
			continue;
		assert_in_range(m.initial, m.min, m.max);
		assert_int_equal(parse_number(m.name, m.min), 0);
		assert_int_equal(parse_number(m.name, m.max), 0);
		assert_int_equal(parse_number(m.name, m.max + 1), -EINVAL);
		if (m.min > 0)
			assert_int_equal(parse_number(m.name, m.min - 1), -EINVAL);
	}
	/* A pointer and the numbers, with no room for a forgotten one. */
	assert_int_equal(sizeof(char *) + (n - 1) * sizeof(uint32_t), sizeof(struct settings));
}

static void test_cut_anywhere(void **state)
{
	static const char text[] = "{\"location\": \"dc1\", \"max_connections\": 5}";

	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		_cleanup_(settings_finish) struct settings s = {0};
		_cleanup_(buf_finish) struct buf error = {0};

		assert_int_equal(settings_parse(&s, text, n, &error), -EINVAL);
		assert_null(s.location);
	}
}

static void test_no_memory(void **state)
{
	_cleanup_(settings_finish) struct settings s = {0};
	_cleanup_(buf_finish) struct buf error = {0};
	int r, n_failed = 0;

	assert_accepted(&s, "{\"location\": \"before\"}");
	ALLOC_WALK(r == -ENOMEM && ++n_failed)
	{
		assert_string_equal(s.location, "before");
		r = parse(&s, "{\"location\": \"after\"}", &error);
	}
	assert_int_equal(r, 0);
	assert_int_equal(n_failed, 2);
	assert_string_equal(s.location, "after");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),      cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_not_an_object), cmocka_unit_test(test_complaints),
		cmocka_unit_test(test_table),         cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
