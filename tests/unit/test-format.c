/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Output: each format at its edges, and YAML that reads back as what it was made of
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "ctl/format.h"
#include "store/parse.h"

static const struct format_column name = {'n', "NAME", "name"}, ready = {'r', "READY", "ready"},
				  profiles = {'p', "PROFILES", "profiles"};
static const struct format_column *const columns[] = {&name, &ready, &profiles};

/* What is printed for the rows in @json; the caller frees it. */
static char *rows(enum format format, const char *json)
{
	json_auto_t *value = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(value);
	assert_int_equal(format_rows(f, format, value, columns, ARRAY_SIZE(columns)), 0);
	fclose(f);
	return text;
}

static void test_words(void **state)
{
	enum format format = FORMAT_CSV;

	assert_int_equal(format_parse(NULL, &format), 0);
	assert_int_equal(format, FORMAT_TABLE);
	assert_int_equal(format_parse("yaml", &format), 0);
	assert_int_equal(format, FORMAT_YAML);
	assert_int_equal(format_parse("compact", &format), -EINVAL);
	assert_int_equal(format, FORMAT_YAML);
}

static void test_table(void **state)
{
	_cleanup_(freep) char *text =
		rows(FORMAT_TABLE,
		     "[{\"name\":\"w\303\244b\",\"ready\":true,\"profiles\":[\"a\",\"b\"]},"
		     "{\"name\":\"x\",\"ready\":null}]");
	_cleanup_(freep) char *none = rows(FORMAT_TABLE, "[]");

	assert_string_equal(text, "+------+-------+----------+\n"
				  "| NAME | READY | PROFILES |\n"
				  "+------+-------+----------+\n"
				  "| w\303\244b  | yes   | a, b     |\n"
				  "| x    |       |          |\n"
				  "+------+-------+----------+\n");
	assert_string_equal(none, "+------+-------+----------+\n"
				  "| NAME | READY | PROFILES |\n"
				  "+------+-------+----------+\n"
				  "+------+-------+----------+\n");
}

static void test_part(void **state)
{
	static const struct format_column part = {'d', "IN USE", "tree", "in_use"};
	static const struct format_column *const both[] = {&name, &part};
	json_auto_t *value = json_loads("[{\"name\":\"a\",\"tree\":{\"in_use\":true}},"
					"{\"name\":\"b\",\"tree\":null},{\"name\":\"c\"}]",
					0, NULL);
	_cleanup_(freep) char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_int_equal(format_rows(f, FORMAT_CSV, value, both, ARRAY_SIZE(both)), 0);
	fclose(f);
	assert_string_equal(text, "a,yes\nb,\nc,\n");
}

static void test_table_is_harmless(void **state)
{
	_cleanup_(freep) char *text =
		rows(FORMAT_TABLE, "[{\"name\":\"a\\u001b[2J\\u009b\\u007f\\n\"}]");

	assert_null(strchr(text, '\033'));
	assert_null(strstr(text, "\302\233"));
	assert_non_null(strstr(text, "a?[2J??"));
}

static void test_csv(void **state)
{
	_cleanup_(freep) char *text = rows(
		FORMAT_CSV, "[{\"name\":\"a,\\\"b\\\"\",\"ready\":false},{\"name\":\"c\\nd\"}]");

	assert_string_equal(text, "\"a,\"\"b\"\"\",no,\n\"c\nd\",,\n");
}

static void test_json(void **state)
{
	_cleanup_(freep) char *text = rows(FORMAT_JSON, "[{\"z\":1,\"name\":\"x\"}]");

	assert_string_equal(text, "[\n  {\n    \"name\": \"x\",\n    \"z\": 1\n  }\n]\n");
}

static char *yaml(const json_t *value)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_int_equal(format_yaml(f, value), 0);
	fclose(f);
	return text;
}

static void test_yaml(void **state)
{
	json_auto_t *value =
		json_pack("{s:s, s:{s:s, s:s, s:s}, s:[s], s:b, s:i, s:{}}", "b", "x: y", "a", "n",
			  "12", "on", "on", "text", "#c\n  d\n", "l", "i", "t", 1, "u", 5, "e");
	_cleanup_(freep) char *text = yaml(value);

	assert_string_equal(text, "a:\n"
				  "  \"n\": \"12\"\n"
				  "  \"on\": \"on\"\n"
				  "  text: |\n"
				  "    #c\n"
				  "      d\n"
				  "b: 'x: y'\n"
				  "e: {}\n"
				  "l:\n"
				  "- i\n"
				  "t: true\n"
				  "u: 5\n");
}

/* Strings that a careless emitter changes. */
static void test_yaml_reads_back(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"\n",
		"\n\n",
		"a\n",
		"a\n\n",
		"\na",
		" a\nb",
		"\ta\nb",
		"a \nb",
		"a\n b \n",
		"true",
		"No",
		"~",
		"null",
		"1e3",
		"0x1f",
		"1:20",
		"2024-01-01",
		"-",
		"- a",
		"? a",
		"a: b",
		"a #b",
		"#a",
		"&a",
		"*a",
		"!a",
		"|",
		">",
		"%a",
		"@a",
		"`a`",
		"'",
		"\"",
		"'a'",
		"\"a\"",
		"{a}",
		"[a]",
		"a\r\nb",
		"a\tb",
		"\x7f",
		"\302\205",
		"\342\200\250a",
		"---",
		"...",
		"--- a\n--- b",
		"#cloud-config\npackages: [nginx]\n",
		"\360\237\230\200",
		"<<",
		"a\\b",
		"  leading\n  lines\n",
		"\xef\xbb\xbf"
		"bom",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		json_auto_t *value = json_pack("{s:{s:s, s:s}}", "config", "user.a", texts[i],
					       "user.b", "after");
		_cleanup_(parse_error_finish) struct parse_error error = {0};
		_cleanup_(freep) char *text = yaml(value);
		json_auto_t *again = NULL;

		assert_int_equal(parse_document(RECORD_YAML, text, strlen(text), &again, &error),
				 0);
		if (!json_equal(value, again))
			fail_msg("text %zu does not read back:\n%s", i, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words), cmocka_unit_test(test_table),
		cmocka_unit_test(test_part),  cmocka_unit_test(test_table_is_harmless),
		cmocka_unit_test(test_csv),   cmocka_unit_test(test_json),
		cmocka_unit_test(test_yaml),  cmocka_unit_test(test_yaml_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
