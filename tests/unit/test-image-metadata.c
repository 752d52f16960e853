/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metadata.yaml: what is taken of it, and what is refused without quoting it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "alloc.h"
#include "base/cleanup.h"
#include "images/image-metadata.h"

static const char text[] = "architecture: x86_64\n"
			   "creation_date: 1700000000\n"
			   "expiry_date: 1800000000\n"
			   "properties:\n"
			   "  description: Debian bookworm\n"
			   "  release: 12.10\n"
			   "  serial: \"20240101\"\n"
			   "  variant:\n"
			   "templates:\n"
			   "  /etc/hostname: {when: [create, copy], create_only: false}\n";

static void test_parse(void **state)
{
	json_auto_t *json = NULL;
	_cleanup_(buf_finish) struct buf error = {0};
	const json_t *properties;

	assert_int_equal(image_metadata_parse(text, strlen(text), &json, &error), 0);
	assert_int_equal(json_object_size(json), 3);
	assert_string_equal(json_string_value(json_object_get(json, "architecture")), "x86_64");
	assert_int_equal(json_integer_value(json_object_get(json, "creation_date")), 1700000000);
	properties = json_object_get(json, "properties");
	assert_int_equal(json_object_size(properties), 3);
	assert_string_equal(json_string_value(json_object_get(properties, "release")), "12.10");
}

static void test_refuses(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{"", "metadata.yaml"},
		{"[]", "metadata.yaml:1:1"},
		{"architecture: s3cret\n", "creation_date: expected"},
		{"architecture: s3cret\ncreation_date: s3cret\n", "creation_date: expected"},
		{"architecture: s3cret\ncreation_date: 0\n", "creation_date: expected"},
		{"architecture: s3cret\ncreation_date: -5\n", "creation_date: expected"},
		{"creation_date: 5\n", "architecture: expected"},
		{"architecture: [s3cret]\ncreation_date: 5\n", "architecture: expected"},
		{"architecture: ''\ncreation_date: 5\n", "architecture: expected"},
		{"architecture: a\ncreation_date: 5\nproperties: s3cret\n", "properties: expected"},
		{"architecture: a\ncreation_date: 5\nproperties: {a: [s3cret]}\n",
		 "properties: expected"},
		{"architecture: a\n\tcreation_date: s3cret\n", "metadata.yaml:2"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(buf_finish) struct buf error = {0};
		json_t *json = NULL;

		assert_int_equal(
			image_metadata_parse(cases[i].text, strlen(cases[i].text), &json, &error),
			-EINVAL);
		assert_null(json);
		assert_non_null(strstr(error.data, cases[i].words));
		assert_null(strstr(error.data, "s3cret"));
	}
}

static void test_without_memory(void **state)
{
	_cleanup_(buf_finish) struct buf error = {0};
	json_t *json = NULL;
	int r = 0;

	ALLOC_WALK(r == -ENOMEM)
	r = image_metadata_parse(text, strlen(text), &json, &error);
	assert_int_equal(r, 0);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
