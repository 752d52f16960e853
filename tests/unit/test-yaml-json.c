/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * YAML as JSON: values, anchors, bounds, places
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "store/yaml-json.h"
#include "store/yaml-reader.h"

static bool is_text(const char *member)
{
	return streq(member, "text");
}

static json_t *load(const char *text)
{
	struct parse_error error = {0};
	json_t *root = NULL;

	if (yaml_json_read(text, strlen(text), is_text, &root, &error) < 0)
		fail_msg("%s: %s", text, error.text ?: "no memory");
	return root;
}

static void assert_means(const char *text, const char *json)
{
	json_auto_t *root = load(text), *expected = json_loads(json, JSON_ALLOW_NUL, NULL);

	assert_non_null(expected);
	if (!json_equal(root, expected))
		fail_msg("%s is not %s", text, json);
}

static void assert_refused(const char *text, size_t n, const char *complaint)
{
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	json_t *root = NULL;

	assert_int_equal(yaml_json_read(text, n, is_text, &root, &error), -EINVAL);
	assert_string_equal(error.text, complaint);
	assert_null(root);
}

static void test_scalars(void **state)
{
	assert_means("v: [true, Yes, on, FALSE, no, OFF]",
		     "{\"v\": [true, true, true, false, false, false]}");
	assert_means("v: [0, 1, -1, 42, 9223372036854775807]",
		     "{\"v\": [0, 1, -1, 42, 9223372036854775807]}");
	assert_means("v: [~, null, Null, NULL, ]", "{\"v\": [null, null, null, null]}");
	assert_means("v:", "{\"v\": null}");
	assert_means(
		"v: [01, -01, 0x1, 0o7, 1.5, 1_000, +1, y, n, 9223372036854775808, --1, -]",
		"{\"v\": [\"01\", \"-01\", \"0x1\", \"0o7\", \"1.5\", \"1_000\", \"+1\", \"y\", "
		"\"n\", \"9223372036854775808\", \"--1\", \"-\"]}");
	assert_means("v: ['true', \"1\", '', \"\", \"~\"]",
		     "{\"v\": [\"true\", \"1\", \"\", \"\", \"~\"]}");
	assert_means("v: |\n  a\n  b\nw: >-\n  a\n  b\n", "{\"v\": \"a\\nb\\n\", \"w\": \"a b\"}");
	assert_means("v: \"a\\0b\"", "{\"v\": \"a\\u0000b\"}");
	assert_means("true: 1\n2: 3\n~: 4\n\"<<\": 5",
		     "{\"true\": 1, \"2\": 3, \"~\": 4, \"<<\": 5}");
}

static void test_text_keeps_its_spelling(void **state)
{
	assert_means(
		"text: {a: [yes, 010, {b: 1}], c: ~, d: null}\nother: {a: 1}",
		"{\"text\": {\"a\": [\"yes\", \"010\", {\"b\": \"1\"}], \"c\": null, \"d\": null},"
		"\"other\": {\"a\": 1}}");
}

static void test_document_forms(void **state)
{
	assert_means("%YAML 1.1\n---\na: 1\n...\n", "{\"a\": 1}");
	assert_means("# only this\n{a: 1, b: [], c: {}}", "{\"a\": 1, \"b\": [], \"c\": {}}");
	assert_means("\xef\xbb\xbf"
		     "a: 1",
		     "{\"a\": 1}");
	assert_means("a: 1\r\nb: 2\r\n", "{\"a\": 1, \"b\": 2}");
	assert_refused("", 0, "the file is empty");
	assert_refused("---\n", 4, "expected members, as in `name: value`");
	assert_refused("a: 1\n---\nb: 2\n", 14, "more than one document");
	assert_refused("\xff\xfe"
		       "a\0:\0",
		       6, "invalid leading UTF-8 octet");
}

static void test_anchors(void **state)
{
	json_auto_t *root = NULL;

	assert_means("a: &x {k: 1}\nb: *x\nc: [*x, *x]",
		     "{\"a\": {\"k\": 1}, \"b\": {\"k\": 1}, \"c\": [{\"k\": 1}, {\"k\": 1}]}");
	assert_means("a: &x 1\nb: &x 2\nc: *x", "{\"a\": 1, \"b\": 2, \"c\": 2}");
	assert_refused("a: &x [*x]", 10, "this alias has no anchor before it");
	assert_refused("a: &x b\n*x : c\n", 15, "expected a key that is text");
	/* A change of one must not be a change of the other. */
	root = load("a: &x {k: 1}\nb: *x");
	assert_int_equal(json_object_set_new(json_object_get(root, "a"), "k", json_null()), 0);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "b"), "k")), 1);
}

/* Nine lines that would be 10^9 values. */
static void test_billion_laughs(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(buf_puts(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"), 0);
	for (int i = 1; i < 9; i++) {
		assert_int_equal(buf_printf(&b, "a%d: &a%d [", i, i), 0);
		for (int k = 0; k < 10; k++)
			assert_int_equal(buf_printf(&b, "*a%d,", i - 1), 0);
		assert_int_equal(buf_puts(&b, "]\n"), 0);
	}
	assert_refused(b.data, b.len, "aliases make the document too large");
}

static void nest(struct buf *b, size_t n, const char *core)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_putc(b, '['), 0);
	assert_int_equal(buf_puts(b, core), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_putc(b, ']'), 0);
}

static void test_depth(void **state)
{
	_cleanup_(buf_finish) struct buf good = {0}, bad = {0}, flood = {0};

	/* The root is a level too. */
	assert_int_equal(buf_puts(&good, "a: "), 0);
	nest(&good, YAML_DEPTH_MAX - 1, "");
	json_decref(load(good.data));
	assert_int_equal(buf_puts(&bad, "a: "), 0);
	nest(&bad, YAML_DEPTH_MAX, "");
	assert_refused(bad.data, bad.len, "nested too deeply");
	assert_int_equal(buf_puts(&flood, "a: "), 0);
	nest(&flood, 100000, "");
	assert_refused(flood.data, flood.len, "nested too deeply");
}

/* An alias brings its own levels along. */
static void test_depth_through_aliases(void **state)
{
	_cleanup_(buf_finish) struct buf good = {0}, bad = {0};

	assert_int_equal(buf_puts(&good, "a: &a "), 0);
	nest(&good, 20, "");
	assert_int_equal(buf_puts(&good, "\nb: "), 0);
	nest(&good, YAML_DEPTH_MAX - 1 - 20, "*a");
	json_decref(load(good.data));
	assert_int_equal(buf_puts(&bad, "a: &a "), 0);
	nest(&bad, 20, "");
	assert_int_equal(buf_puts(&bad, "\nb: &b "), 0);
	nest(&bad, 5, "*a");
	assert_int_equal(buf_puts(&bad, "\nc: "), 0);
	nest(&bad, YAML_DEPTH_MAX - 24, "*b");
	assert_refused(bad.data, bad.len, "nested too deeply");
}

static void assert_at(const char *text, const char *const *path, size_t n_path, unsigned line,
		      unsigned column)
{
	struct json_place place;

	yaml_reader_locate(text, strlen(text), path, n_path, &place);
	assert_int_equal(place.line, line);
	assert_int_equal(place.column, column);
}

#define PATH(...) ((const char *const[]){__VA_ARGS__}), ARRAY_SIZE(((const char *[]){__VA_ARGS__}))

static void test_places(void **state)
{
	static const char text[] = "# first\n"
				   "a: 1\n"
				   "skip: [{x: y}, [z]]\n"
				   "b:\n"
				   "  c: [10, {d: e}]\n"
				   "  \"\xc3\xa9\": \"\xc3\xa9\"\n"
				   "f: &f {g: h}\n"
				   "i: *f\n";

	assert_at(text, PATH("a"), 2, 4);
	assert_at(text, PATH("b"), 5, 3);
	assert_at(text, PATH("b", "c", "0"), 5, 7);
	assert_at(text, PATH("b", "c", "1", "d"), 5, 15);
	assert_at(text, PATH("b", "\xc3\xa9"), 6, 8);
	assert_at(text, PATH("f", "g"), 7, 11);
	assert_at(text, PATH("i", "g"), 8, 4);
	assert_at(text, PATH("nope"), 0, 0);
	assert_at(text, PATH("b", "c", "2"), 0, 0);
	assert_at(text, PATH("b", "c", "x"), 0, 0);
	assert_at(text, PATH("a", "x"), 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_text_keeps_its_spelling),
		cmocka_unit_test(test_document_forms),
		cmocka_unit_test(test_anchors),
		cmocka_unit_test(test_billion_laughs),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_depth_through_aliases),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
