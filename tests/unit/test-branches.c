/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All branches: names and serials for the life of a mount, sockets, and one worker after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>

#include "branches.h"

#define TID 4711

static uint32_t serial_of(struct world *w, const char *name)
{
	_cleanup_(branch_unrefp) struct branch *b = branches_get(w->all, name);

	assert_non_null(b);
	assert_string_equal(instance_name(branch_instance(b)), name);
	return branch_serial(b);
}

static uint64_t id_of(struct world *w, const char *name, const char *path)
{
	_cleanup_(branch_unrefp) struct branch *b = branches_get(w->all, name);

	assert_non_null(b);
	return world_id(b, path);
}

static size_t n_branches(struct world *w)
{
	struct branches_stats stats;

	branches_count(w->all, &stats);
	return stats.n_branches;
}

/* A worker ends and the next one begins. */
static void restart(struct world *w)
{
	world_end(w);
	kernel_begin();
	assert_int_equal(world_begin(w), 0);
	world_settle(w);
}

static bool is_on_file(struct world *w, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/published/%s.json", (const char *)w->dir, name);
	return access(path, F_OK) == 0;
}

static void test_serials(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *found = NULL;

	assert_null(branches_get(w->all, "web1"));
	SHOW(&w->fake, "web1", KEY("a", "1"));
	SHOW(&w->fake, "web2", KEY("a", "1"));
	assert_false(branches_knows(w->all, "web1"));
	assert_int_equal(serial_of(w, "web1"), 1);
	assert_int_equal(serial_of(w, "web2"), 2);
	assert_int_equal(serial_of(w, "web1"), 1);
	assert_true(is_on_file(w, "web1") && is_on_file(w, "web2"));
	assert_true(branches_knows(w->all, "web1"));
	assert_null(branches_find(w->all, 0));
	assert_null(branches_find(w->all, 3));
	found = branches_find(w->all, 2);
	assert_string_equal(instance_name(branch_instance(found)), "web2");
	/* One that shows nothing now is there all the same. */
	fake_hide(&w->fake, "web3");
	assert_int_equal(serial_of(w, "web3"), 3);
	assert_null(branch_unref(NULL));
	assert_null(branches_free(NULL));
}

static void test_serials_end(void **state)
{
	struct world *w = *state;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	SHOW(&w->fake, "web2", KEY("a", "1"));
	w->shared->last_serial = TREE_SERIAL_MAX - 1;
	assert_int_equal(serial_of(w, "web1"), TREE_SERIAL_MAX);
	assert_null(branches_get(w->all, "web2"));
	assert_int_equal(serial_of(w, "web1"), TREE_SERIAL_MAX);
}

static void test_gone_and_back(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	a = id_of(w, "web1", "config/a");
	b = branches_get(w->all, "web1");
	fake_remove(&w->fake, "web1");
	branches_changed(w->all, "web1");
	world_settle(w);
	/* Somebody has it mounted: it is filled again. */
	assert_null(branches_get(w->all, "web1"));
	assert_true(branches_knows(w->all, "web1"));
	assert_true(world_id(b, "config/a") == 0);
	assert_true(is_on_file(w, "web1"));
	CHANGE(w, "web1", KEY("a", "1"));
	assert_true(id_of(w, "web1", "config/a") == a);
	/* Nobody has. */
	kernel_forget(tree_id(1, TREE_TOP_LOW));
	fake_remove(&w->fake, "web1");
	branches_changed(w->all, "web1");
	world_settle(w);
	assert_int_equal(n_branches(w), 0);
	assert_null(branches_find(w->all, 1));
	assert_false(is_on_file(w, "web1"));
	CHANGE(w, "web1", KEY("a", "1"));
	assert_int_equal(serial_of(w, "web1"), 2);
}

/* The kernel forgets the directory after the record is gone. */
static void test_gone_then_forgotten(void **state)
{
	struct world *w = *state;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	SHOW(&w->fake, "web2", KEY("a", "1"));
	assert_true(id_of(w, "web1", "config/a") != 0);
	assert_true(id_of(w, "web2", "config/a") != 0);
	fake_remove(&w->fake, "web1");
	branches_changed(w->all, "web1");
	world_settle(w);
	assert_int_equal(n_branches(w), 2);
	kernel_forget(tree_id(1, TREE_TOP_LOW));
	kernel_forget(tree_id(2, TREE_TOP_LOW));
	branches_forgotten(w->all, 1);
	branches_forgotten(w->all, 2);
	branches_forgotten(w->all, 77);
	assert_int_equal(n_branches(w), 1);
	assert_false(is_on_file(w, "web1"));
	assert_int_equal(serial_of(w, "web2"), 2);
}

static void test_restart_without_a_change(void **state)
{
	struct world *w = *state;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "1"), KEY("x y/%\xc3\xa9\n\"\\", "1"),
	     DEVICE("e/0", "t", "n"), SOCKET);
	a = id_of(w, "web1", "config/a");
	restart(w);
	assert_int_equal(kernel_n_told(), 0);
	assert_true(id_of(w, "web1", "config/a") == a);
	CHANGE(w, "web1", KEY("a", "2"), KEY("x y/%\xc3\xa9\n\"\\", "1"), DEVICE("e/0", "t", "n"),
	       SOCKET);
	assert_int_equal(kernel_n_told(), 2);
	restart(w);
	assert_int_equal(kernel_n_told(), 0);
}

static void test_restart_with_changes(void **state)
{
	struct world *w = *state;
	uint64_t a, b, config;
	int64_t before_ns, b_ns;
	_cleanup_(branch_unrefp) struct branch *branch = NULL;
	_cleanup_(index_unrefp) struct index *x = NULL;

	SHOW(&w->fake, "web1", KEY("a", "1"), KEY("b", "1"));
	assert_true(id_of(w, "web1", "config/a") != 0);
	CHANGE(w, "web1", KEY("a", "1"), KEY("b", "2"));
	a = id_of(w, "web1", "config/a");
	b = id_of(w, "web1", "config/b");
	config = id_of(w, "web1", "config");
	branch = branches_get(w->all, "web1");
	assert_int_equal(branch_index(branch, &x), 0);
	before_ns = index_at(x, "config")->changed_ns;
	b_ns = index_at(x, "config/b")->changed_ns;
	assert_true(before_ns == b_ns);
	x = index_unref(x);
	branch = branch_unref(branch);

	world_end(w);
	SHOW(&w->fake, "web1", KEY("a", "2"), KEY("b", "2"));
	kernel_begin();
	assert_int_equal(world_begin(w), 0);
	world_settle(w);
	assert_int_equal(kernel_n_told_of(a, ""), 1);
	assert_int_equal(kernel_n_told_of(config, ""), 1);
	assert_int_equal(kernel_n_told(), 2);
	/* The times of what has not changed outlive the worker. */
	branch = branches_get(w->all, "web1");
	assert_true(world_id(branch, "config/b") == b);
	assert_int_equal(branch_index(branch, &x), 0);
	assert_true(index_at(x, "config/b")->changed_ns == b_ns);
	assert_true(index_at(x, "config")->changed_ns > before_ns);
	assert_true(index_at(x, "")->changed_ns == INT64_C(1000000000005));
}

static void test_restart_with_a_record_gone(void **state)
{
	struct world *w = *state;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	SHOW(&w->fake, "web2", KEY("a", "1"));
	a = id_of(w, "web1", "config/a");
	assert_true(id_of(w, "web2", "config/a") != 0);
	world_end(w);
	fake_remove(&w->fake, "web1");
	fake_remove(&w->fake, "web2");
	kernel_forget(tree_id(2, TREE_TOP_LOW));
	kernel_begin();
	assert_int_equal(world_begin(w), 0);
	world_settle(w);
	assert_int_equal(kernel_n_told_of(a, ""), 1);
	assert_int_equal(kernel_n_told_of(tree_id(1, TREE_TOP_LOW), "config"), 1);
	assert_true(is_on_file(w, "web1"));
	CHANGE(w, "web1", KEY("a", "1"));
	assert_true(id_of(w, "web1", "config/a") == a);
	/* Nobody remembers the other. */
	assert_int_equal(n_branches(w), 1);
	assert_false(is_on_file(w, "web2"));
}

#define BEFORE KEY("a", "1"), DEVICE("eth0", "type", "1")
#define AFTER  KEY("a", "2"), DEVICE("eth0", "type", "2")

/* The life of a worker that ends while a guest holds its config: what is of devices is told. */
static _Noreturn void be_held_up(struct world *w)
{
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t config, type;
	enum tree_row row;

	SHOW(&w->fake, "web1", BEFORE);
	if (world_begin(w) < 0)
		_exit(1);
	b = branches_get(w->all, "web1");
	config = world_id(b, "config");
	type = world_id(b, "devices/eth0/type");
	if (branch_open(b, world_id(b, "config/a"), TID, false, &row) < 0)
		_exit(1);
	kernel_hold(config);
	SHOW(&w->fake, "web1", KEY("a", "2"), DEVICE("eth0", "type", "1"));
	branches_changed(w->all, "web1");
	kernel_wait_inside(1);
	SHOW(&w->fake, "web1", AFTER);
	branches_changed(w->all, "web1");
	kernel_wait_told(type, "");
	b = branch_unref(b);
	world_end(w);
	_exit(0);
}

/* On file means told: not while a guest holds up a part of it. */
static void test_restart_while_held_up(void **state)
{
	struct world *w = *state;
	uint64_t a, type;
	int status;
	pid_t pid;

	SHOW(&w->fake, "web1", BEFORE);
	a = id_of(w, "web1", "config/a");
	type = id_of(w, "web1", "devices/eth0/type");
	world_end(w);
	pid = fork();
	if (pid == 0)
		be_held_up(w);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	SHOW(&w->fake, "web1", AFTER);
	kernel_begin();
	assert_int_equal(world_begin(w), 0);
	world_settle(w);
	/* Once to see whether it remembers what was kept. */
	assert_int_equal(kernel_n_told_of(a, ""), 2);
	assert_int_equal(kernel_n_told_of(type, ""), 1);
	assert_int_equal(kernel_n_told(), 5);
}

static void test_restart_keeps_serials_apart(void **state)
{
	struct world *w = *state;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	assert_int_equal(serial_of(w, "web1"), 1);
	/* The worker dies after it wrote the file. */
	world_end(w);
	w->shared->last_serial = 0;
	assert_int_equal(world_begin(w), 0);
	SHOW(&w->fake, "web2", KEY("a", "1"));
	assert_int_equal(serial_of(w, "web2"), 2);
	assert_int_equal(serial_of(w, "web1"), 1);
}

static void test_another_mount(void **state)
{
	struct world *w = *state;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	assert_true(id_of(w, "web1", "config/a") != 0);
	world_end(w);
	w->shared->mount_id[0] ^= 1;
	w->shared->last_serial = 0;
	kernel_begin();
	assert_int_equal(world_begin(w), 0);
	assert_int_equal(kernel_n_told(), 0);
	assert_int_equal(n_branches(w), 0);
	assert_false(is_on_file(w, "web1"));
}

static void test_no_room_for_the_file(void **state)
{
	struct world *w = *state;
	_cleanup_(freep) char *dir = scratch_path(&w->dir, "published");
	_cleanup_(freep) char *kept = scratch_path(&w->dir, "published/kept");

	SHOW(&w->fake, "web1", KEY("a", "1"));
	assert_int_equal(rmdir(kept), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_null(branches_get(w->all, "web1"));
	assert_null(branches_get(w->all, "web1"));
	assert_int_equal(n_branches(w), 0);
}

static void test_shared_socket(void **state)
{
	struct world *w = *state;
	uint64_t top, top2;

	w->shared->is_socket_bound = false;
	SHOW(&w->fake, "web1", KEY("a", "1"), SOCKET);
	SHOW(&w->fake, "web2", KEY("a", "1"));
	assert_true(id_of(w, "web1", "sock") == 0);
	top = id_of(w, "web1", "");
	top2 = id_of(w, "web2", "");
	kernel_begin();
	w->shared->is_socket_bound = true;
	branches_socket_bound(w->all);
	world_settle(w);
	assert_true(id_of(w, "web1", "sock") == TREE_SOCKET_ID);
	assert_int_equal(kernel_n_told_of(top, ""), 1);
	assert_int_equal(kernel_n_told_of(top2, ""), 0);
	/* It may be remembered as missing, or as another: the name is told when it goes. */
	kernel_begin();
	CHANGE(w, "web1", KEY("a", "1"));
	assert_int_equal(kernel_n_told_of(top, "sock"), 1);
}

static void test_own_socket(void **state)
{
	struct world *w = *state;
	uint32_t serial;

	/* Nobody has looked yet, but the socket is to be there when somebody does. */
	CHANGE(w, "web1", KEY("a", "1"), OWN_SOCKET);
	serial = serial_of(w, "web1");
	assert_int_equal(w->n_wanted, 1);
	assert_true(w->is_wanted);
	assert_int_equal(w->wanted_serial, serial);
	assert_true(id_of(w, "web1", "sock") == 0);
	branches_own_socket(w->all, serial, true);
	branches_own_socket(w->all, 77, true);
	assert_true(id_of(w, "web1", "sock") == tree_id(serial, TREE_OWN_SOCKET_LOW));
	CHANGE(w, "web1", KEY("a", "2"), OWN_SOCKET);
	assert_int_equal(w->n_wanted, 1);
	branches_own_socket(w->all, serial, false);
	assert_true(id_of(w, "web1", "sock") == 0);
	branches_own_socket(w->all, serial, true);
	/* It is one like the others from now on. */
	CHANGE(w, "web1", KEY("a", "2"), SOCKET);
	assert_int_equal(w->n_wanted, 2);
	assert_false(w->is_wanted);
	assert_true(id_of(w, "web1", "sock") == TREE_SOCKET_ID);
	/* An answer that comes too late. */
	branches_own_socket(w->all, serial, true);
	CHANGE(w, "web1", OWN_SOCKET);
	assert_int_equal(w->n_wanted, 3);
	assert_true(id_of(w, "web1", "sock") == 0);
	fake_remove(&w->fake, "web1");
	branches_changed(w->all, "web1");
	assert_int_equal(w->n_wanted, 4);
	assert_false(w->is_wanted);
	/* One of the others makes no branch before somebody looks. */
	CHANGE(w, "web2", SOCKET);
	assert_int_equal(n_branches(w), 1);
}

static void test_own_sockets_at_the_start(void **state)
{
	struct world *w = *state;

	world_end(w);
	SHOW(&w->fake, "web1", OWN_SOCKET);
	SHOW(&w->fake, "web2", SOCKET);
	assert_int_equal(world_begin(w), 0);
	assert_int_equal(w->n_wanted, 1);
	assert_int_equal(n_branches(w), 1);
	restart(w);
	assert_int_equal(w->n_wanted, 2);
	assert_int_equal(w->wanted_serial, serial_of(w, "web1"));
}

static void test_counts(void **state)
{
	struct world *w = *state;
	struct branches_stats stats;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	SHOW(&w->fake, "web2", KEY("a", "1"));
	assert_true(id_of(w, "web1", "") != 0);
	assert_int_equal(serial_of(w, "web2"), 2);
	branches_count(w->all, &stats);
	assert_int_equal(stats.n_branches, 2);
	assert_int_equal(stats.n_indexes, 1);
	assert_int_equal(stats.n_nodes, 6);
	assert_int_equal(stats.n_kept_bytes, 0);
	assert_int_equal(stats.n_stalled, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_serials),
		TEST(test_serials_end),
		TEST(test_gone_and_back),
		TEST(test_gone_then_forgotten),
		TEST(test_restart_without_a_change),
		TEST(test_restart_with_changes),
		TEST(test_restart_with_a_record_gone),
		TEST(test_restart_while_held_up),
		TEST(test_restart_keeps_serials_apart),
		TEST(test_another_mount),
		TEST(test_no_room_for_the_file),
		TEST(test_shared_socket),
		TEST(test_own_socket),
		TEST(test_own_sockets_at_the_start),
		TEST(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
