/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The line that says how far a piece of work has come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>

#include "base/cleanup.h"
#include "ctl/progress.h"

static void check_line(uint64_t done, uint64_t total, uint64_t elapsed_us, const char *expected)
{
	_cleanup_(buf_finish) struct buf line = {0};

	assert_int_equal(progress_line(&line, "copying", done, total, elapsed_us), 0);
	assert_string_equal(line.data, expected);
}

static void test_line(void **state)
{
	check_line(0, 1000, 0, "copying  [                    ]   0%  0 B of 1000 B");
	/* At first no rate is known. */
	check_line(500, 1000, 1000, "copying  [##########          ]  50%  500 B of 1000 B");
	check_line(
		256 << 20, 1024 << 20, 1000000,
		"copying  [#####               ]  25%  256 MiB of 1.0 GiB  256 MiB/s  0:03 left");
	check_line(
		1 << 20, (uint64_t)2 << 40, 1000000,
		"copying  [                    ]   0%  1.0 MiB of 2.0 TiB  1.0 MiB/s  99:59:59 left");
	check_line(3000, 3000, 3000000,
		   "copying  [####################] 100%  2.9 KiB of 2.9 KiB  1000 B/s");
	check_line(0, 0, 0, "copying  [####################] 100%  0 B of 0 B");
	check_line(2000, 1000, 0, "copying  [####################] 100%  2.0 KiB of 1000 B");
}

static void test_nobody_at_a_terminal(void **state)
{
	int fds[2];
	char byte;
	struct progress p;

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	progress_init(&p, fds[1]);
	progress_show(&p, "copying", 0, 10);
	progress_show(&p, "copying", 10, 10);
	progress_clear(&p);
	assert_int_equal(read(fds[0], &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_nobody_at_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
