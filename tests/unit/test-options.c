/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd's command line: what it accepts and what it refuses with status 2
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "config.h"
#include "options.h"

static int parse(struct options *o, const char *first, const char *second)
{
	char *argv[] = {(char *)"devlxdfsd", (char *)first, (char *)second, NULL};

	return options_parse(o, second ? 3 : first ? 2 : 1, argv);
}

static void defaults_are_the_builds(void **state)
{
	struct options o;

	assert_int_equal(parse(&o, NULL, NULL), -1);
	assert_string_equal(o.conf_dir, DEVLXDFS_CONF_DIR);
	assert_string_equal(o.state_dir, DEVLXDFS_STATE_DIR);
	assert_string_equal(o.run_dir, DEVLXDFS_RUN_DIR);
	assert_int_equal(o.ready_fd, -1);
	assert_int_equal(o.log_level, LOG_LEVEL_INFO);
	assert_false(o.worker || o.foreground_worker || o.no_fuse || o.no_resend);
	assert_false(o.no_passthrough);
}

static void values_stand_behind_an_equals_sign_or_a_space(void **state)
{
	struct options o;

	assert_int_equal(parse(&o, "--run-dir=/a=b", NULL), -1);
	assert_string_equal(o.run_dir, "/a=b");
	assert_int_equal(parse(&o, "--run-dir", "/c"), -1);
	assert_string_equal(o.run_dir, "/c");
	assert_int_equal(parse(&o, "--ready-fd=0", NULL), -1);
	assert_int_equal(o.ready_fd, 0);
	assert_int_equal(parse(&o, "--log-level", "debug"), -1);
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
}

static void flags_take_no_value(void **state)
{
	struct options o;

	assert_int_equal(parse(&o, "--no-fuse", "--foreground-worker"), -1);
	assert_true(o.no_fuse && o.foreground_worker);
	assert_int_equal(parse(&o, "--no-resend", NULL), -1);
	assert_true(o.no_resend && !o.no_fuse);
	assert_int_equal(parse(&o, "--no-passthrough", NULL), -1);
	assert_true(o.no_passthrough && !o.no_resend);
	assert_int_equal(parse(&o, "--no-fuse=yes", NULL), 2);
}

static void misuse_is_status_2(void **state)
{
	static const char *const bad[][2] = {
		{"--run-dir", NULL},
		{"--run-dir=", NULL},
		{"--ready-fd", "-1"},
		{"--ready-fd=2147483648", NULL},
		{"--ready-fd", "1x"},
		{"--log-level", "loud"},
		{"--run", "/x"},
		{"--run-dirs=/x", NULL},
		{"-r", "/x"},
		{"word", NULL},
		{"--", NULL},
		{"", NULL},
		{"--worker=1,2", NULL},
		{"--worker=1,2,3,4,5,6,7,8,9", NULL},
		{"--worker=1,x,3,4,5,6,7,8", NULL},
	};
	struct options o;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(&o, bad[i][0], bad[i][1]), 2);
}

static void worker_descriptors(void **state)
{
	static const int expected[OPTIONS_N_WORKER_FDS] = {4, 5, 6, 70, -1, 9, 10, 11};
	struct options o;

	assert_int_equal(parse(&o, "--worker=4,5,6,70,,9,10,11", NULL), -1);
	assert_true(o.worker);
	assert_memory_equal(o.worker_fds, expected, sizeof(expected));
}

static void help_and_version_end_with_0(void **state)
{
	struct options o;

	assert_int_equal(parse(&o, "--help", NULL), 0);
	assert_int_equal(parse(&o, "--version", NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_the_builds),
		cmocka_unit_test(values_stand_behind_an_equals_sign_or_a_space),
		cmocka_unit_test(flags_take_no_value),
		cmocka_unit_test(misuse_is_status_2),
		cmocka_unit_test(worker_descriptors),
		cmocka_unit_test(help_and_version_end_with_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
