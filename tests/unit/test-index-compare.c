/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Comparing indexes: every kind of change calls back for what it makes old and for nothing else, and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "indexes.h"

#define WRITTEN INT64_C(1000000000005) /* the fake's views */
#define NOW     INT64_C(2000000000000)

/* What was called back, a line each: "- PATH" (stale), "* PATH" (listing). */
struct calls {
	size_t n;
	char *lines[64];
};

static void add_call(struct calls *c, char mark, const struct index *x, const struct index_node *n)
{
	_cleanup_(buf_finish) struct buf path = {0};

	if (c->n == ARRAY_SIZE(c->lines) || buf_printf(&path, "%c ", mark) < 0 ||
	    index_path(x, n, &path) < 0)
		abort();
	c->lines[c->n++] = buf_steal(&path, NULL);
}

static const struct index *compared_old, *compared_new;

static void on_stale(void *arg, const struct index *old, const struct index_node *n)
{
	assert_ptr_equal(old, compared_old);
	if (n->row != TREE_SOCK)
		assert_ptr_equal(index_find(old, index_id(old, n)), n);
	add_call(arg, '-', old, n);
}

static void on_listing(void *arg, const struct index *x, const struct index_node *n)
{
	assert_ptr_equal(x, compared_new);
	add_call(arg, '*', x, n);
}

static void on_fresh(void *arg, const struct index *x, const struct index_node *n)
{
	assert_ptr_equal(x, compared_new);
	add_call(arg, '+', x, n);
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Compares, and asserts that exactly @expected, sorted and parted by ", ", was called back. */
static void compare(const struct index *old, struct index *x, int64_t now, const char *expected)
{
	struct calls c = {0};
	const struct index_changes changes = {on_stale, on_listing, on_fresh, &c};
	_cleanup_(buf_finish) struct buf all = {0};

	compared_old = old;
	compared_new = x;
	index_compare(old, x, now, &changes);
	qsort(c.lines, c.n, sizeof(c.lines[0]), compare_lines);
	assert_int_equal(buf_puts(&all, ""), 0);
	for (size_t i = 0; i < c.n; i++) {
		assert_int_equal(buf_printf(&all, "%s%s", i ? ", " : "", c.lines[i]), 0);
		free(c.lines[i]);
	}
	assert_string_equal(all.data, expected);
}

static void assert_time(const struct index *x, const char *path, int64_t expected)
{
	assert_non_null(index_at(x, path));
	assert_true(index_at(x, path)->changed_ns == expected);
}

/* What nearly every test begins with. */
#define BASE KEY("a", "1"), KEY("b", "1"), DEVICE("eth0", "type", "nic"), TEXT(SOURCE_NAME, "n\n")

static void test_nothing(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = INDEX(f, BASE), *x = INDEX(f, BASE);

	compare(old, x, NOW, "");
	for (uint32_t i = 0; i < x->n_nodes; i++)
		assert_true(x->nodes[i].changed_ns == WRITTEN);
}

static void test_value(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = INDEX(f, BASE), *x = NULL;

	x = INDEX(f, KEY("a", "2"), KEY("b", "1"), DEVICE("eth0", "type", "nic"),
		  TEXT(SOURCE_NAME, "n\n"));
	compare(old, x, NOW, "* config, + config/a, - config/a");
	assert_time(x, "config/a", NOW);
	assert_time(x, "config", NOW);
	assert_time(x, "config/b", WRITTEN);
	assert_time(x, "", WRITTEN);
	assert_time(x, "devices/eth0/type", WRITTEN);
}

static void test_value_in_the_top(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = INDEX(f, TEXT(SOURCE_NAME, "n\n"));
	_cleanup_(index_unrefp) struct index *x = INDEX(f, TEXT(SOURCE_NAME, "m\n"));

	compare(old, x, NOW, "* , + name, - name");
	assert_time(x, "", NOW);
}

static void test_added(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = INDEX(f, BASE),
					     *x = INDEX(f, BASE, KEY("ab", "1"));

	compare(old, x, NOW, "* config, + config/ab");
	assert_time(x, "config/ab", NOW);
	assert_time(x, "config", NOW);
	assert_time(x, "config/b", WRITTEN);
}

static void test_removed(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = INDEX(f, BASE, KEY("ab", "1")),
					     *x = INDEX(f, BASE);

	compare(old, x, NOW, "* config, - config/ab");
	assert_time(x, "config", NOW);
	assert_time(x, "config/a", WRITTEN);
}

static void test_renamed(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = INDEX(f, KEY("a", "1"), KEY("c", "1"));
	_cleanup_(index_unrefp) struct index *x = INDEX(f, KEY("b", "1"), KEY("c", "1"));

	compare(old, x, NOW, "* config, + config/b, - config/a");
	assert_time(x, "config/b", NOW);
}

static void test_device_removed(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old =
		INDEX(f, DEVICE("a", "k", "1"), DEVICE("a", "l", "1"), DEVICE("b", "k", "1"));
	_cleanup_(index_unrefp) struct index *x = INDEX(f, DEVICE("b", "k", "1"));

	compare(old, x, NOW, "* devices, - devices/a, - devices/a/k, - devices/a/l");
	assert_time(x, "devices/b", WRITTEN);
	assert_time(x, "", WRITTEN);
}

/* The kernel may remember the directory from an earlier time. */
static void test_device_added(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = INDEX(f, DEVICE("b", "k", "1"));
	_cleanup_(index_unrefp) struct index *x =
		INDEX(f, DEVICE("a", "k", "1"), DEVICE("b", "k", "1"));

	compare(old, x, NOW, "* devices, * devices/a, + devices/a, + devices/a/k");
	assert_time(x, "devices/a", NOW);
	assert_time(x, "devices/a/k", NOW);
	assert_time(x, "devices/b/k", WRITTEN);
}

static void test_device_key(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = INDEX(f, DEVICE("a", "k", "1"));
	_cleanup_(index_unrefp) struct index *x = INDEX(f, DEVICE("a", "k", "2"));

	compare(old, x, NOW, "* devices/a, + devices/a/k, - devices/a/k");
	assert_time(x, "devices", WRITTEN);
}

static void test_mode_and_owner(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = INDEX(f, BASE);
	_cleanup_(index_unrefp) struct index *x = INDEX(f, BASE, RULE("config/a", 0444, 0));
	_cleanup_(index_unrefp) struct index *owned = NULL;
	struct index_input input = index_input(f);
	const struct source_owner owner = {.is_known = true, .uid = 1000};

	compare(old, x, NOW, "* config, + config/a, - config/a");
	SHOW(f, "web1", BASE);
	input.owner = &owner;
	owned = index_of(f, input);
	compare(old, owned, NOW,
		"* , * config, * devices/eth0, + config/a, + config/b, "
		"+ devices/eth0/type, + name, - config/a, - config/b, "
		"- devices/eth0/type, - name");
}

static void test_socket(void **state)
{
	struct fake *f = *state;
	struct index_input input = index_input(f);
	_cleanup_(index_unrefp) struct index *shared = INDEX(f, SOCKET), *none = NULL, *own = NULL;
	_cleanup_(index_unrefp) struct index *back = INDEX(f, SOCKET);

	input.is_socket_bound = false;
	none = index_of(f, input);
	SHOW(f, "web1", OWN_SOCKET);
	input.is_own_socket_bound = true;
	own = index_of(f, input);
	compare(shared, none, NOW, "* , - sock");
	compare(none, back, NOW, "* , + sock");
	compare(shared, own, NOW, "* , + sock, - sock");
}

static void test_hiding(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = INDEX(f, BASE, SOCKET), *x = NULL,
					     *again = NULL;

	fake_hide(f, "web1");
	x = index_of(f, index_input(f));
	again = index_of(f, index_input(f));
	compare(old, x, NOW,
		"* , * config, * devices, - config, - config/a, - config/b, - devices, "
		"- devices/eth0, - devices/eth0/type, - events, - name, - sock, - state");
	assert_time(x, "config", NOW);
	assert_time(x, "", NOW);
	compare(x, again, NOW + 1, "");
	assert_time(again, "config", NOW);
}

static void test_showing(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *old = NULL, *x = INDEX(f, BASE);

	fake_hide(f, "web1");
	old = index_of(f, index_input(f));
	compare(old, x, NOW,
		"* , * config, * devices, * devices/eth0, + config/a, + config/b, "
		"+ devices/eth0, + devices/eth0/type, + events, + name, + state");
	assert_time(x, "config/a", NOW);
	assert_time(x, "devices/eth0/type", NOW);
	assert_time(x, "state", NOW);
}

static void test_directory_times_rise(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *a = INDEX(f, KEY("a", "1")),
					     *b = INDEX(f, KEY("a", "2"));
	_cleanup_(index_unrefp) struct index *c = INDEX(f, KEY("a", "3")),
					     *d = INDEX(f, KEY("a", "4"));

	/* The same moment, then a clock that was set back. */
	compare(a, b, NOW, "* config, + config/a, - config/a");
	compare(b, c, NOW, "* config, + config/a, - config/a");
	assert_time(c, "config", NOW + 1);
	assert_time(c, "config/a", NOW);
	compare(c, d, NOW - 1000, "* config, + config/a, - config/a");
	assert_time(d, "config", NOW + 2);
	assert_time(d, "config/a", NOW - 1000);
}

#define TWIN_A "f8db2" /* as in test-index.c */
#define TWIN_B "12c1d9"

/* Of two with one id the second has another when the first goes: all below hangs on another directory. */
static void test_id_that_moves(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *both =
		INDEX(f, DEVICE(TWIN_A, "k", "1"), DEVICE(TWIN_B, "l", "1"));
	_cleanup_(index_unrefp) struct index *one = INDEX(f, DEVICE(TWIN_A, "k", "1"));
	_cleanup_(index_unrefp) struct index *again =
		INDEX(f, DEVICE(TWIN_A, "k", "1"), DEVICE(TWIN_B, "l", "1"));

	compare(both, one, NOW,
		"* devices, * devices/" TWIN_A ", + devices/" TWIN_A ", + devices/" TWIN_A
		"/k, - devices/" TWIN_B ", - devices/" TWIN_B "/l, - devices/" TWIN_A
		", - devices/" TWIN_A "/k");
	assert_time(one, "devices/" TWIN_A "/k", NOW);
	compare(one, again, NOW + 1,
		"* devices, * devices/" TWIN_B ", * devices/" TWIN_A ", + devices/" TWIN_B
		", + devices/" TWIN_B "/l, + devices/" TWIN_A ", + devices/" TWIN_A
		"/k, - devices/" TWIN_A ", - devices/" TWIN_A "/k");
}

static void test_restored(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *x = INDEX(f, BASE), *old = NULL, *partial = NULL;
	struct index_kept kept[16];
	struct buf paths[16] = {0};
	size_t n = x->n_nodes;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(buf_puts(&paths[i], ""), 0);
		assert_int_equal(index_path(x, &x->nodes[i], &paths[i]), 0);
		kept[i] = (struct index_kept){paths[i].data, x->nodes[i].hash, (int64_t)i + 50};
	}
	assert_int_equal(index_restore(kept, n, 7, &old), 0);
	compare(old, x, NOW, "");
	for (size_t i = 0; i < n; i++)
		assert_true(x->nodes[i].changed_ns == (int64_t)i + 50);
	/* Nothing but the instance's directory is known of: all else may be. */
	assert_int_equal(index_restore(kept, 1, 7, &partial), 0);
	compare(partial, x, NOW,
		"* , * config, * devices, * devices/eth0, + config, + config/a, "
		"+ config/b, + devices, + devices/eth0, + devices/eth0/type, + events, + name, "
		"+ state");
	for (size_t i = 0; i < n; i++)
		buf_finish(&paths[i]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, indexes_setup, indexes_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing),          TEST(test_value),
		TEST(test_value_in_the_top), TEST(test_added),
		TEST(test_removed),          TEST(test_renamed),
		TEST(test_device_removed),   TEST(test_device_added),
		TEST(test_device_key),       TEST(test_mode_and_owner),
		TEST(test_socket),           TEST(test_hiding),
		TEST(test_showing),          TEST(test_directory_times_rise),
		TEST(test_id_that_moves),    TEST(test_restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
