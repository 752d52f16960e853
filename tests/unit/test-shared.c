/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shared state: what one process writes another sees, and another version is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "shared.h"

static void test_new_and_map(void **state)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(shared_freep) struct shared *s = NULL, *other = NULL;
	bool is_zero = true;

	assert_int_equal(shared_new(&fd, &s), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(strlen(s->mount_id), 32);
	assert_int_equal(strspn(s->mount_id, "0123456789abcdef"), 32);
	for (size_t i = 0; i < sizeof(s->secret); i++)
		is_zero &= s->secret[i] == 0;
	assert_false(is_zero);
	assert_true(s->last_serial == 0 && !s->is_socket_bound && s->helper_tid == 0);
	assert_int_equal(shared_map(fd, &other), 0);
	assert_ptr_not_equal(other, s);
	other->last_serial = 5;
	s->listeners[SHARED_LISTENERS_MAX - 1].is_bound = true;
	assert_int_equal(s->last_serial, 5);
	assert_true(other->listeners[SHARED_LISTENERS_MAX - 1].is_bound);
	assert_null(shared_free(NULL));
}

static void test_two_are_different(void **state)
{
	_cleanup_(closep) int fd = -1, fd2 = -1;
	_cleanup_(shared_freep) struct shared *s = NULL, *other = NULL;

	assert_int_equal(shared_new(&fd, &s), 0);
	assert_int_equal(shared_new(&fd2, &other), 0);
	assert_string_not_equal(s->mount_id, other->mount_id);
	assert_memory_not_equal(s->secret, other->secret, sizeof(s->secret));
}

static void assert_refused(int fd)
{
	struct shared *s = (void *)&fd;

	assert_int_equal(shared_map(fd, &s), -EINVAL);
	assert_ptr_equal(s, &fd);
}

static void test_another_version(void **state)
{
	_cleanup_(closep) int fd = -1;
	_cleanup_(shared_freep) struct shared *s = NULL, *other = NULL;

	assert_int_equal(shared_new(&fd, &s), 0);
	s->version++;
	assert_refused(fd);
	s->version--;
	s->size++;
	assert_refused(fd);
	s->size--;
	s->magic++;
	assert_refused(fd);
	s->magic--;
	s->init_len = SHARED_INIT_MAX + 1;
	assert_refused(fd);
	s->init_len = SHARED_INIT_MAX;
	assert_int_equal(shared_map(fd, &other), 0);
	assert_int_equal(shared_map(-1, &other), -EBADF);
}

/* Whoever maps it would be killed; and what comes shorter is no such memory. */
static void test_no_shorter(void **state)
{
	_cleanup_(closep) int fd = -1, short_fd = memfd_create("short", MFD_CLOEXEC);
	_cleanup_(shared_freep) struct shared *s = NULL;
	off_t size = (off_t)shared_size();

	assert_int_equal(shared_new(&fd, &s), 0);
	assert_int_equal(ftruncate(fd, size - 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 2 * size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), -1);
	assert_int_equal(write(short_fd, s, (size_t)size - 1), size - 1);
	assert_refused(short_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_and_map),
		cmocka_unit_test(test_two_are_different),
		cmocka_unit_test(test_another_version),
		cmocka_unit_test(test_no_shorter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
