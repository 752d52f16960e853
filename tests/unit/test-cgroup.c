/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cgroup paths and the texts of /proc: what is believed and what is refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "core/cgroup.h"
#include "core/process.h"

static void parses(const char *text, const char *path)
{
	char got[CGROUP_PATH_MAX];

	assert_int_equal(cgroup_parse_proc(text, strlen(text), got), 0);
	assert_string_equal(got, path);
}

static void refuses(const char *text, size_t n, int error)
{
	/* Exact, so that the sanitizer guards its end. */
	_cleanup_(freep) char *exact = malloc(n ? n : 1);
	char got[CGROUP_PATH_MAX] = "untouched";

	memcpy(exact, text, n);
	assert_int_equal(cgroup_parse_proc(exact, n, got), error);
	assert_string_equal(got, "untouched");
}
#define REFUSES(text, error) refuses(text, sizeof(text) - 1, error)

static void test_parse(void **state)
{
	parses("0::/\n", "/");
	parses("0::/lxc.payload.web1\n", "/lxc.payload.web1");
	parses("9:name=systemd:/x\n4:memory:/y\n0::/a/b\n", "/a/b");
	parses("0::/a\n1:cpu:/z\n", "/a");
	parses("0::/a b:c\\d\n", "/a b:c\\d");
	parses("0::/...\n", "/...");
}

static void test_parse_no_unified_line(void **state)
{
	REFUSES("", -ENOENT);
	REFUSES("4:memory:/y\n", -ENOENT);
	REFUSES("10::/y\n", -ENOENT);
	REFUSES("1:0::/y\n", -ENOENT);
}

static void test_parse_refuses(void **state)
{
	REFUSES("0::\n", -EINVAL);
	REFUSES("0::a\n", -EINVAL);
	REFUSES("0::/../other\n", -EINVAL);
	REFUSES("0::/a/..\n", -EINVAL);
	REFUSES("0::/a/./b\n", -EINVAL);
	REFUSES("0:://a\n", -EINVAL);
	REFUSES("0::/a/\n", -EINVAL);
	REFUSES("0::/a//b\n", -EINVAL);
	REFUSES("0::/a\0b\n", -EINVAL);
	REFUSES("0::/a\n0::/b\n", -EINVAL);
	/* A cut text might name an ancestor. */
	REFUSES("0::/a/b", -EINVAL);
	REFUSES("0::/a\n4:mem", -EINVAL);
	REFUSES("0::/a (deleted)\n", -ESTALE);
}

static void test_parse_longest(void **state)
{
	char text[CGROUP_PATH_MAX + 8] = "0::/", got[CGROUP_PATH_MAX];

	memset(text + 4, 'x', CGROUP_PATH_MAX - 2);
	text[CGROUP_PATH_MAX + 2] = '\n';
	assert_int_equal(cgroup_parse_proc(text, CGROUP_PATH_MAX + 3, got), 0);
	assert_int_equal(strlen(got), CGROUP_PATH_MAX - 1);
	text[CGROUP_PATH_MAX + 2] = 'x';
	text[CGROUP_PATH_MAX + 3] = '\n';
	refuses(text, CGROUP_PATH_MAX + 4, -EINVAL);
}

static void test_normalise(void **state)
{
	static const char *const good[][2] = {
		{"/a", "/a"},
		{"/a/", "/a"},
		{"//a///b//", "/a/b"},
		{"/.a/..b", "/.a/..b"},
	};
	static const char *const bad[] = {"", "/", "//", "a", "./a", "/a/../b", "/.", "/a/."};
	char got[CGROUP_PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(cgroup_normalise(good[i][0], got), 0);
		assert_string_equal(got, good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(got, "untouched", 10);
		assert_int_equal(cgroup_normalise(bad[i], got), -EINVAL);
		assert_string_equal(got, "untouched");
	}
}

static void test_normalise_longest(void **state)
{
	char path[CGROUP_PATH_MAX + 8], got[CGROUP_PATH_MAX];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[CGROUP_PATH_MAX - 1] = '\0';
	assert_int_equal(cgroup_normalise(path, got), 0);
	path[CGROUP_PATH_MAX - 1] = 'x';
	path[CGROUP_PATH_MAX] = '\0';
	assert_int_equal(cgroup_normalise(path, got), -EINVAL);
}

static void test_parent(void **state)
{
	char path[] = "/a/bb/c", root[] = "/";

	assert_true(cgroup_parent(path));
	assert_string_equal(path, "/a/bb");
	assert_true(cgroup_parent(path));
	assert_string_equal(path, "/a");
	assert_false(cgroup_parent(path));
	assert_string_equal(path, "/");
	assert_false(cgroup_parent(root));
	assert_string_equal(root, "/");
}

#define AFTER_NAME " S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 "

static void test_start_time(void **state)
{
	uint64_t start = 0;

	assert_int_equal(process_parse_stat("7 (sh)" AFTER_NAME "12345 1000\n", &start), 0);
	assert_int_equal(start, 12345);
	/* A name made to look like the fields that follow it. */
	assert_int_equal(
		process_parse_stat("7 (x)" AFTER_NAME "1 1) (x)" AFTER_NAME "54321 0\n", &start),
		0);
	assert_int_equal(start, 54321);
	assert_int_equal(process_parse_stat("", &start), -EINVAL);
	assert_int_equal(process_parse_stat("7 (sh) S 1 1", &start), -EINVAL);
	assert_int_equal(process_parse_stat("7 (sh)" AFTER_NAME "x 1000\n", &start), -EINVAL);
	assert_int_equal(start, 54321);
}

static void test_depth(void **state)
{
	unsigned depth = 7;

	assert_int_equal(process_parse_depth("Name:\tsh\nNStgid:\t9\nNSpid:\t9\nX:\t1\n", &depth),
			 0);
	assert_int_equal(depth, 1);
	assert_int_equal(process_parse_depth("NSpid:\t4194304\t12\t1\n", &depth), 0);
	assert_int_equal(depth, 3);
	assert_int_equal(process_parse_depth("", &depth), -EINVAL);
	assert_int_equal(process_parse_depth("Name:\tsh\n", &depth), -EINVAL);
	assert_int_equal(process_parse_depth("NSpid:\n", &depth), -EINVAL);
	assert_int_equal(process_parse_depth("NSpid:\t9", &depth), -EINVAL); /* cut */
	assert_int_equal(process_parse_depth("NSpid:\t9\tx\n", &depth), -EINVAL);
	assert_int_equal(process_parse_depth("NSpid:\t-9\n", &depth), -EINVAL);
	/* Not at the start of a line, and the number of the next one. */
	assert_int_equal(process_parse_depth("Name:\tNSpid:\t9\n", &depth), -EINVAL);
	assert_int_equal(process_parse_depth("NSpid:\nNSpgid:\t9\n", &depth), -EINVAL);
	assert_int_equal(depth, 3);
	/* The kernel writes the newlines of a name as two characters. */
	assert_int_equal(process_parse_depth("Name:\tx\\nNSpid:\t1\nNSpid:\t9\t1\n", &depth), 0);
	assert_int_equal(depth, 2);
}

static void test_ourselves(void **state)
{
	uint64_t start, again;
	unsigned depth;
	uid_t uid;
	pid_t pid;

	assert_int_equal(process_start(getpid(), &start), 0);
	assert_int_equal(process_start(getpid(), &again), 0);
	assert_int_equal(start, again);
	assert_int_equal(process_uid(getpid(), &uid), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(process_root_uid(getpid(), &uid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(process_depth(getpid(), &depth), 0);
	assert_int_equal(depth, 1); /* /proc is of the namespace that we are in */
	assert_int_equal(process_of_thread(getpid(), &pid), 0);
	assert_int_equal(pid, getpid());
	/* Above the largest id that the kernel gives out. */
	assert_int_equal(process_depth(1 << 23, &depth), -ESRCH);
	assert_int_equal(process_of_thread(1 << 23, &pid), -ESRCH);
	assert_int_equal(process_start(1 << 23, &start), -ESRCH);
	assert_int_equal(process_root_uid(1 << 23, &uid), -ESRCH);
}

static void test_is_within(void **state)
{
	assert_true(cgroup_is_within("/a", "/a"));
	assert_true(cgroup_is_within("/a/b", "/a"));
	assert_true(cgroup_is_within("/a", "/"));
	assert_true(cgroup_is_within("/", "/"));
	assert_false(cgroup_is_within("/ab", "/a"));
	assert_false(cgroup_is_within("/a", "/a/b"));
	assert_false(cgroup_is_within("/", "/a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_within),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_no_unified_line),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_parse_longest),
		cmocka_unit_test(test_normalise),
		cmocka_unit_test(test_normalise_longest),
		cmocka_unit_test(test_parent),
		cmocka_unit_test(test_start_time),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_ourselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
