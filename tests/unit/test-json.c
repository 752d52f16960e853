/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places in JSON text, and strings in the API's form
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"

static void assert_place(const char *text, const char *const *path, size_t n_path, unsigned line,
			 unsigned column)
{
	struct json_place place = {77, 77};

	json_locate(text, strlen(text), path, n_path, &place);
	assert_int_equal(place.line, line);
	assert_int_equal(place.column, column);
}

#define PATH(...)                                                                                  \
	(const char *const[]){__VA_ARGS__}, ARRAY_SIZE(((const char *const[]){__VA_ARGS__}))

static void test_places(void **state)
{
	const char *text = "{\n"
			   "\t\"name\": \"web1\",\n"
			   "  \"config\": {\"a\": \"}],\\\"\", \"user.x\": [1, {\"y\": null}] },\n"
			   "\"devices\" :\n"
			   "   {}}";

	assert_place(text, NULL, 0, 1, 1);
	assert_place(text, PATH("name"), 2, 10);
	assert_place(text, PATH("config"), 3, 13);
	assert_place(text, PATH("config", "a"), 3, 19);
	assert_place(text, PATH("config", "user.x"), 3, 38);
	assert_place(text, PATH("config", "user.x", "0"), 3, 39);
	assert_place(text, PATH("config", "user.x", "1"), 3, 42);
	assert_place(text, PATH("config", "user.x", "1", "y"), 3, 48);
	assert_place(text, PATH("devices"), 5, 4);
}

static void test_places_of_nothing(void **state)
{
	const char *text = "{\"a\": {\"b\": [1]}, \"s\": \"a\"}";

	assert_place(text, PATH("b"), 0, 0);
	assert_place(text, PATH("a", "a"), 0, 0);
	assert_place(text, PATH("a", "b", "1"), 0, 0);
	assert_place(text, PATH("a", "b", "x"), 0, 0);
	assert_place(text, PATH("s", "a"), 0, 0);
	assert_place(text, PATH(""), 0, 0);
	assert_place("{}", PATH("a"), 0, 0);
	assert_place("[]", PATH("0"), 0, 0);
	assert_place("", PATH("a"), 0, 0);
	assert_place("", NULL, 0, 0, 0);
}

static void test_last_duplicate_wins(void **state)
{
	assert_place("{\"a\":{\"b\":1},\"a\":{\"c\":2}}", PATH("a", "b"), 0, 0);
	assert_place("{\"a\":{\"b\":1},\"a\":{\"c\":2}}", PATH("a", "c"), 1, 23);
	assert_place("{\"a\":1,\"a\":2}", PATH("a"), 1, 12);
}

static void test_escaped_keys(void **state)
{
	assert_place("{\"\\u0061\\/b\":1}", PATH("a/b"), 1, 14);
	assert_place("{\"\\ud83d\\ude00\":1}", PATH("\xf0\x9f\x98\x80"), 1, 17);
	assert_place("{\"q\\\"\":1}", PATH("q\""), 1, 8);
	assert_place("{\"a\\\\\":1}", PATH("a\\"), 1, 8);
	assert_place("{\"a\\\\\":1}", PATH("a\\\\"), 0, 0);
}

static void test_every_prefix_is_harmless(void **state)
{
	static const char text[] = "{\"a\\\"\" : [ {\"b\": \"\\u0063\"}, 2 ] , \"c\":true }";
	struct json_place place;

	for (size_t n = 0; n <= strlen(text); n++) {
		_cleanup_(freep) char *exact = malloc(n ? n : 1); /* ASan guards its end */

		memcpy(exact, text, n);
		json_locate(exact, n, PATH("c"), &place);
		json_locate(exact, n, PATH("a\"", "0", "b"), &place);
	}
	assert_int_equal(place.column, 18);
}

static void assert_string(const char *bytes, size_t n, bool escape_html, const char *expected)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(json_append_string(&b, bytes, n, escape_html), 0);
	assert_string_equal(b.data, expected);
	assert_int_equal(b.len, strlen(expected));
}

static void test_strings(void **state)
{
	assert_string("", 0, false, "\"\"");
	assert_string("plain \xc3\xa4 \xf0\x9f\x98\x80", 13, false,
		      "\"plain \xc3\xa4 \xf0\x9f\x98\x80\"");
	assert_string("a\"b\\c/", 6, false, "\"a\\\"b\\\\c/\"");
	assert_string("\n\r\t\b\f\x01\x1f\x7f", 8, false,
		      "\"\\n\\r\\t\\u0008\\u000c\\u0001\\u001f\x7f\"");
	assert_string("a\0b", 3, false, "\"a\\u0000b\"");
}

static void test_strings_escape_html(void **state)
{
	const char *bytes = "<&>\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa";

	assert_string(bytes, strlen(bytes), true,
		      "\"\\u003c\\u0026\\u003e\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\"");
	assert_string(bytes, strlen(bytes), false,
		      "\"<&>\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\"");
}

static void test_strings_that_are_not_utf8(void **state)
{
	assert_string("a\xff\xc3", 3, false, "\"a\\ufffd\\ufffd\"");
	assert_string("\xed\xa0\x80z", 4, true, "\"\\ufffd\\ufffd\\ufffdz\"");
	assert_string("\xe2\x80\xa8", 2, true, "\"\\ufffd\\ufffd\"");
}

/* What we write, jansson reads back as the same bytes. */
static void test_strings_round_trip(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};
	json_auto_t *parsed = NULL;
	char bytes[3 * 0x800];
	size_t n = 0;

	for (unsigned c = 0; c < 0x80; c++)
		bytes[n++] = (char)c;
	for (unsigned c = 0x80; c < 0x800; c++) {
		bytes[n++] = (char)(0xc0 | c >> 6);
		bytes[n++] = (char)(0x80 | (c & 0x3f));
	}
	assert_int_equal(json_append_string(&b, bytes, n, true), 0);
	parsed = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(parsed);
	assert_int_equal(json_string_length(parsed), n);
	assert_memory_equal(json_string_value(parsed), bytes, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_places_of_nothing),
		cmocka_unit_test(test_last_duplicate_wins),
		cmocka_unit_test(test_escaped_keys),
		cmocka_unit_test(test_every_prefix_is_harmless),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_strings_escape_html),
		cmocka_unit_test(test_strings_that_are_not_utf8),
		cmocka_unit_test(test_strings_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
