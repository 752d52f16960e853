/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backings: of what a worker sends, only images get as far as the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backings.h"
#include "scratch.h"

#define NODE UINT64_C(0x8000000000000077)

static struct backings backings;

static int setup(void **state)
{
	char *dir;

	backings = (struct backings){0};
	if (scratch_setup(state) < 0)
		return -1;
	for (size_t i = 0; i < 3; i++) {
		dir = scratch_path(state, (const char *[]){"images", "images/fp", "images2"}[i]);
		assert_int_equal(mkdir(dir, 0700), 0);
		free(dir);
	}
	return 0;
}

/* What becomes of the file @name, opened with @flags; the kernel is none, and would say EBADF. */
static int try(void **state, const char *name, int flags)
{
	char *path = scratch_path(state, name);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), r;

	if (fd >= 0)
		close(fd);
	fd = open(path, flags | O_CLOEXEC);
	free(path);
	assert_true(fd >= 0);
	r = backings_open(&backings, -1, *state, NODE, fd);
	close(fd);
	return r;
}

static void test_what_may_be_read(void **state)
{
	assert_int_equal(try(state, "images/fp/rootfs", O_RDONLY), -EBADF);
	assert_int_equal(try(state, "images/fp/rootfs", O_RDWR), -EACCES);
	assert_int_equal(try(state, "images/fp/rootfs", O_WRONLY), -EACCES);
	assert_int_equal(try(state, "images/fp/rootfs", O_PATH), -EACCES);
	assert_int_equal(try(state, "images/fp", O_RDONLY | O_DIRECTORY), -EACCES);
	assert_int_equal(try(state, "images2/rootfs", O_RDONLY), -EACCES);
	assert_int_equal(try(state, "record.json", O_RDONLY), -EACCES);
	assert_int_equal(backings_open(&backings, -1, *state, NODE, -1), -EACCES);
	assert_int_equal(backings_open(&backings, -1, "/nonexistent", NODE, 0), -EACCES);
}

/* The path that counts is the one that the kernel has. */
static void test_links(void **state)
{
	char *outside = scratch_path(state, "images2/secret");
	char *link = scratch_path(state, "images/fp/link");
	int fd = open(outside, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(symlink(outside, link), 0);
	assert_int_equal(try(state, "images/fp/link", O_RDONLY), -EACCES);
	free(outside);
	free(link);
}

static void test_one_number_for_a_node(void **state)
{
	static struct shared shared;

	shared.backings[0].node = 1;
	shared.backings[0].id = -1;
	shared.backings[3].node = NODE;
	shared.backings[3].id = 42;
	backings_take_up(&backings, &shared);
	assert_int_equal(try(state, "images/fp/rootfs", O_RDONLY), 42);
	backings_close(&backings, -1, 1); /* not known */
	backings_close(&backings, -1, 0);
	assert_int_equal(try(state, "images/fp/rootfs", O_RDONLY), 42);
	backings_close(&backings, -1, NODE);
	assert_int_equal(try(state, "images/fp/rootfs", O_RDONLY), -EBADF);
}

static void test_too_many(void **state)
{
	for (size_t i = 0; i < SHARED_BACKINGS_MAX; i++)
		backings.list[i].node = i + 1;
	assert_int_equal(try(state, "images/fp/rootfs", O_RDONLY), -ENOSPC);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_may_be_read),
		TEST(test_links),
		TEST(test_one_number_for_a_node),
		TEST(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
