/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations on directories and on names, and the requests that are refused whoever makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>

#include "asks.h"
#include "helper.h"

struct listed {
	char name[300];
	uint64_t node, ino, offset;
	unsigned type;
};

/* Reads one reply's worth into @list. Returns how many. */
static size_t read_dir(struct asks *a, uint32_t opcode, uint64_t id, uint64_t offset, uint32_t size,
		       struct listed *list)
{
	size_t n = 0, at = 0;

	assert_int_equal(asks_read(a, opcode, id, offset, size), 0);
	assert_true(a->n <= size);
	while (at < a->n) {
		const struct fuse_entry_out *e = (const void *)(a->bytes + at);
		const struct fuse_dirent *d;

		at += opcode == FUSE_READDIRPLUS ? sizeof(*e) : 0;
		d = (const void *)(a->bytes + at);
		at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d->namelen);
		assert_true(at <= a->n);
		list[n] = (struct listed){.node = opcode == FUSE_READDIRPLUS ? e->nodeid : 0,
					  .ino = d->ino,
					  .offset = d->off,
					  .type = d->type};
		memcpy(list[n].name, d->name, d->namelen);
		list[n++].name[d->namelen] = '\0';
	}
	return n;
}

static const struct listed *find(const struct listed *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (streq(list[i].name, name))
			return &list[i];
	return NULL;
}

static void test_readdir(void **state)
{
	struct asks *a = *state;
	struct listed list[32];
	uint64_t top;
	size_t n;

	SHOW(&a->world->fake, "web1", KEY("a", "1"), SOCKET);
	top = asks_id(a, "web1");
	n = read_dir(a, FUSE_READDIR, top, 0, 4096, list);
	assert_int_equal(n, 7);
	assert_string_equal(list[0].name, ".");
	assert_string_equal(list[1].name, "..");
	assert_true(list[0].ino == top && list[0].offset == 1 && list[1].offset == 2);
	assert_int_equal(find(list, n, "config")->type, DT_DIR);
	assert_true(find(list, n, "config")->ino == asks_id(a, "web1/config"));
	assert_int_equal(find(list, n, "state")->type, DT_REG);
	assert_int_equal(find(list, n, "sock")->type, DT_SOCK);
	assert_non_null(find(list, n, "devices"));
	assert_int_equal(read_dir(a, FUSE_READDIR, top, list[n - 1].offset, 4096, list), 0);
	assert_int_equal(asks_read(a, FUSE_READDIR, asks_id(a, "web1/config/a"), 0, 4096), ENOTDIR);
	assert_int_equal(asks_read(a, FUSE_READDIR, TREE_SOCKET_ID, 0, 4096), ENOTDIR);
	assert_int_equal(asks_read(a, FUSE_READDIR, 12345, 0, 4096), ESTALE);
}

static void test_readdirplus(void **state)
{
	struct asks *a = *state;
	const struct fuse_entry_out *e;
	struct listed list[8];
	uint64_t config;
	size_t n;

	SHOW(&a->world->fake, "web1", KEY("a", "1"), UNLISTED("hidden", "1"), KEY("b/", "2"));
	config = asks_id(a, "web1/config");
	n = read_dir(a, FUSE_READDIRPLUS, config, 2, 4096, list);
	assert_int_equal(n, 2);
	e = (const void *)a->bytes;
	assert_true(e->entry_valid == 1000000000 && e->attr_valid == 1000000000);
	assert_true(e->nodeid == list[0].ino && e->attr.ino == list[0].ino);
	assert_int_equal(e->attr.size, 1);
	n = read_dir(a, FUSE_READDIRPLUS, config, 0, 4096, list);
	assert_int_equal(n, 4);
	/* No lookup of these is counted. */
	assert_true(list[0].node == 0 && list[1].node == 0);
	assert_true(find(list, n, "a")->node == asks_id(a, "web1/config/a"));
	assert_non_null(find(list, n, "b%2F"));
	assert_true(asks_id(a, "web1/config/hidden") != 0);
}

/* In replies of one entry each, with keys that come and go in between. */
static void test_readdir_while_it_changes(void **state)
{
	struct asks *a = *state;
	struct listed list[4];
	unsigned n_dots = 0, n_a = 0, n_b = 0, n_c = 0;
	uint64_t config, offset = 0;

	SHOW(&a->world->fake, "web1", KEY("a", "1"), KEY("b", "1"), KEY("c", "1"), KEY("d", "1"));
	config = asks_id(a, "web1/config");
	for (int turn = 0; read_dir(a, FUSE_READDIR, config, offset, 32, list) > 0; turn++) {
		offset = list[0].offset;
		n_dots += *list[0].name == '.';
		n_a += streq(list[0].name, "a");
		n_b += streq(list[0].name, "b");
		n_c += streq(list[0].name, "c");
		if (turn % 2)
			SHOW(&a->world->fake, "web1", KEY("a", "1"), KEY("b", "2"), KEY("c", "1"));
		else
			SHOW(&a->world->fake, "web1", KEY("a", "1"), KEY("aa", "1"), KEY("b", "1"),
			     KEY("bb", "1"), KEY("c", "1"), KEY("zz", "1"));
		assert_in_range(turn, 0, 20);
	}
	assert_int_equal(n_dots, 2);
	assert_int_equal(n_a, 1);
	assert_int_equal(n_b, 1);
	assert_int_equal(n_c, 1);
}

static void test_readdir_sizes(void **state)
{
	struct asks *a = *state;
	struct listed list[8];
	uint64_t config;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	config = asks_id(a, "web1/config");
	assert_int_equal(read_dir(a, FUSE_READDIR, config, 0, 0, list), 0);
	assert_int_equal(read_dir(a, FUSE_READDIR, config, 0, 31, list), 0);
	assert_int_equal(read_dir(a, FUSE_READDIR, config, 0, 32, list), 1);
	assert_int_equal(read_dir(a, FUSE_READDIR, config, 0, UINT32_MAX, list), 3);
	assert_int_equal(read_dir(a, FUSE_READDIR, config, UINT64_MAX, 4096, list), 0);
}

static void test_root(void **state)
{
	struct asks *a = *state;
	struct listed list[8], one[4];
	uint64_t offset = 0;
	size_t n;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	SHOW(&a->world->fake, "web2", KEY("a", "1"));
	fake_hide(&a->world->fake, "web3");
	SHOW(&a->world->fake, "web4", KEY("a", "1"));
	fake_remove(&a->world->fake, "web4");
	a->tid = FAKE_HOST;
	assert_int_equal(asks_opendir(a, TREE_ROOT_ID), 0);
	n = read_dir(a, FUSE_READDIRPLUS, TREE_ROOT_ID, 0, 4096, list);
	assert_int_equal(n, 5);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(list[i].type, DT_DIR);
		assert_true(list[i].node == 0); /* none is made for being listed */
		assert_int_equal(read_dir(a, FUSE_READDIR, TREE_ROOT_ID, offset, 32, one), 1);
		assert_string_equal(one[0].name, list[i].name);
		assert_true(one[0].offset > offset);
		offset = one[0].offset;
	}
	assert_int_equal(read_dir(a, FUSE_READDIR, TREE_ROOT_ID, offset, 4096, one), 0);
	assert_non_null(find(list, n, "web3"));
	assert_null(find(list, n, "web4"));
	a->tid = ASKS_GUEST; /* also with uid 0 */
	assert_int_equal(asks_opendir(a, TREE_ROOT_ID), EACCES);
}

static void test_opendir(void **state)
{
	struct asks *a = *state;
	uint64_t config, key;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	config = asks_id(a, "web1/config");
	key = asks_id(a, "web1/config/a");
	assert_int_equal(asks_opendir(a, config), 0);
	assert_int_equal(asks_open_flags(a), FOPEN_CACHE_DIR);
	assert_int_equal(asks_opendir(a, config), 0);
	assert_int_equal(asks_open_flags(a), FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE);
	CHANGE(a->world, "web1", KEY("b", "1"));
	assert_int_equal(asks_opendir(a, config), 0);
	assert_int_equal(asks_open_flags(a), FOPEN_CACHE_DIR);
	assert_int_equal(asks_opendir(a, key), ESTALE);
	assert_int_equal(asks_opendir(a, asks_id(a, "web1/config/b")), ENOTDIR);
	assert_int_equal(asks_opendir(a, TREE_SOCKET_ID), ENOTDIR);
	a->tid = FAKE_HOST;
	assert_int_equal(asks_opendir(a, config), 0);
	a->tid = FAKE_STRANGER;
	assert_int_equal(asks_opendir(a, config), EACCES);
	assert_int_equal(asks_opendir(a, tree_id(1, TREE_OWN_SOCKET_LOW)), EACCES);
	fake_hide(&a->world->fake, "web1");
	assert_int_equal(asks_opendir(a, config), 0);
	assert_int_equal(asks_read(a, FUSE_READDIR, config, 2, 4096), 0);
	assert_int_equal(a->n, 0);
}

static int make_node(struct asks *a, uint64_t parent, const char *name, mode_t mode)
{
	const struct fuse_mknod_in in = {.mode = mode};

	return asks_for(a, FUSE_MKNOD, parent, &in, sizeof(in), name);
}

static void test_sockets(void **state)
{
	struct asks *a = *state;
	char all[HELPER_NAME_MAX], own[HELPER_NAME_MAX];
	struct shared *s = a->world->shared;

	helper_socket_name(0, all);
	helper_socket_name(1, own);
	s->is_socket_bound = false;
	CHANGE(a->world, "web1", OWN_SOCKET);
	s->listeners[5].serial = 1;
	assert_int_equal(asks_lookup(a, TREE_ROOT_ID, all), ENOENT);
	assert_int_equal(asks_lookup(a, TREE_ROOT_ID, own), ENOENT);
	assert_int_equal(make_node(a, TREE_ROOT_ID, all, S_IFSOCK), EROFS);
	a->tid = ASKS_HELPER;
	assert_int_equal(make_node(a, TREE_ROOT_ID, all, S_IFREG), EROFS);
	assert_int_equal(make_node(a, TREE_ROOT_ID, "other", S_IFSOCK), EROFS);
	assert_int_equal(make_node(a, tree_id(1, TREE_TOP_LOW), all, S_IFSOCK), EROFS);
	assert_int_equal(make_node(a, TREE_ROOT_ID, all, S_IFSOCK), 0);
	assert_true(asks_entry(a)->nodeid == TREE_SOCKET_ID);
	assert_int_equal(asks_entry(a)->attr.mode, S_IFSOCK | 0666);
	assert_int_equal(make_node(a, TREE_ROOT_ID, own, S_IFSOCK), 0);
	assert_true(asks_entry(a)->nodeid == tree_id(1, TREE_OWN_SOCKET_LOW));
	/* Of an instance that nobody knows. */
	helper_socket_name(9, own);
	s->listeners[6].serial = 9;
	assert_int_equal(make_node(a, TREE_ROOT_ID, own, S_IFSOCK), ENOENT);
	helper_socket_name(1, own);
	s->is_socket_bound = true;
	s->listeners[5].is_bound = true;
	assert_int_equal(asks_lookup(a, TREE_ROOT_ID, all), 0);
	assert_true(asks_entry(a)->nodeid == TREE_SOCKET_ID);
	assert_int_equal(asks_lookup(a, TREE_ROOT_ID, own), 0);
	assert_true(asks_entry(a)->nodeid == tree_id(1, TREE_OWN_SOCKET_LOW));
	s->helper_tid = 0;
	a->tid = 0; /* somebody who cannot be seen from here */
	assert_int_equal(make_node(a, TREE_ROOT_ID, all, S_IFSOCK), EROFS);
}

static void test_nothing_can_be_changed(void **state)
{
	struct asks *a = *state;
	const struct fuse_mkdir_in mkdir_in = {0};
	const struct fuse_create_in create_in = {0};
	const struct fuse_fallocate_in fallocate_in = {0};
	char two[] = "\0\0\0\0\0\0\0\0a\0b", three[] = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a\0b";
	uint64_t top;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	top = asks_id(a, "web1");
	assert_int_equal(asks_for(a, FUSE_MKDIR, top, &mkdir_in, sizeof(mkdir_in), "a"), EROFS);
	assert_int_equal(asks_for(a, FUSE_CREATE, top, &create_in, sizeof(create_in), "a"), EROFS);
	assert_int_equal(asks_for(a, FUSE_UNLINK, top, NULL, 0, "state"), EROFS);
	assert_int_equal(asks_for(a, FUSE_RMDIR, top, NULL, 0, "config"), EROFS);
	assert_int_equal(asks_for(a, FUSE_SYMLINK, top, "a", 2, "b"), EROFS);
	assert_int_equal(asks_for(a, FUSE_LINK, top, two, 8, "b"), EROFS);
	assert_int_equal(asks_for(a, FUSE_RENAME, top, two, sizeof(two), NULL), EROFS);
	assert_int_equal(asks_for(a, FUSE_RENAME2, top, three, sizeof(three), NULL), EROFS);
	assert_int_equal(ASK(a, FUSE_FALLOCATE, asks_id(a, "web1/state"), fallocate_in), EROFS);
}

static void test_the_rest(void **state)
{
	struct asks *a = *state;
	const struct fuse_poll_in poll_in = {.events = POLLIN};
	const struct fuse_getxattr_in xattr_in = {.size = 10};
	const struct fuse_kstatfs *st = (const void *)a->bytes;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	assert_int_equal(asks_for(a, FUSE_STATFS, asks_id(a, "web1"), NULL, 0, NULL), 0);
	assert_int_equal(a->n, sizeof(struct fuse_statfs_out));
	assert_int_equal(st->namelen, 255);
	assert_true(st->blocks == 0 && st->bfree == 0);
	assert_int_equal(ASK(a, FUSE_POLL, asks_id(a, "web1/state"), poll_in), 0);
	assert_int_equal(((const struct fuse_poll_out *)(const void *)a->bytes)->revents,
			 POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
	assert_int_equal(asks_for(a, FUSE_GETXATTR, asks_id(a, "web1"), &xattr_in, sizeof(xattr_in),
				  "user.a"),
			 ENOSYS);
	assert_int_equal(asks_for(a, 4000, asks_id(a, "web1"), NULL, 0, NULL), ENOSYS);
	assert_int_equal(asks_for(a, FUSE_READLINK, asks_id(a, "web1"), NULL, 0, NULL), ENOSYS);
}

static size_t n_indexes(struct asks *a)
{
	struct branches_stats stats;

	branches_count(a->world->all, &stats);
	return stats.n_indexes;
}

static void test_forget(void **state)
{
	struct asks *a = *state;
	const struct fuse_forget_in in = {.nlookup = 1};
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one list[3];
	} batch = {.in = {.count = 3}};
	uint64_t one, two, key;

	SHOW(&a->world->fake, "web1", KEY("a", "1"));
	SHOW(&a->world->fake, "web2", KEY("a", "1"));
	one = asks_id(a, "web1");
	key = asks_id(a, "web1/config/a");
	two = asks_id(a, "web2");
	assert_int_equal(n_indexes(a), 2);
	assert_false(asks_send(a, FUSE_FORGET, key, &in, sizeof(in), NULL));
	assert_false(asks_send(a, FUSE_FORGET, TREE_ROOT_ID, &in, sizeof(in), NULL));
	assert_false(asks_send(a, FUSE_FORGET, one, &in, sizeof(in), NULL));
	assert_int_equal(n_indexes(a), 2); /* looked up again before we heard of it */
	kernel_forget(one);
	kernel_forget(two);
	assert_false(asks_send(a, FUSE_FORGET, one, &in, sizeof(in), NULL));
	assert_int_equal(n_indexes(a), 1);
	batch.list[0].nodeid = key;
	batch.list[1].nodeid = 12345;
	batch.list[2].nodeid = two;
	assert_false(asks_send(a, FUSE_BATCH_FORGET, 0, &batch, sizeof(batch), NULL));
	assert_int_equal(n_indexes(a), 0);
	assert_true(asks_id(a, "web1/config/a") == key);
}

static void test_session(void **state)
{
	struct asks *a = *state;
	struct shared *s = a->world->shared;
	struct fuse_init_in *in = (void *)(s->init + sizeof(struct fuse_in_header));
	struct session *other = NULL;

	assert_null(session_free(NULL));
	in->major = 6;
	assert_int_equal(session_new(a->theirs, s, ops_table(), &a->ops, &other), -EPROTO);
	assert_null(other);
	in->major = 7;
	assert_int_equal(session_new(-1, s, ops_table(), &a->ops, &other), -EBADF);
	assert_int_equal(session_new(a->theirs, s, ops_table(), &a->ops, &other), 0);
	assert_false(asks_take(a)); /* what was replayed is not answered again */
	session_free(other);
	/* The descriptor was lent. */
	assert_int_equal(asks_getattr(a, TREE_ROOT_ID), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, asks_setup, asks_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_readdir),
		TEST(test_readdirplus),
		TEST(test_readdir_while_it_changes),
		TEST(test_readdir_sizes),
		TEST(test_root),
		TEST(test_opendir),
		TEST(test_sockets),
		TEST(test_nothing_can_be_changed),
		TEST(test_the_rest),
		TEST(test_forget),
		TEST(test_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
