/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole files: bounded reading that never blocks; writing that leaves the old
 * bytes or the new ones, and nothing else in the directory
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/sock.h"
#include "scratch.h"

static unsigned count_entries(void **state)
{
	DIR *dir = opendir(*state);
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += !streq(entry->d_name, ".") && !streq(entry->d_name, "..");
	closedir(dir);
	return n;
}

static void assert_content(int dir_fd, const char *name, const char *expected)
{
	_cleanup_(freep) char *bytes = NULL;
	size_t n;

	assert_int_equal(file_read(dir_fd, name, 1 << 20, &bytes, &n), 0);
	assert_int_equal(n, strlen(expected));
	assert_string_equal(bytes, expected);
}

static void test_write_and_read(void **state)
{
	_cleanup_(closep) int dir_fd = scratch_open(state);
	mode_t umask_before = umask(0077);
	struct stat st;

	assert_int_equal(file_write(dir_fd, "f", 0644, "one", 3, FILE_SYNC_FULL), 0);
	umask(umask_before);
	assert_content(dir_fd, "f", "one");
	assert_int_equal(fstatat(dir_fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(file_write(dir_fd, "f", 0600, "", 0, FILE_SYNC_NONE), 0);
	assert_content(dir_fd, "f", "");
	assert_int_equal(fstatat(dir_fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(count_entries(state), 1);
}

static void test_write_with_a_path(void **state)
{
	_cleanup_(freep) char *path = scratch_path(state, "sub/f");
	_cleanup_(freep) char *parent = scratch_path(state, "sub");
	_cleanup_(closep) int path_fd = -1;

	assert_int_equal(file_write(AT_FDCWD, path, 0600, "x", 1, FILE_SYNC_FULL), -ENOENT);
	assert_int_equal(mkdir(parent, 0700), 0);
	assert_int_equal(file_write(AT_FDCWD, path, 0600, "x", 1, FILE_SYNC_FULL), 0);
	assert_content(AT_FDCWD, path, "x");
	path_fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(file_write(path_fd, "f", 0600, "y", 1, FILE_SYNC_FULL), 0);
	assert_content(AT_FDCWD, path, "y");
	assert_int_equal(file_remove(path_fd, "f"), 0);
	assert_int_equal(file_remove(path_fd, "f"), -ENOENT);
}

static void test_read_is_bounded(void **state)
{
	_cleanup_(closep) int dir_fd = scratch_open(state);
	_cleanup_(freep) char *bytes = NULL;
	size_t n = 77;

	assert_int_equal(file_write(dir_fd, "f", 0600, "12345", 5, FILE_SYNC_NONE), 0);
	assert_int_equal(file_read(dir_fd, "f", 4, &bytes, &n), -EFBIG);
	assert_null(bytes);
	assert_int_equal(n, 77);
	assert_int_equal(file_read(dir_fd, "f", 5, &bytes, &n), 0);
	assert_int_equal(n, 5);
	free(steal_ptr(&bytes));
	/* Says it is empty, and is not. */
	assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", 16, &bytes, &n), -EFBIG);
	assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", 1 << 20, &bytes, &n), 0);
	assert_memory_equal(bytes, "Name:", 5);
	assert_int_equal(strlen(bytes), n);
}

static void test_read_large(void **state)
{
	_cleanup_(closep) int dir_fd = scratch_open(state);
	_cleanup_(freep) char *bytes = NULL;
	_cleanup_(freep) char *large = calloc(1, 300001);
	size_t n;

	for (size_t i = 0; i < 300000; i++)
		large[i] = (char)('a' + i % 23);
	assert_int_equal(file_write(dir_fd, "f", 0600, large, 300000, FILE_SYNC_NONE), 0);
	assert_int_equal(file_read(dir_fd, "f", 300000, &bytes, &n), 0);
	assert_int_equal(n, 300000);
	assert_memory_equal(bytes, large, 300001);
}

static void test_read_only_regular_files(void **state)
{
	_cleanup_(closep) int dir_fd = scratch_open(state);
	_cleanup_(freep) char *sock_path = scratch_path(state, "sock");
	_cleanup_(closep) int sock_fd = sock_bind(sock_path, 0600);
	_cleanup_(freep) char *bytes = NULL;
	size_t n;

	assert_true(sock_fd >= 0);
	assert_int_equal(mkfifoat(dir_fd, "fifo", 0600), 0);
	assert_int_equal(file_write(dir_fd, "f", 0600, "x", 1, FILE_SYNC_NONE), 0);
	assert_int_equal(symlinkat("f", dir_fd, "link"), 0);
	assert_int_equal(symlinkat("loop", dir_fd, "loop"), 0);
	assert_int_equal(file_read(dir_fd, "fifo", 10, &bytes, &n), -EINVAL);
	assert_int_equal(file_read(dir_fd, "sock", 10, &bytes, &n), -EINVAL);
	assert_int_equal(file_read(dir_fd, ".", 10, &bytes, &n), -EINVAL);
	assert_int_equal(file_read(AT_FDCWD, "/dev/zero", 10, &bytes, &n), -EINVAL);
	assert_int_equal(file_read(dir_fd, "loop", 10, &bytes, &n), -ELOOP);
	assert_int_equal(file_read(dir_fd, "absent", 10, &bytes, &n), -ENOENT);
	assert_content(dir_fd, "link", "x");
}

static void test_read_proc(void **state)
{
	_cleanup_(closep) int dir_fd = scratch_open(state);
	char buf[6];

	assert_int_equal(file_write(dir_fd, "five", 0600, "12345", 5, FILE_SYNC_NONE), 0);
	assert_int_equal(file_write(dir_fd, "six", 0600, "123456", 6, FILE_SYNC_NONE), 0);
	assert_int_equal(file_read_proc(dir_fd, "five", buf, sizeof(buf)), 5);
	assert_string_equal(buf, "12345");
	assert_int_equal(file_read_proc(dir_fd, "six", buf, sizeof(buf)), -EFBIG);
	assert_int_equal(file_read_proc(dir_fd, "absent", buf, sizeof(buf)), -ENOENT);
}

/* In a child, as the limit cannot be taken back. */
static void test_failed_write_keeps_the_old_file(void **state)
{
	_cleanup_(closep) int dir_fd = scratch_open(state);
	char bytes[4096] = {0};
	int status;
	pid_t pid;

	assert_int_equal(file_write(dir_fd, "f", 0600, "old", 3, FILE_SYNC_FULL), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit limit = {1000, 1000};

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		_exit(-file_write(dir_fd, "f", 0600, bytes, sizeof(bytes), FILE_SYNC_FULL));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EFBIG);
	assert_content(dir_fd, "f", "old");
	assert_int_equal(count_entries(state), 1);
	/* No rename over a directory either, and nothing left of the attempt. */
	assert_int_equal(mkdirat(dir_fd, "d", 0700), 0);
	assert_int_equal(file_write(dir_fd, "d", 0600, "x", 1, FILE_SYNC_FULL), -EISDIR);
	assert_int_equal(count_entries(state), 2);
}

static void test_full_disk_keeps_the_old_file(void **state)
{
	_cleanup_(freep) char *bytes = calloc(1, 256 * 1024);
	_cleanup_(closep) int dir_fd = -1;

	if (!scratch_private_mounts())
		skip();
	if (mount("tiny", *state, "tmpfs", 0, "size=64k") < 0) {
		printf("skipped: cannot mount a tmpfs: %s\n", strerror(errno));
		skip();
	}
	dir_fd = scratch_open(state);
	assert_int_equal(file_write(dir_fd, "f", 0600, "old", 3, FILE_SYNC_FULL), 0);
	assert_int_equal(file_write(dir_fd, "f", 0600, bytes, 256 * 1024, FILE_SYNC_FULL), -ENOSPC);
	assert_content(dir_fd, "f", "old");
	assert_int_equal(count_entries(state), 1);
	assert_int_equal(file_write(dir_fd, "f", 0600, "new", 3, FILE_SYNC_FULL), 0);
	assert_content(dir_fd, "f", "new");
	closep(&dir_fd);
	dir_fd = -1;
	assert_int_equal(umount(*state), 0);
}

static void test_lock(void **state)
{
	_cleanup_(closep) int dir_fd = scratch_open(state);
	_cleanup_(closep) int again_fd = -1;
	int fd = file_lock(dir_fd, "lock", true);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(file_lock(dir_fd, "lock", false), -EWOULDBLOCK);
	close(fd);
	again_fd = file_lock(dir_fd, "lock", false);
	assert_true(again_fd >= 0);
	assert_int_equal(file_lock(dir_fd, "absent/lock", false), -ENOENT);
}

static void test_mkdirs(void **state)
{
	_cleanup_(closep) int dir_fd = scratch_open(state);
	_cleanup_(freep) char *path = scratch_path(state, "a//b/c/");
	_cleanup_(freep) char *below_file = scratch_path(state, "f/x");
	_cleanup_(freep) char *file = scratch_path(state, "f");
	mode_t umask_before = umask(0077);
	struct stat st;

	assert_int_equal(file_mkdirs(path, 0711), 0);
	umask(umask_before);
	assert_int_equal(fstatat(dir_fd, "a/b", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(fstatat(dir_fd, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(file_mkdirs(path, 0700), 0);
	assert_int_equal(fstatat(dir_fd, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0711); /* left as it was */
	assert_int_equal(file_write(dir_fd, "f", 0600, "", 0, FILE_SYNC_NONE), 0);
	assert_int_equal(file_mkdirs(file, 0700), -ENOTDIR);
	assert_int_equal(file_mkdirs(below_file, 0700), -ENOTDIR);
	assert_int_equal(file_mkdirs("", 0700), -ENOENT);
	assert_int_equal(file_mkdirs("/", 0700), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_write_and_read, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_write_with_a_path, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_read_is_bounded, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_read_large, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_read_only_regular_files, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_read_proc, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_failed_write_keeps_the_old_file, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_full_disk_keeps_the_old_file, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_lock, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_mkdirs, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
