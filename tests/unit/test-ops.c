/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations on files: the answer to each request, for each who may ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "asks.h"
#include "core/limits.h"

#define FOR_EVER 1000000000 /* seconds */

static void test_lookup_in_the_root(void **state)
{
	struct asks *a = *state;
	const struct fuse_entry_out *e;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	a->tid = FAKE_STRANGER; /* who knows the name may enter, as managers have to */
	assert_int_equal(asks_lookup(a, TREE_ROOT_ID, "web1"), 0);
	e = asks_entry(a);
	assert_true(e->nodeid == tree_id(1, TREE_TOP_LOW));
	assert_true(e->generation == 0);
	assert_true(e->entry_valid == 0 && e->entry_valid_nsec == 0);
	assert_true(e->attr_valid == FOR_EVER);
	assert_int_equal(e->attr.mode, S_IFDIR | 0555);
	assert_int_equal(e->attr.nlink, 2);
	assert_true(e->attr.ino == e->nodeid);
	assert_int_equal(asks_lookup(a, TREE_ROOT_ID, "web2"), ENOENT);
	assert_int_equal(asks_lookup(a, TREE_ROOT_ID, ""), ENOENT);
	assert_int_equal(asks_lookup(a, TREE_ROOT_ID, "."), ENOENT);
	assert_int_equal(asks_lookup(a, TREE_ROOT_ID, ".sock.1"), ENOENT);
	assert_int_equal(a->ops.stats.n_requests, 5);
}

static void test_lookup(void **state)
{
	struct asks *a = *state;
	const struct fuse_entry_out *e;
	uint64_t config;

	SHOW(&a->world->fake, "web1", KEY("a", "123"), RULE("config/a", 0440, 5), SOCKET);
	config = asks_id(a, "web1/config");
	assert_int_equal(asks_lookup(a, config, "a"), 0);
	e = asks_entry(a);
	assert_int_equal(tree_serial(e->nodeid), 1);
	assert_true(e->entry_valid == FOR_EVER && e->attr_valid == FOR_EVER);
	assert_true(e->generation != 0);
	assert_int_equal(e->attr.mode, S_IFREG | 0440);
	assert_int_equal(e->attr.size, 3);
	assert_int_equal(e->attr.blocks, 1);
	assert_int_equal(e->attr.nlink, 1);
	assert_int_equal(e->attr.uid, 5);
	assert_int_equal(e->attr.gid, 5);
	assert_true(e->attr.mtime == 1000 && e->attr.mtimensec == 5);
	assert_int_equal(asks_lookup(a, config, "b"), ENOENT);
	assert_int_equal(asks_lookup(a, tree_id(1, TREE_TOP_LOW), "sock"), 0);
	assert_true(asks_entry(a)->nodeid == TREE_SOCKET_ID);
	assert_int_equal(asks_entry(a)->attr.mode, S_IFSOCK | 0666);
	assert_int_equal(asks_lookup(a, tree_id(1, TREE_TOP_LOW), "state"), 0);
	assert_true(asks_entry(a)->attr_valid == 0);
	assert_int_equal(asks_entry(a)->attr.size, strlen("Started\n"));
	assert_int_equal(asks_entry(a)->attr.mode, S_IFREG | 0600);
}

static void test_lookup_refused(void **state)
{
	struct asks *a = *state;
	uint64_t config, key;
	char larger[FILENAME_MAX];

	memset(larger, 'x', sizeof(larger));
	larger[256] = '\0';
	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	config = asks_id(a, "web1/config");
	key = asks_id(a, "web1/config/a");
	assert_int_equal(asks_lookup(a, config, larger), ENAMETOOLONG);
	larger[255] = '\0';
	assert_int_equal(asks_lookup(a, config, larger), ENOENT);
	assert_int_equal(asks_lookup(a, key, "b"), ENOTDIR);
	assert_int_equal(asks_lookup(a, key + 1, "b"), ESTALE);
	assert_int_equal(asks_lookup(a, tree_id(2, TREE_TOP_LOW), "b"), ESTALE);
	assert_int_equal(asks_lookup(a, 3, "b"), ESTALE);
	assert_int_equal(asks_lookup(a, TREE_SOCKET_ID, "b"), ENOTDIR);
	assert_int_equal(a->ops.stats.n_stale, 3);
	a->tid = FAKE_HOST;
	assert_int_equal(asks_lookup(a, config, "a"), 0);
	a->tid = FAKE_STRANGER;
	assert_int_equal(asks_lookup(a, config, "a"), EACCES);
	assert_int_equal(asks_lookup(a, tree_id(1, TREE_TOP_LOW), "config"), EACCES);
	assert_int_equal(asks_lookup(a, tree_id(1, TREE_OWN_SOCKET_LOW), "b"), EACCES);
	assert_int_equal(a->ops.stats.n_denied, 3);
	/* Where there is nothing to see, there is nothing to be denied. */
	fake_hide(&a->world->fake, "web1");
	assert_int_equal(asks_lookup(a, config, "a"), ENOENT);
	a->tid = ASKS_GUEST;
	assert_int_equal(asks_lookup(a, config, "a"), ENOENT);
	assert_int_equal(asks_lookup(a, key, "a"), ESTALE);
}

static void test_getattr(void **state)
{
	struct asks *a = *state;
	uint64_t key;

	SHOW(&a->world->fake, "web1", KEY("a", "123"));
	assert_int_equal(asks_getattr(a, TREE_ROOT_ID), 0);
	assert_int_equal(asks_attr(a)->attr.mode, S_IFDIR | 0711);
	assert_int_equal(asks_getattr(a, TREE_SOCKET_ID), 0);
	assert_int_equal(asks_attr(a)->attr.mode, S_IFSOCK | 0666);
	key = asks_id(a, "web1/config/a");
	a->tid = FAKE_STRANGER; /* what is cached for all can be no secret */
	assert_int_equal(asks_getattr(a, key), 0);
	assert_int_equal(asks_attr(a)->attr.size, 3);
	assert_true(asks_attr(a)->attr_valid == FOR_EVER);
	assert_int_equal(asks_getattr(a, tree_id(1, TREE_OWN_SOCKET_LOW)), 0);
	assert_int_equal(asks_getattr(a, tree_id(7, TREE_TOP_LOW)), ESTALE);
	SHOW(&a->world->fake, "web1", KEY("a", "1234"));
	assert_int_equal(asks_getattr(a, key), ESTALE);
	assert_int_equal(a->ops.stats.n_stale, 2);
}

static void test_getattr_asks_for_the_owner(void **state)
{
	struct asks *a = *state;
	struct fake_instance *i = fake_get(&a->world->fake, "web1");

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	assert_true(asks_id(a, "web1") != 0);
	i->owner = (struct source_owner){.is_known = true, .run = {1}, .uid = 1000, .gid = 2000};
	assert_int_equal(asks_getattr(a, tree_id(1, TREE_TOP_LOW)), 0);
	assert_int_equal(asks_attr(a)->attr.uid, 1000);
	assert_int_equal(asks_attr(a)->attr.gid, 2000);
}

static void assert_bytes(const struct asks *a, const char *expected)
{
	assert_int_equal(a->n, strlen(expected));
	assert_memory_equal(a->bytes, expected, a->n);
}

static void test_read(void **state)
{
	struct asks *a = *state;
	uint64_t key;

	SHOW(&a->world->fake, "web1", KEY("a", "0123456789"));
	key = asks_id(a, "web1/config/a");
	assert_int_equal(asks_open(a, key, O_RDONLY), 0);
	assert_int_equal(asks_open_flags(a), FOPEN_KEEP_CACHE | FOPEN_NOFLUSH);
	assert_int_equal(asks_read(a, FUSE_READ, key, 0, 4096), 0);
	assert_bytes(a, "0123456789");
	assert_int_equal(asks_read(a, FUSE_READ, key, 3, 4), 0);
	assert_bytes(a, "3456");
	assert_int_equal(asks_read(a, FUSE_READ, key, 10, 4), 0);
	assert_bytes(a, "");
	assert_int_equal(asks_read(a, FUSE_READ, key, UINT64_MAX, UINT32_MAX), 0);
	assert_bytes(a, "");
	assert_int_equal(asks_read(a, FUSE_READ, key, 0, 0), 0);
	assert_bytes(a, "");
	/* Changed while it is open: the old bytes until it is closed. */
	CHANGE(a->world, "web1", KEY("a", "other"));
	assert_int_equal(asks_read(a, FUSE_READ, key, 8, 4096), 0);
	assert_bytes(a, "89");
	assert_int_equal(asks_getattr(a, key), 0);
	assert_int_equal(asks_attr(a)->attr.size, 10);
	assert_int_equal(asks_open(a, key, O_RDONLY), ESTALE);
	assert_int_equal(asks_release(a, key), 0);
	assert_int_equal(asks_read(a, FUSE_READ, key, 0, 4096), ESTALE);
	assert_int_equal(asks_release(a, key), 0);
	assert_int_equal(asks_release(a, 12345), 0);
}

static void test_read_what_is_no_file(void **state)
{
	struct asks *a = *state;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	assert_int_equal(asks_read(a, FUSE_READ, asks_id(a, "web1/config"), 0, 10), EINVAL);
	assert_int_equal(asks_read(a, FUSE_READ, TREE_ROOT_ID, 0, 10), EINVAL);
	assert_int_equal(asks_read(a, FUSE_READ, TREE_SOCKET_ID, 0, 10), EINVAL);
	assert_int_equal(asks_open(a, asks_id(a, "web1/config"), O_RDONLY), EINVAL);
	assert_int_equal(asks_open(a, TREE_ROOT_ID, O_RDONLY), ESTALE);
}

static void test_open_refused(void **state)
{
	struct asks *a = *state;
	uint64_t key, st;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	key = asks_id(a, "web1/config/a");
	st = asks_id(a, "web1/state");
	assert_int_equal(asks_open(a, key, O_WRONLY), EROFS);
	assert_int_equal(asks_open(a, key, O_RDWR), EROFS);
	assert_int_equal(asks_open(a, key, O_RDONLY | O_TRUNC), EROFS);
	a->tid = FAKE_HOST;
	assert_int_equal(asks_open(a, key, O_RDONLY), 0);
	assert_int_equal(asks_open(a, st, O_RDONLY), 0);
	assert_int_equal(asks_open(a, st, O_WRONLY), EACCES);
	a->tid = FAKE_STRANGER;
	assert_int_equal(asks_open(a, key, O_RDONLY), EACCES);
	assert_int_equal(asks_open(a, st, O_RDONLY), EACCES);
	a->tid = ASKS_GUEST;
	fake_hide(&a->world->fake, "web1");
	assert_int_equal(asks_open(a, key, O_RDONLY), EACCES);
	assert_int_equal(asks_open(a, st, O_RDONLY), EACCES);
	assert_int_equal(asks_read(a, FUSE_READ, st, 0, 10), EACCES);
}

/* Told ESTALE, the kernel looks the name up again and opens what it finds, whatever happens in between. */
static void test_open_again(void **state)
{
	struct asks *a = *state;
	uint64_t key, config;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	config = asks_id(a, "web1/config");
	key = asks_id(a, "web1/config/a");
	CHANGE(a->world, "web1", KEY("a", "2"));
	assert_int_equal(asks_open(a, key, O_RDONLY), ESTALE);
	assert_int_equal(asks_lookup(a, config, "a"), 0);
	key = asks_entry(a)->nodeid;
	CHANGE(a->world, "web1", KEY("a", "3"));
	assert_int_equal(asks_open(a, key, O_RDONLY), 0);
	assert_int_equal(asks_read(a, FUSE_READ, key, 0, 10), 0);
	assert_bytes(a, "2");
	/* The same when it was stat(2) that was told. */
	key = asks_id(a, "web1/config/a");
	CHANGE(a->world, "web1", KEY("a", "4"));
	assert_int_equal(asks_getattr(a, key), ESTALE);
	assert_int_equal(asks_lookup(a, config, "a"), 0);
	key = asks_entry(a)->nodeid;
	CHANGE(a->world, "web1", KEY("a", "5"));
	assert_int_equal(asks_open(a, key, O_RDONLY), 0);
}

static int write_state(struct asks *a, uint64_t id, const char *bytes)
{
	const struct fuse_write_in in = {.size = (uint32_t)strlen(bytes)};
	char request[sizeof(in) + 100];

	memcpy(mempcpy(request, &in, sizeof(in)), bytes, in.size);
	return asks_for(a, FUSE_WRITE, id, request, sizeof(in) + in.size, NULL);
}

static void test_state(void **state)
{
	struct asks *a = *state;
	struct fake_instance *i = fake_get(&a->world->fake, "web1");
	uint64_t st;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	st = asks_id(a, "web1/state");
	assert_int_equal(asks_open(a, st, O_RDWR | O_TRUNC), 0);
	assert_int_equal(asks_open_flags(a), FOPEN_DIRECT_IO);
	assert_int_equal(asks_read(a, FUSE_READ, st, 0, 10), 0);
	assert_bytes(a, "Started\n");
	assert_int_equal(write_state(a, st, "Ready"), 0);
	assert_int_equal(((struct fuse_write_out *)(void *)a->bytes)->size, 5);
	assert_true(i->is_ready);
	assert_int_equal(asks_read(a, FUSE_READ, st, 1, 10), 0);
	assert_bytes(a, "eady\n");
	assert_int_equal(asks_getattr(a, st), 0);
	assert_int_equal(asks_attr(a)->attr.size, 6);
	assert_int_equal(write_state(a, st, "Started\n"), 0);
	assert_false(i->is_ready);
	assert_int_equal(write_state(a, st, "Ready\n"), 0);
	for (size_t n = 0; n < 5; n++) {
		static const char *const bad[] = {"", "\n", "ready", "Ready\n\n", "Ready Started"};

		assert_int_equal(write_state(a, st, bad[n]), EINVAL);
	}
	assert_true(i->is_ready);
	a->tid = FAKE_HOST;
	assert_int_equal(write_state(a, st, "Started"), EACCES);
	a->tid = FAKE_STRANGER;
	assert_int_equal(write_state(a, st, "Started"), EACCES);
	a->tid = ASKS_GUEST;
	assert_int_equal(write_state(a, asks_id(a, "web1/config/a"), "Started"), EROFS);
	assert_true(i->is_ready);
}

static int set_attr(struct asks *a, uint64_t id, uint32_t valid, uint64_t size)
{
	const struct fuse_setattr_in in = {.valid = valid, .size = size};

	return ASK(a, FUSE_SETATTR, id, in);
}

static void test_setattr(void **state)
{
	struct asks *a = *state;
	uint64_t st, key;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	st = asks_id(a, "web1/state");
	key = asks_id(a, "web1/config/a");
	assert_int_equal(set_attr(a, st, FATTR_SIZE, 0), 0);
	assert_int_equal(asks_attr(a)->attr.size, strlen("Started\n"));
	assert_int_equal(set_attr(a, st, FATTR_SIZE, 1), EROFS);
	assert_int_equal(set_attr(a, st, FATTR_SIZE | FATTR_MODE, 0), EROFS);
	assert_int_equal(set_attr(a, st, FATTR_UID, 0), EROFS);
	assert_int_equal(set_attr(a, key, FATTR_SIZE, 0), EROFS);
	assert_int_equal(set_attr(a, TREE_ROOT_ID, FATTR_SIZE, 0), EROFS);
	assert_int_equal(set_attr(a, 12345, FATTR_SIZE, 0), EROFS);
	/* A replaced one that is open. */
	assert_int_equal(asks_open(a, key, O_RDONLY), 0);
	CHANGE(a->world, "web1", KEY("a", "2"));
	assert_int_equal(set_attr(a, key, FATTR_SIZE, 0), EROFS);
}

static void test_account(void **state)
{
	struct asks *a = *state;
	struct fake_instance *i = fake_get(&a->world->fake, "web1");
	uint64_t key;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	key = asks_id(a, "web1/config/a");
	instance_account(i->instance)->n_tree_requests = 0;
	assert_int_equal(asks_open(a, key, O_RDONLY), 0);
	assert_int_equal(asks_read(a, FUSE_READ, key, 0, 10), 0);
	/* Who opens is charged; the host's own looking is not the guest's. */
	assert_true(instance_account(i->instance)->n_tree_requests == 1);
	a->tid = FAKE_HOST;
	assert_int_equal(asks_open(a, key, O_RDONLY), 0);
	assert_true(instance_account(i->instance)->n_tree_requests == 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, asks_setup, asks_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lookup_in_the_root),
		TEST(test_lookup),
		TEST(test_lookup_refused),
		TEST(test_getattr),
		TEST(test_getattr_asks_for_the_owner),
		TEST(test_read),
		TEST(test_read_what_is_no_file),
		TEST(test_open_refused),
		TEST(test_open_again),
		TEST(test_state),
		TEST(test_setattr),
		TEST(test_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
