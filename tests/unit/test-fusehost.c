/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's FUSE settings, below a directory that stands for "/"
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/fusehost.h"
#include "scratch.h"

static struct fusehost look(void **state)
{
	_cleanup_(closep) int fd = scratch_open(state);
	struct fusehost h;

	fusehost_read(fd, &h);
	return h;
}

static void write_file(void **state, const char *dir, const char *name, const char *text)
{
	_cleanup_(freep) char *path = scratch_path(state, dir);
	_cleanup_(closep) int fd = -1;

	assert_int_equal(file_mkdirs(path, 0755), 0);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(file_write(fd, name, 0644, text, strlen(text), FILE_SYNC_NONE), 0);
}

static void an_older_kernel_has_no_timeouts(void **state)
{
	struct fusehost h = look(state);

	assert_int_equal(h.default_timeout_s, -1);
	assert_int_equal(h.max_timeout_s, -1);
	assert_false(h.user_allow_other);
	assert_int_equal(fusehost_timeout_s(&h), 0);
}

static void timeouts_are_read(void **state)
{
	struct fusehost h;

	write_file(state, "proc/sys/fs/fuse", "default_request_timeout", "0\n");
	write_file(state, "proc/sys/fs/fuse", "max_request_timeout", "90\n");
	h = look(state);
	assert_int_equal(h.default_timeout_s, 0);
	assert_int_equal(h.max_timeout_s, 90);
	write_file(state, "proc/sys/fs/fuse", "max_request_timeout", "soon\n");
	assert_int_equal(look(state).max_timeout_s, -1);
}

static void the_smaller_timeout_holds(void **state)
{
	static const struct {
		int by_default, at_most;
		unsigned expected;
	} cases[] = {{-1, -1, 0},  {0, 0, 0},    {20, 0, 20}, {0, 20, 20},
		     {20, 30, 20}, {30, 20, 20}, {-1, 5, 5},  {5, -1, 5}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(fusehost_timeout_s(&(struct fusehost){cases[i].by_default,
								       cases[i].at_most, false}),
				 cases[i].expected);
}

static void only_a_line_of_its_own_allows(void **state)
{
	static const struct {
		const char *text;
		bool expected;
	} cases[] = {{"", false},
		     {"# user_allow_other\n", false},
		     {"user_allow_others\n", false},
		     {"mount_max = 1\n  user_allow_other # for me\n", true},
		     {"user_allow_other", true}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		write_file(state, "etc", "fuse.conf", cases[i].text);
		assert_int_equal(look(state).user_allow_other, cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_older_kernel_has_no_timeouts, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(timeouts_are_read, scratch_setup, scratch_teardown),
		cmocka_unit_test(the_smaller_timeout_holds),
		cmocka_unit_test_setup_teardown(only_a_line_of_its_own_allows, scratch_setup,
						scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
