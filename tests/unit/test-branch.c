/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A branch: what the kernel is told of each kind of change, and of nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "branches.h"

#define TID 4711

/* The branch of "web1", which somebody has looked at. */
static struct branch *get(struct world *w)
{
	struct branch *b = branches_get(w->all, "web1");

	assert_non_null(b);
	assert_true(world_id(b, "") == tree_id(branch_serial(b), TREE_TOP_LOW));
	kernel_begin();
	return b;
}

/* That the node was told, and all that was told is now @n. */
static void assert_node(uint64_t id, size_t n)
{
	assert_true(id != 0);
	assert_int_equal(kernel_n_told_of(id, ""), 1);
	assert_int_equal(kernel_n_told(), n);
}

static void assert_entry(uint64_t directory, const char *name, size_t n)
{
	assert_true(directory != 0);
	assert_int_equal(kernel_n_told_of(directory, name), 1);
	assert_int_equal(kernel_n_told(), n);
}

static void test_changed(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a, config;

	SHOW(&w->fake, "web1", KEY("a", "1"), KEY("b", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	config = world_id(b, "config");
	CHANGE(w, "web1", KEY("a", "2"), KEY("b", "1"));
	assert_node(a, 2);
	assert_node(config, 2);
	assert_true(world_id(b, "config/a") != a);
	assert_int_equal(kernel_n_gone(), 1);
	assert_int_equal(kernel.gone[0], a);
	branches_changed(w->all, "web1");
	branches_changed(w->all, "nobody");
	world_settle(w);
	assert_int_equal(kernel_n_told(), 2);
}

static void test_added_and_removed(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t config, a;

	SHOW(&w->fake, "web1", KEY("b", "1"));
	b = get(w);
	config = world_id(b, "config");
	CHANGE(w, "web1", KEY("a", "1"), KEY("b", "1"));
	assert_node(config, 1);
	a = world_id(b, "config/a");
	kernel_begin();
	CHANGE(w, "web1", KEY("b", "1"));
	assert_node(a, 2);
	assert_node(config, 2);
	assert_true(world_id(b, "config/a") == 0);
}

/* Who has the old one open goes on with it: the name is told. */
static void test_changed_while_open(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a, c, config;
	enum tree_row row;

	SHOW(&w->fake, "web1", KEY("a", "1"), KEY("c", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	c = world_id(b, "config/c");
	config = world_id(b, "config");
	assert_int_equal(branch_open(b, a, TID, false, &row), 0);
	assert_int_equal(branch_open(b, c, TID, false, &row), 0);
	CHANGE(w, "web1", KEY("a", "2"));
	assert_entry(config, "a", 3);
	assert_entry(config, "c", 3);
	assert_node(config, 3);
	branch_close(b, a);
	branch_close(b, c);
	kernel_begin();
	a = world_id(b, "config/a");
	CHANGE(w, "web1", KEY("a", "3"));
	assert_node(a, 2);
}

static void test_device_gone(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t eth0, type, devices;

	SHOW(&w->fake, "web1", DEVICE("eth0", "type", "nic"));
	b = get(w);
	eth0 = world_id(b, "devices/eth0");
	type = world_id(b, "devices/eth0/type");
	devices = world_id(b, "devices");
	CHANGE(w, "web1", KEY("a", "1"));
	assert_node(eth0, 4); /* and config, which has a key */
	assert_node(type, 4);
	assert_node(devices, 4);
}

static void test_hidden_and_shown(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t top, config, devices, a;

	SHOW(&w->fake, "web1", KEY("a", "1"), SOCKET);
	b = get(w);
	top = world_id(b, "");
	config = world_id(b, "config");
	devices = world_id(b, "devices");
	a = world_id(b, "config/a");
	fake_hide(&w->fake, "web1");
	branches_changed(w->all, "web1");
	world_settle(w);
	assert_entry(top, "config", 7);
	assert_entry(top, "devices", 7);
	assert_entry(top, "sock", 7);
	assert_node(a, 7);
	assert_node(top, 7);
	assert_node(config, 7);
	assert_node(devices, 7);
	kernel_begin();
	CHANGE(w, "web1", KEY("a", "1"), SOCKET);
	assert_node(top, 3);
	assert_node(config, 3);
	assert_node(devices, 3);
	assert_true(world_id(b, "config/a") == a);
}

static void test_owner(void **state)
{
	struct world *w = *state;
	struct fake_instance *i = fake_get(&w->fake, "web1");
	const struct source_caller caller = {.tid = TID};
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a, config;

	SHOW(&w->fake, "web1", KEY("a", "1"), DEVICE("eth0", NULL, NULL));
	b = get(w);
	a = world_id(b, "config/a");
	config = world_id(b, "config");
	i->owner = (struct source_owner){.is_known = true, .run = {1}, .uid = 1000, .gid = 1000};
	/* Not asked for again before something says that another run may be going on. */
	assert_true(world_id(b, "config/a") == a);
	i->run = 1;
	assert_int_equal(branch_check(b, &caller), 0);
	assert_true(world_id(b, "config/a") != a);
	world_settle(w);
	assert_node(a, 6); /* config twice: another listing, and another owner */
	assert_node(world_id(b, ""), 6);
	assert_node(world_id(b, "devices"), 6);
	assert_node(world_id(b, "devices/eth0"), 6);
	assert_int_equal(kernel_n_told_of(config, ""), 2);
	/* The next run looks the same: nothing to tell. */
	kernel_begin();
	i->owner.run[0] = 2;
	i->run = 2;
	assert_int_equal(branch_check(b, &caller), 0);
	assert_true(world_id(b, "config/a") != 0);
	world_settle(w);
	assert_int_equal(kernel_n_told(), 0);
}

static void test_check(void **state)
{
	struct world *w = *state;
	const struct source_caller stranger = {.tid = FAKE_STRANGER}, host = {.tid = FAKE_HOST};
	_cleanup_(branch_unrefp) struct branch *b = NULL;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	assert_int_equal(branch_check(b, &stranger), SOURCE_E_DENIED);
	assert_int_equal(branch_check(b, &host), SOURCE_E_HOST);
}

/* Nobody has asked: there is nothing the kernel could remember. */
static void test_unasked(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = branches_get(w->all, "web1");
	assert_non_null(b);
	CHANGE(w, "web1", KEY("a", "2"));
	assert_int_equal(kernel_n_told(), 0);
}

/* A request that comes between a change and its announcement sees it, and has it told. */
static void test_noticed_by_a_request(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	SHOW(&w->fake, "web1", KEY("a", "2"));
	assert_true(world_id(b, "config/a") != a);
	world_settle(w);
	assert_node(a, 2);
	branches_changed(w->all, "web1");
	world_settle(w);
	assert_int_equal(kernel_n_told(), 2);
}

static void test_forgotten(void **state)
{
	struct world *w = *state;
	struct branches_stats stats;
	_cleanup_(branch_unrefp) struct branch *b = NULL;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	branches_count(w->all, &stats);
	assert_int_equal(stats.n_branches, 1);
	assert_int_equal(stats.n_indexes, 1);
	assert_int_equal(stats.n_nodes, 6);
	branch_forgotten(b);
	branches_count(w->all, &stats);
	assert_int_equal(stats.n_branches, 1);
	assert_int_equal(stats.n_indexes, 0);
	CHANGE(w, "web1", KEY("a", "2"));
	assert_int_equal(kernel_n_told(), 0);
	assert_true(world_id(b, "config/a") != 0);
}

static bool keeps_listing(struct branch *b, const char *path)
{
	_cleanup_(index_unrefp) struct index *x = NULL;

	assert_int_equal(branch_index(b, &x), 0);
	return branch_keeps_listing(b, x, index_at(x, path));
}

static void test_keeps_listing(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	_cleanup_(index_unrefp) struct index *old = NULL;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	assert_false(keeps_listing(b, "config")); /* what another worker said is not known */
	assert_true(keeps_listing(b, "config"));
	assert_int_equal(branch_index(b, &old), 0);
	CHANGE(w, "web1", KEY("a", "2"));
	assert_false(keeps_listing(b, "config"));
	assert_true(keeps_listing(b, "config"));
	assert_false(keeps_listing(b, ""));
	/* Who comes late with the index before the change must not have the next take it for the new one. */
	assert_false(branch_keeps_listing(b, old, index_at(old, "config")));
	assert_false(keeps_listing(b, "config"));
	branch_forgotten(b);
	assert_false(keeps_listing(b, "config"));
}

static void note_name(void *arg, const char *name)
{
	*(unsigned *)arg += streq(name, "web1");
}

/* A guest that holds its directory, while another's change is told. */
static void test_stalled(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL, *other = NULL;
	uint64_t config, b_id;
	enum tree_row row;
	unsigned n = 0;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	SHOW(&w->fake, "web2", KEY("a", "1"));
	other = branches_get(w->all, "web2");
	b_id = world_id(other, "config/a");
	b = get(w);
	config = world_id(b, "config");
	assert_int_equal(branch_open(b, world_id(b, "config/a"), TID, false, &row), 0);
	assert_int_equal(branch_open(other, b_id, TID, false, &row), 0);
	kernel_hold(config);
	SHOW(&w->fake, "web1", KEY("a", "2"));
	branches_changed(w->all, "web1");
	kernel_wait_inside(1);
	SHOW(&w->fake, "web2", KEY("a", "2"));
	branches_changed(w->all, "web2");
	kernel_wait_told(world_id(other, "config"), "a");
	branches_wait(w->all, 0, note_name, &n);
	assert_int_equal(n, 1);
	kernel_let_go(config);
	world_settle(w);
	assert_int_equal(kernel_n_told_of(config, "a"), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_changed),
		TEST(test_added_and_removed),
		TEST(test_changed_while_open),
		TEST(test_device_gone),
		TEST(test_hidden_and_shown),
		TEST(test_owner),
		TEST(test_check),
		TEST(test_unasked),
		TEST(test_noticed_by_a_request),
		TEST(test_forgotten),
		TEST(test_keeps_listing),
		TEST(test_stalled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
