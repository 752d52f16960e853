/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening: what may be opened, what is kept for whom, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "branches.h"

#define TID    4711
#define SECOND UINT64_C(1000000)

/* The branch of "web1". */
static struct branch *get(struct world *w)
{
	struct branch *b = branches_get(w->all, "web1");

	assert_non_null(b);
	return b;
}

static int open_by(struct branch *b, uint64_t id, pid_t tid)
{
	enum tree_row row;

	return branch_open(b, id, tid, false, &row);
}

static size_t n_kept_bytes(struct world *w)
{
	struct branches_stats stats;

	branches_count(w->all, &stats);
	return stats.n_kept_bytes;
}

/* What is kept of @id, NULL: nothing. Lives as long as it is kept. */
static const struct kept *kept(struct branch *b, uint64_t id)
{
	struct kept *k = branch_find_kept(b, id);

	kept_unref(k);
	return k;
}

static void test_outcomes(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	enum tree_row row = TREE_TOP;
	uint64_t a, s;

	SHOW(&w->fake, "web1", KEY("a", "1"), SOCKET);
	b = get(w);
	a = world_id(b, "config/a");
	s = world_id(b, "state");
	assert_int_equal(branch_open(b, a, TID, false, &row), 0);
	assert_int_equal(row, TREE_CONFIG_KEY);
	assert_int_equal(branch_open(b, s, TID, false, &row), 0);
	assert_int_equal(row, TREE_STATE);
	assert_int_equal(branch_open(b, s, TID, true, &row), 0);
	assert_int_equal(branch_open(b, a, TID, true, &row), -EROFS);
	assert_int_equal(branch_open(b, a + 1, TID, false, &row), -ESTALE);
	assert_int_equal(branch_open(b, a + 1, TID, true, &row), -EROFS);
	assert_int_equal(branch_open(b, world_id(b, "config"), TID, false, &row), -EINVAL);
	assert_int_equal(branch_open(b, world_id(b, ""), TID, true, &row), -EINVAL);
	fake_hide(&w->fake, "web1");
	assert_int_equal(branch_open(b, a, TID, false, &row), -EACCES);
	assert_int_equal(branch_open(b, s, TID, true, &row), -EACCES);
	assert_int_equal(branch_open(b, tree_id(branch_serial(b), TREE_TOP_LOW), TID, false, &row),
			 -EACCES);
	/* Closing what nobody opened here, as after another worker. */
	branch_close(b, 12345);
	branch_close(b, s);
}

static void test_kept_until_closed(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	_cleanup_(kept_unrefp) struct kept *mine = NULL;
	uint64_t a, c;

	SHOW(&w->fake, "web1", KEY("a", "first"), KEY("c", "1"), RULE("config/a", 0440, 5));
	b = get(w);
	a = world_id(b, "config/a");
	c = world_id(b, "config/c");
	assert_int_equal(open_by(b, a, TID), 0);
	assert_int_equal(open_by(b, a, TID), 0);
	CHANGE(w, "web1", KEY("a", "second"));
	assert_null(branch_find_kept(b, c)); /* nobody had it open */
	mine = branch_find_kept(b, a);
	assert_non_null(mine);
	assert_int_equal(mine->size, 5);
	assert_memory_equal(mine->bytes, "first", 5);
	assert_int_equal(mine->mode, 0440);
	assert_int_equal(mine->uid, 5);
	assert_int_equal(mine->gid, 5);
	assert_true(mine->changed_ns == INT64_C(1000000000005));
	assert_int_equal(n_kept_bytes(w), 5);
	/* It is read on, and opened no more. */
	assert_int_equal(open_by(b, a, TID), -ESTALE);
	branch_close(b, a);
	assert_non_null(kept(b, a));
	branch_close(b, a);
	assert_null(kept(b, a));
	assert_int_equal(n_kept_bytes(w), 0);
	assert_memory_equal(mine->bytes, "first", 5);
	assert_null(kept_unref(NULL));
}

/* A value that goes and comes back while somebody has it open. */
static void test_kept_once(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "first"));
	b = get(w);
	a = world_id(b, "config/a");
	assert_int_equal(open_by(b, a, TID), 0);
	for (int i = 0; i < 3; i++) {
		CHANGE(w, "web1", KEY("a", "second"));
		assert_non_null(kept(b, a));
		assert_int_equal(n_kept_bytes(w), 5);
		CHANGE(w, "web1", KEY("a", "first"));
		assert_true(world_id(b, "config/a") == a);
	}
	branch_close(b, a);
	assert_int_equal(n_kept_bytes(w), 0);
}

static void test_kept_is_bounded(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	_cleanup_(freep) char *large = malloc(KEPT_MAX + 2);
	uint64_t ids[4];

	memset(large, 'x', KEPT_MAX + 1);
	large[KEPT_MAX + 1] = '\0';
	SHOW(&w->fake, "web1", KEY("a", large + KEPT_MAX / 2), KEY("b", large + KEPT_MAX / 2),
	     KEY("c", "small"), KEY("d", large));
	b = get(w);
	for (size_t i = 0; i < 4; i++) {
		char path[] = "config/?";

		path[strlen("config/")] = "abcd"[i];
		ids[i] = world_id(b, path);
		assert_int_equal(open_by(b, ids[i], TID), 0);
	}
	/* One after the other: "a" is the oldest. */
	CHANGE(w, "web1", KEY("b", large + KEPT_MAX / 2), KEY("c", "small"), KEY("d", large));
	assert_int_equal(n_kept_bytes(w), KEPT_MAX / 2 + 1);
	CHANGE(w, "web1", KEY("c", "small"), KEY("d", large));
	assert_null(kept(b, ids[0]));
	assert_non_null(kept(b, ids[1]));
	CHANGE(w, "web1", KEY("d", large));
	assert_non_null(kept(b, ids[1]));
	assert_non_null(kept(b, ids[2]));
	/* One that is too large costs the others nothing. */
	CHANGE(w, "web1", KEY("e", "1"));
	assert_null(kept(b, ids[3]));
	assert_non_null(kept(b, ids[1]));
	assert_int_equal(n_kept_bytes(w), KEPT_MAX / 2 + 1 + 5);
	for (size_t i = 0; i < 4; i++)
		branch_close(b, ids[i]);
	assert_int_equal(n_kept_bytes(w), 0);
}

/* Of exactly the limit there is room for one. */
static void test_kept_to_the_limit(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	_cleanup_(freep) char *large = malloc(KEPT_MAX + 1);
	uint64_t a;

	memset(large, 'x', KEPT_MAX);
	large[KEPT_MAX] = '\0';
	SHOW(&w->fake, "web1", KEY("a", large));
	b = get(w);
	a = world_id(b, "config/a");
	assert_int_equal(open_by(b, a, TID), 0);
	CHANGE(w, "web1", KEY("a", "2"));
	assert_non_null(kept(b, a));
}

/* As an operation does that has just found @id. */
static void note_lookup(struct branch *b, uint64_t id, pid_t tid)
{
	_cleanup_(index_unrefp) struct index *x = NULL;

	assert_int_equal(branch_index(b, &x), 0);
	assert_true(branch_note_lookup(b, x, id, tid));
}

/* Told ESTALE, looked up, changed, opened: what it had found when it looked. */
static void test_reserved(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	enum tree_row row = TREE_TOP;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	note_lookup(b, a, TID); /* was not told ESTALE */
	CHANGE(w, "web1", KEY("a", "2"));
	assert_int_equal(open_by(b, a, TID), -ESTALE);

	branch_note_stale(b, TID);
	a = world_id(b, "config/a");
	note_lookup(b, a, TID);
	note_lookup(b, a, TID);
	CHANGE(w, "web1", KEY("a", "3"));
	assert_non_null(kept(b, a));
	assert_int_equal(open_by(b, a, TID + 1), -ESTALE);
	assert_int_equal(branch_open(b, a, TID, false, &row), 0);
	assert_int_equal(tree_row(row)->kind, TREE_CONTENT);
	assert_non_null(kept(b, a));
	/* Once. */
	assert_int_equal(open_by(b, a, TID), -ESTALE);
	branch_close(b, a);
	assert_null(kept(b, a));
}

static void test_not_reserved_once_replaced(void **state)
{
	struct world *w = *state;
	_cleanup_(index_unrefp) struct index *x = NULL;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	assert_int_equal(branch_index(b, &x), 0);
	branch_note_stale(b, TID);
	CHANGE(w, "web1", KEY("a", "2"));
	assert_false(branch_note_lookup(b, x, a, TID));    /* nothing was kept of it */
	assert_true(branch_note_lookup(b, x, a, TID + 1)); /* who was not told ESTALE */
	assert_int_equal(open_by(b, a, TID), -ESTALE);
}

static void test_reserved_and_still_current(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a, config;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	config = world_id(b, "config");
	branch_note_stale(b, TID);
	note_lookup(b, a, TID);
	assert_int_equal(open_by(b, a, TID), 0);
	branch_close(b, a);
	/* Nobody has it open: the name need not be told. */
	kernel_begin();
	CHANGE(w, "web1", KEY("a", "2"));
	assert_int_equal(kernel_n_told_of(config, "a"), 0);
	assert_int_equal(kernel_n_told_of(a, ""), 1);
}

static void test_reserved_for_reading(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	enum tree_row row;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	branch_note_stale(b, TID);
	note_lookup(b, a, TID);
	assert_int_equal(branch_open(b, a, TID, true, &row), -EROFS);
	a = world_id(b, "config/a");
	branch_note_stale(b, TID);
	note_lookup(b, a, TID);
	CHANGE(w, "web1", KEY("a", "2"));
	assert_int_equal(branch_open(b, a, TID, true, &row), -EROFS);
	assert_null(kept(b, a));
}

/* The last name it looks up, nothing else. */
static void test_reserved_is_one(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a, c;

	SHOW(&w->fake, "web1", KEY("a", "1"), KEY("c", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	c = world_id(b, "config/c");
	branch_note_stale(b, TID);
	note_lookup(b, a, TID);
	note_lookup(b, c, TID);
	CHANGE(w, "web1", KEY("d", "1"));
	assert_null(kept(b, a));
	assert_non_null(kept(b, c));
	/* Whatever it opens ends it. */
	assert_int_equal(open_by(b, a, TID), -ESTALE);
	assert_null(kept(b, c));
	assert_int_equal(open_by(b, c, TID), -ESTALE);
	/* As does another ESTALE. */
	branch_note_stale(b, TID);
	note_lookup(b, world_id(b, "config/d"), TID);
	branch_note_stale(b, TID);
	assert_int_equal(open_by(b, a, TID), -ESTALE);
}

static void test_reserved_expires(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	branch_note_stale(b, TID);
	note_lookup(b, a, TID);
	branch_note_stale(b, TID + 1);
	note_lookup(b, a, TID + 1);
	CHANGE(w, "web1", KEY("a", "2"));
	assert_non_null(kept(b, a));
	kernel_set_clock_ahead(2 * SECOND);
	assert_int_equal(open_by(b, a, TID), -ESTALE);
	assert_non_null(kept(b, a));
	/* What the other one left goes with the next that comes. */
	branch_note_stale(b, TID + 2);
	assert_null(kept(b, a));
}

static void test_reserved_is_bounded(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	for (pid_t tid = TID; tid < TID + 65; tid++) {
		branch_note_stale(b, tid);
		note_lookup(b, a, tid);
	}
	CHANGE(w, "web1", KEY("a", "2"));
	assert_int_equal(open_by(b, a, TID), -ESTALE); /* the oldest made room */
	for (pid_t tid = TID + 1; tid < TID + 65; tid++) {
		assert_int_equal(open_by(b, a, tid), 0);
		branch_close(b, a);
	}
	assert_null(kept(b, a));
}

/* What a guest leaves open or reserved goes with the branch. */
static void test_left_open(void **state)
{
	struct world *w = *state;
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	uint64_t a;

	SHOW(&w->fake, "web1", KEY("a", "1"));
	b = get(w);
	a = world_id(b, "config/a");
	assert_int_equal(open_by(b, a, TID), 0);
	branch_note_stale(b, TID);
	note_lookup(b, a, TID);
	branch_note_stale(b, TID + 1);
	CHANGE(w, "web1", KEY("a", "2"));
	assert_non_null(kept(b, a));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_outcomes),
		TEST(test_kept_until_closed),
		TEST(test_kept_once),
		TEST(test_kept_is_bounded),
		TEST(test_kept_to_the_limit),
		TEST(test_reserved),
		TEST(test_not_reserved_once_replaced),
		TEST(test_reserved_and_still_current),
		TEST(test_reserved_for_reading),
		TEST(test_reserved_is_one),
		TEST(test_reserved_expires),
		TEST(test_reserved_is_bounded),
		TEST(test_left_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
