/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of mountinfo: the fields, however many tags stand between them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"

static int parse(const char *line, char buf[256], struct mountinfo *ret)
{
	snprintf(buf, 256, "%s", line);
	return mountinfo_parse(buf, ret);
}

static void fields_are_found(void **state)
{
	struct mountinfo m;
	char buf[256];

	assert_int_equal(parse("36 35 98:0 /mnt1 /mnt2 rw,noatime - ext3 /dev/root rw\n", buf, &m),
			 0);
	assert_int_equal(m.id, 36);
	assert_int_equal(m.parent, 35);
	assert_string_equal(m.root, "/mnt1");
	assert_string_equal(m.point, "/mnt2");
	assert_string_equal(m.type, "ext3");
	assert_false(m.is_shared);
}

static void tags_are_optional(void **state)
{
	struct mountinfo m;
	char buf[256];

	assert_int_equal(parse("1 2 0:3 / /a rw master:7 shared:1 x - fuse.x y rw", buf, &m), 0);
	assert_true(m.is_shared);
	assert_string_equal(m.type, "fuse.x");
	assert_int_equal(parse("1 2 0:3 / /a rw master:7 - t y rw", buf, &m), 0);
	assert_false(m.is_shared);
	assert_string_equal(m.type, "t");
}

static void octal_is_decoded(void **state)
{
	struct mountinfo m;
	char buf[256];

	assert_int_equal(parse("1 2 0:3 /r\\134 /a\\040b\\011\\012 rw - t", buf, &m), 0);
	assert_string_equal(m.root, "/r\\");
	assert_string_equal(m.point, "/a b\t\n");
	assert_int_equal(parse("1 2 0:3 / /a\\04 rw - t", buf, &m), 0);
	assert_string_equal(m.point, "/a\\04");
}

static void others_are_refused(void **state)
{
	static const char *const lines[] = {"",
					    "\n",
					    "1 2 0:3 / /a",
					    "1 2 0:3 / /a rw",
					    "1 2 0:3 / /a rw shared:1",
					    "1 2 0:3 / /a rw -",
					    "x 2 0:3 / /a rw - t",
					    "1 -2 0:3 / /a rw - t"};
	struct mountinfo m = {.id = 7};
	char buf[256];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(parse(lines[i], buf, &m), -EINVAL);
	assert_int_equal(m.id, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_found),
		cmocka_unit_test(tags_are_optional),
		cmocka_unit_test(octal_is_decoded),
		cmocka_unit_test(others_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
