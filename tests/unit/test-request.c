/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Request targets and queries: what is split where, what is refused, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "api/request.h"
#include "base/cleanup.h"

/* Parses a copy that ends where the text ends, so that reading past it is seen. */
static int parse(const char *text, size_t n, struct target *ret)
{
	_cleanup_(freep) char *exact = malloc(n ?: 1);

	assert_non_null(exact);
	memcpy(exact, text, n);
	return target_parse(exact, n, ret);
}

/* @expected: the segments, each in brackets, then the query if there is one. */
static void assert_target(const char *text, const char *expected)
{
	_cleanup_(target_finish) struct target t = {0};
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(parse(text, strlen(text), &t), 0);
	assert_int_equal(buf_puts(&b, ""), 0);
	for (size_t i = 0; i < t.n_segments; i++)
		assert_int_equal(buf_printf(&b, "[%s]", t.segments[i]), 0);
	if (t.query)
		assert_int_equal(buf_printf(&b, "?%s", t.query), 0);
	assert_string_equal(b.data, expected);
}

static void assert_refused(const char *text, size_t n, int error)
{
	struct target t = {.n_segments = 99};

	assert_int_equal(parse(text, n, &t), error);
	assert_int_equal(t.n_segments, 99); /* untouched */
}

static void test_segments(void **state)
{
	assert_target("/", "");
	assert_target("/1.0", "[1.0]");
	assert_target("/1.0/config/user.a", "[1.0][config][user.a]");
	assert_target("/1.0/", "[1.0][]");
	assert_target("/...", "[...]");
	assert_target("/a b#c+d", "[a b#c+d]");
}

static void test_doubled_slashes(void **state)
{
	assert_target("//", "");
	assert_target("///", "");
	assert_target("/1.0//meta-data", "[1.0][meta-data]");
	assert_target("//1.0/meta-data", "[1.0][meta-data]");
	assert_target("/1.0//", "[1.0][]");
}

static void test_decoded_once(void **state)
{
	assert_target("/a%2Fb", "[a/b]");
	assert_target("/a%2fb/c", "[a/b][c]");
	assert_target("/user.a%20b%25c", "[user.a b%c]");
	assert_target("/%252F", "[%2F]");
	assert_target("/%2B+", "[++]");
	assert_target("/%C3%A9", "[\xc3\xa9]");
	assert_target("/a%3Fb", "[a?b]");
	assert_target("/%2F", "[/]");
	assert_target("/%01", "[\x01]");
}

static void test_absolute_form(void **state)
{
	assert_target("http://lxd/1.0/meta-data", "[1.0][meta-data]");
	assert_target("http://lxd", "");
	assert_target("http://lxd/", "");
	assert_target("http://lxd?a=b", "?a=b");
	assert_target("http:///1.0", "[1.0]");
	assert_target("HTTP://user@[::1]:80//1.0", "[1.0]");
	assert_target("a+b-c.1://x/y", "[y]");
	assert_target("/http://lxd/1.0", "[http:][lxd][1.0]");
}

static void test_query(void **state)
{
	assert_target("/1.0?", "[1.0]?");
	assert_target("/1.0?a=%zz&b=/../", "[1.0]?a=%zz&b=/../");
	assert_target("/a?b?c", "[a]?b?c");
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"*",
		"1.0",
		"lxd/1.0",
		"http:/1.0",
		"http:",
		"://x/",
		"1://x",
		"+a://x",
		"/.",
		"/..",
		"/../1.0",
		"/1.0/./config",
		"/1.0/..",
		"/%2e",
		"/%2E.",
		"/.%2e/a",
		"/a/%2e%2e/b",
		"/%",
		"/%4",
		"/%zz",
		"/%4g",
		"/%00",
		"/a%00b",
		"/a%2",
		"/\x7f",
		"/a\nb",
		"/a?b\x01",
		"/%%41",
		"/a%",
		"/a%/b",
		"http://x/..",
		"http://\t/",
		"h\xc3\xa9://x/",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_refused(texts[i], strlen(texts[i]), -EINVAL);
	assert_refused("/a\0b", 4, -EINVAL);
	assert_refused("/1.0?\0", 6, -EINVAL);
}

static void test_too_many_segments(void **state)
{
	assert_target("/1/2/3/4/5/6/7/8/9/a/b/c", "[1][2][3][4][5][6][7][8][9][a][b][c]");
	assert_refused("/1/2/3/4/5/6/7/8/9/a/b/c/", 25, -E2BIG);
	assert_refused("/1/2/3/4/5/6/7/8/9/a/b/c/d", 26, -E2BIG);
	assert_refused("/1/2/3/4/5/6/7/8/9/a/b/c/d/..", 29, -EINVAL);
}

/* Each beginning of a target is refused where an escape or the scheme is cut, else parsed. */
static void test_byte_at_a_time(void **state)
{
	static const char text[] = "http://lxd//1.0/config/user.a%2Fb%C3%A9/?type=a%2Cb";
	size_t query = (size_t)(strchr(text, '?') - text);

	for (size_t n = 0; n < sizeof(text); n++) {
		_cleanup_(target_finish) struct target t = {0};
		bool is_cut = n < strlen("http://") ||
			      (n < query && (text[n - 1] == '%' || text[n - 2] == '%'));

		assert_int_equal(parse(text, n, &t), is_cut ? -EINVAL : 0);
		assert_in_range(t.n_segments, 0, 4);
		if (n > query)
			assert_memory_equal(t.query, text + query + 1, n - query - 1);
	}
}

static void assert_query(const char *query, const char *name, const char *expected)
{
	_cleanup_(freep) char *value = NULL;

	assert_int_equal(query_get(query, name, &value), 0);
	assert_string_equal(value, expected);
}

static void test_query_get(void **state)
{
	char *value = NULL;

	assert_query("type=config%2Cdevice", "type", "config,device");
	assert_query("a=1&type=config,device", "type", "config,device");
	assert_query("type=1&type=2", "type", "1");
	assert_query("type", "type", "");
	assert_query("type=", "type", "");
	assert_query("%74ype=a+b%2B", "type", "a b+");
	assert_query("x=%zz&type=a=b", "type", "a=b");
	assert_query("type=1;2&type=3", "type", "3");
	assert_query("&&type=1&", "type", "1");

	assert_int_equal(query_get(NULL, "type", &value), -ENOENT);
	assert_int_equal(query_get("", "type", &value), -ENOENT);
	assert_int_equal(query_get("types=1&typ=2&%zz=3", "type", &value), -ENOENT);
	assert_int_equal(query_get("type=%", "type", &value), -EINVAL);
	assert_int_equal(query_get("type=%00", "type", &value), -EINVAL);
	assert_null(value);
}

static void test_methods(void **state)
{
	for (enum method m = 0; m < METHOD_OTHER; m++)
		assert_int_equal(method_parse(method_name(m)), m);
	assert_int_equal(method_parse("get"), METHOD_OTHER);
	assert_int_equal(method_parse("OPTIONS"), METHOD_OTHER);
	assert_int_equal(method_parse("OTHER"), METHOD_OTHER);
	assert_int_equal(method_parse(""), METHOD_OTHER);
}

static void test_out_of_memory(void **state)
{
	struct target t = {0};
	char *value = NULL;

	alloc_arm(0);
	assert_int_equal(target_parse("/1.0", 4, &t), -ENOMEM);
	alloc_arm(0);
	assert_int_equal(query_get("a=b", "a", &value), -ENOMEM);
	alloc_arm(-1);
	assert_null(t.storage);
	assert_null(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_doubled_slashes),
		cmocka_unit_test(test_decoded_once),
		cmocka_unit_test(test_absolute_form),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many_segments),
		cmocka_unit_test(test_byte_at_a_time),
		cmocka_unit_test(test_query_get),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
