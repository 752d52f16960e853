/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations on images: one node in many directories, for each who may have it, however it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "asks.h"

#define FP_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define FP_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define A(...)                                                                                     \
	{                                                                                          \
		FP_A, "a", "root", "12345", .mtime_ns = 7000000008, ##__VA_ARGS__                  \
	}

#define OPEN_KEEP_CACHE  2U
#define OPEN_NOFLUSH     (1U << 5)
#define OPEN_PASSTHROUGH (1U << 7)

static int open_file(struct asks *a, uint64_t id, int flags)
{
	const struct fuse_open_in in = {.flags = (uint32_t)flags};

	return ASK(a, FUSE_OPEN, id, in);
}

static const struct fuse_open_out *opened(const struct asks *a)
{
	assert_int_equal(a->n, sizeof(struct fuse_open_out));
	return (const void *)a->bytes;
}

/* The field has another name in newer headers. */
static int32_t opened_as(const struct asks *a)
{
	int32_t id;

	memcpy(&id, a->bytes + offsetof(struct fuse_open_out, open_flags) + 4, sizeof(id));
	return id;
}

static int read_file(struct asks *a, uint64_t id, uint64_t offset, uint32_t size)
{
	const struct fuse_read_in in = {.offset = offset, .size = size};

	return ASK(a, FUSE_READ, id, in);
}

static void release(struct asks *a, uint64_t id, uint64_t handle)
{
	const struct fuse_release_in in = {.fh = handle};

	assert_int_equal(ASK(a, FUSE_RELEASE, id, in), 0);
}

static void test_one_node(void **state)
{
	struct asks *a = *state;
	uint64_t id, other;

	SET_IMAGES(&a->world->fake, A());
	SHOW(&a->world->fake, "web1", IMAGES);
	SHOW(&a->world->fake, "web2", IMAGES);
	SHOW(&a->world->fake, "web3", OWN_IMAGES);
	id = asks_id(a, "web1/images/" FP_A "/root");
	assert_true(tree_id_is_file(id));
	assert_int_equal(asks_entry(a)->attr.mode, S_IFREG | 0444);
	assert_int_equal(asks_entry(a)->attr.size, 5);
	assert_true(asks_entry(a)->attr.mtime == 7 && asks_entry(a)->attr.mtimensec == 8);
	assert_true(asks_entry(a)->generation == 0);
	assert_true(id == asks_id(a, "web1/images/a/root"));
	assert_true(id == asks_id(a, "web2/images/a/root"));
	assert_true(asks_id(a, "web1/images/a") != asks_id(a, "web2/images/a"));
	other = asks_id(a, "web3/images/a/root");
	assert_true(other && tree_serial(other) == 3);
	assert_int_equal(asks_getattr(a, id), 0);
	assert_true(asks_attr(a)->attr.ino == id && asks_attr(a)->attr.size == 5);
}

static void test_read(void **state)
{
	struct asks *a = *state;
	uint64_t id, own;

	a->ops.generation = 9;
	SET_IMAGES(&a->world->fake, A());
	SHOW(&a->world->fake, "web1", IMAGES);
	SHOW(&a->world->fake, "web2", OWN_IMAGES);
	id = asks_id(a, "web1/images/a/root");
	own = asks_id(a, "web2/images/a/root");
	assert_int_equal(open_file(a, id, O_RDONLY), 0);
	assert_int_equal(opened(a)->open_flags, OPEN_KEEP_CACHE | OPEN_NOFLUSH);
	assert_int_equal(opened(a)->fh, 9);
	assert_int_equal(open_file(a, own, O_RDONLY), 0);
	assert_int_equal(read_file(a, id, 1, 3), 0);
	assert_int_equal(a->n, 3);
	assert_memory_equal(a->bytes, "234", 3);
	assert_int_equal(read_file(a, own, 3, 1 << 17), 0);
	assert_memory_equal(a->bytes, "45", 2);
	assert_int_equal(read_file(a, id, 5, 3), 0);
	assert_int_equal(a->n, 0);
	release(a, id, 9);
	release(a, id, 8); /* an earlier worker's */
}

static void test_refused(void **state)
{
	struct asks *a = *state;
	uint64_t id, own;

	SET_IMAGES(&a->world->fake, A());
	SHOW(&a->world->fake, "web1", IMAGES);
	SHOW(&a->world->fake, "web2", OWN_IMAGES);
	id = asks_id(a, "web1/images/a/root");
	own = asks_id(a, "web2/images/a/root");
	assert_int_equal(open_file(a, id, O_WRONLY), EROFS);
	assert_int_equal(open_file(a, id, O_RDONLY | O_TRUNC), EROFS);
	assert_int_equal(open_file(a, own, O_RDWR), EROFS);
	a->tid = FAKE_STRANGER;
	assert_int_equal(open_file(a, id, O_RDONLY), EACCES);
	a->tid = FAKE_HOST;
	assert_int_equal(open_file(a, id, O_RDONLY), 0);
	assert_int_equal(open_file(a, id, O_WRONLY), EROFS);
	a->tid = ASKS_GUEST;
	assert_int_equal(open_file(a, TREE_FILE_BIT | 77, O_RDONLY), ESTALE);
	assert_int_equal(asks_getattr(a, TREE_FILE_BIT | 77), ESTALE);
	assert_int_equal(read_file(a, TREE_FILE_BIT | 77, 0, 1), ESTALE);
	SET_IMAGES(&a->world->fake, A(.is_hidden = true));
	assert_int_equal(open_file(a, id, O_RDONLY), ESTALE);
	assert_int_equal(read_file(a, id, 0, 5), 0);
	SET_IMAGES(&a->world->fake, {FP_A, "a", "root", NULL, .mtime_ns = 7000000008});
	assert_int_equal(open_file(a, own, O_RDONLY), ESTALE);
	assert_int_equal(open_file(a, asks_id(a, "web1/images/a/root"), O_RDONLY), EIO);
}

/* No node is read in two ways, whichever worker is asked. */
static void test_passthrough(void **state)
{
	struct asks *a = *state;
	uint64_t id, other;

	SET_IMAGES(&a->world->fake, A(), {FP_B, "b", "root", "6"});
	SHOW(&a->world->fake, "web1", IMAGES);
	id = asks_id(a, "web1/images/a/root");
	other = asks_id(a, "web1/images/b/root");
	a->world->backing = 5;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(open_file(a, id, O_RDONLY), 0);
		assert_int_equal(opened(a)->open_flags, OPEN_PASSTHROUGH | OPEN_NOFLUSH);
		assert_int_equal(opened_as(a), 5);
		a->world->backing = -ELOOP;
		assert_int_equal(open_file(a, other, O_RDONLY), 0);
		assert_int_equal(opened(a)->open_flags, OPEN_KEEP_CACHE | OPEN_NOFLUSH);
		a->world->backing = 6;
	}
	assert_int_equal(a->world->n_backings, 2);
}

/* An alias that stands for another image: names below it are not believed any more. */
static void test_alias_moves(void **state)
{
	struct asks *a = *state;
	uint64_t directory, images, file;

	SET_IMAGES(&a->world->fake, A(), {FP_B, NULL, "root", "6"});
	SHOW(&a->world->fake, "web1", IMAGES);
	images = asks_id(a, "web1/images");
	directory = asks_id(a, "web1/images/a");
	file = asks_id(a, "web1/images/a/root");
	SET_IMAGES(&a->world->fake, {FP_A, NULL, "root", "12345", .mtime_ns = 7000000008},
		   {FP_B, "a", "root", "6"});
	branches_changed(a->world->all, "web1");
	world_settle(a->world);
	assert_int_equal(kernel_n_gone(), 1);
	assert_int_equal(kernel_n_told_of(directory, ""), 1);
	assert_int_equal(kernel_n_told_of(file, ""), 0);
	assert_int_equal(kernel_n_told_of(images, ""), 1); /* its listing */
	assert_int_equal(asks_getattr(a, directory), ESTALE);
	assert_true(asks_id(a, "web1/images/a") != directory);
	assert_true(asks_id(a, "web1/images/a/root") != file);
	assert_true(asks_id(a, "web1/images/" FP_A "/root") == file);
	assert_int_equal(open_file(a, file, O_RDONLY), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, asks_setup, asks_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_node),    TEST(test_read),        TEST(test_refused),
		TEST(test_passthrough), TEST(test_alias_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
