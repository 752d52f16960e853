/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is kept of attached guests: whole entries, or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/wait.h>

#include "attach/ledger.h"
#include "base/file.h"
#include "scratch.h"

static void test_what_is_written_is_read(void **state)
{
	_cleanup_(closep) int dir_fd = ledger_open(*state);
	_cleanup_(closep) int fd = ledger_lock(dir_fd, "web1", true);
	char a[] = "/dev/lxd", b[] = "/a \"b\"\n";
	char *paths[] = {a, b};
	const struct ledger_entry written = {
		.pid = 4711, .start = UINT64_C(1) << 40, .paths = paths, .n_paths = 2};
	_cleanup_(ledger_entry_finish) struct ledger_entry read = {0};

	assert_true(fd >= 0);
	assert_int_equal(ledger_read(fd, &read), -ENODATA);
	assert_int_equal(ledger_write(fd, &written), 0);
	assert_int_equal(ledger_read(fd, &read), 0);
	assert_int_equal(read.pid, 4711);
	assert_true(read.start == UINT64_C(1) << 40);
	assert_int_equal(read.n_paths, 2);
	assert_string_equal(read.paths[0], a);
	assert_string_equal(read.paths[1], b);
	assert_false(read.is_done);
}

static void test_what_is_no_entry_is_refused(void **state)
{
	static const char *const texts[] = {
		"{",
		"[]",
		"null",
		"{\"pid\":1}",
		"{\"pid\":0,\"start\":1,\"paths\":[],\"done\":false}",
		"{\"pid\":-1,\"start\":1,\"paths\":[],\"done\":false}",
		"{\"pid\":99999999999,\"start\":1,\"paths\":[],\"done\":false}",
		"{\"pid\":1,\"start\":-1,\"paths\":[],\"done\":false}",
		"{\"pid\":1,\"start\":1,\"paths\":[1],\"done\":false}",
		"{\"pid\":1,\"start\":1,\"paths\":[\"/a\"],\"done\":1}",
		"{\"pid\":1,\"start\":1,\"paths\":[\"/a\"]"};
	_cleanup_(closep) int dir_fd = ledger_open(*state);
	_cleanup_(closep) int fd = ledger_lock(dir_fd, "web1", true);
	struct ledger_entry read = {.pid = 7};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, texts[i], strlen(texts[i]), 0), strlen(texts[i]));
		assert_int_equal(ledger_read(fd, &read), -EINVAL);
		assert_int_equal(read.pid, 7);
	}
}

/* Another one waits for the lock, finds that the file is gone, and makes its own. */
static void test_a_removed_file_is_nobodys(void **state)
{
	_cleanup_(closep) int dir_fd = ledger_open(*state);
	_cleanup_(closep) int fd = ledger_lock(dir_fd, "web1", true);
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		int dir = ledger_open(*state);

		closep(&fd);
		_exit(ledger_lock(dir, "web1", true) >= 0 && faccessat(dir, "web1", F_OK, 0) == 0
			      ? 0
			      : 1);
	}
	ledger_remove(dir_fd, "web1");
	closep(&fd);
	fd = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	ledger_remove(dir_fd, "web1");
	assert_int_equal(ledger_lock(dir_fd, "web1", false), -ENOENT);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_is_written_is_read),
		CASE(test_what_is_no_entry_is_refused),
		CASE(test_a_removed_file_is_nobodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
