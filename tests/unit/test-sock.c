/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unix sockets: modes whatever the umask, stale ones replaced, paths of any length
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/sock.h"
#include "scratch.h"

static void test_mode_whatever_the_umask(void **state)
{
	static const mode_t masks[] = {0, 0022, 0077, 0777};
	static const mode_t modes[] = {0666, 0600, 0660};
	_cleanup_(freep) char *path = scratch_path(state, "sock");

	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(modes); j++) {
			mode_t umask_before = umask(masks[i]);
			_cleanup_(closep) int fd = sock_bind(path, modes[j]);
			struct stat st;

			umask(umask_before);
			assert_true(fd >= 0);
			assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
			assert_int_equal(lstat(path, &st), 0);
			assert_int_equal(st.st_mode, S_IFSOCK | modes[j]);
		}
	}
}

static void talk(const char *path)
{
	_cleanup_(closep) int listener_fd = sock_bind(path, 0600);
	_cleanup_(closep) int client_fd = -1;
	_cleanup_(closep) int server_fd = -1;
	char c = 0;

	assert_true(listener_fd >= 0);
	assert_int_equal(sock_connect(path), -ECONNREFUSED); /* bound, not listening */
	assert_int_equal(sock_listen(listener_fd, 8), 0);
	assert_int_equal(sock_listen(listener_fd, 16), 0);
	client_fd = sock_connect(path);
	assert_true(client_fd >= 0);
	assert_int_equal(fcntl(client_fd, F_GETFD), FD_CLOEXEC);
	server_fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server_fd >= 0);
	assert_int_equal(write(client_fd, "x", 1), 1);
	assert_int_equal(read(server_fd, &c, 1), 1);
	assert_int_equal(c, 'x');
}

static void test_connect(void **state)
{
	_cleanup_(freep) char *path = scratch_path(state, "sock");

	assert_int_equal(sock_connect(path), -ENOENT);
	assert_int_equal(sock_connect(""), -ENOENT);
	talk(path);
	assert_int_equal(sock_connect(path), -ECONNREFUSED); /* nobody there any more */
	talk(path);                                          /* and stale is replaced */
}

/* At every length around the size of sun_path, and far beyond. */
static void test_long_paths(void **state)
{
	size_t n_base = strlen(*state);

	for (size_t length = 104; length < 1200; length = length < 112 ? length + 1 : length * 2) {
		_cleanup_(freep) char *path = calloc(1, length + 1);
		char *last;

		memset(path, 'd', length);
		memcpy(path, *state, n_base);
		for (size_t i = n_base; i + 1 < length; i += 60)
			path[i] = '/';
		last = strrchr(path, '/');
		*last = '\0';
		assert_int_equal(file_mkdirs(path, 0700), 0);
		*last = '/';
		talk(path);
	}
}

static void test_name_too_long(void **state)
{
	_cleanup_(freep) char *parent = NULL;
	char name[256];

	memset(name, 'n', 200);
	name[200] = '\0';
	parent = scratch_path(state, name);
	assert_int_equal(sock_bind(parent, 0600), -ENAMETOOLONG);
	assert_int_equal(sock_connect(parent), -ENAMETOOLONG);
}

static void test_replaces_only_sockets(void **state)
{
	_cleanup_(closep) int dir_fd = scratch_open(state);
	_cleanup_(freep) char *path = scratch_path(state, "sock");
	_cleanup_(freep) char *below = scratch_path(state, "sock/x");
	_cleanup_(closep) int fd = -1;
	struct stat st;

	assert_int_equal(file_write(dir_fd, "sock", 0600, "precious", 8, FILE_SYNC_NONE), 0);
	assert_int_equal(sock_bind(path, 0600), -EEXIST);
	assert_int_equal(fstatat(dir_fd, "sock", &st, 0), 0);
	assert_int_equal(st.st_size, 8);
	assert_int_equal(sock_bind(below, 0600), -ENOTDIR);
	assert_int_equal(unlinkat(dir_fd, "sock", 0), 0);

	/* Not through a link: not the link's target, and not where it points. */
	assert_int_equal(symlinkat("elsewhere", dir_fd, "sock"), 0);
	assert_int_equal(sock_bind(path, 0600), -EEXIST);
	assert_int_equal(fstatat(dir_fd, "elsewhere", &st, 0), -1);
	assert_int_equal(unlinkat(dir_fd, "sock", 0), 0);

	fd = sock_bind(path, 0600);
	assert_true(fd >= 0);
}

static void test_clock_goes_on(void **state)
{
	uint64_t before = now_us(), after = now_us();

	assert_true(before > 0);
	assert_true(after >= before);
	assert_true(after - before < 60 * 1000000ULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mode_whatever_the_umask, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_connect, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_long_paths, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_name_too_long, scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_replaces_only_sockets, scratch_setup,
						scratch_teardown),
		cmocka_unit_test(test_clock_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
