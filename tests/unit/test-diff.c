/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Differences: each kind of change, their order, and that layers do not show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "core/diff.h"
#include "records.h"

/* "+key" "~key" "-key" for config, with a '@' for devices; joined by spaces. */
static void assert_changes(const struct diff *d, const char *expected)
{
	static const char signs[] = {
		[CHANGE_ADDED] = '+', [CHANGE_UPDATED] = '~', [CHANGE_REMOVED] = '-'};
	char text[512] = "";
	size_t n = 0;

	for (size_t i = 0; i < d->n_changes; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%c%s%s", i > 0 ? " " : "",
			      signs[d->changes[i].action],
			      d->changes[i].kind == CHANGE_DEVICE ? "@" : "", d->changes[i].name);
	assert_string_equal(text, expected);
}

static struct diff *compare(struct snapshot *a, struct snapshot *b)
{
	struct diff *d = NULL;

	assert_int_equal(diff_new(a, b, &d), 0);
	return d;
}

static struct snapshot *old_snapshot(void)
{
	struct record *r = records_new("w", PAIRS("a", "1", "b", "1", "c", "1", "e", ""));

	records_add_device(r, "d1", PAIRS("type", "disk"));
	records_add_device(r, "d2", PAIRS("type", "disk"));
	records_add_device(r, "d3", PAIRS("type", "disk"));
	records_add_device(r, "d4", NO_PAIRS);
	return records_snapshot(r, NULL);
}

static struct snapshot *new_snapshot(void)
{
	struct record *r = records_new("w", PAIRS("0", "1", "b", "2", "c", "1", "d", "1", "f", ""));

	records_add_device(r, "d0", NO_PAIRS);
	records_add_device(r, "d2", PAIRS("type", "disk", "path", "/"));
	records_add_device(r, "d3", PAIRS("type", "disk"));
	records_add_device(r, "d5", NO_PAIRS);
	return records_snapshot(r, NULL);
}

static void test_all_kinds_in_order(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *a = old_snapshot();
	_cleanup_(snapshot_unrefp) struct snapshot *b = new_snapshot();
	_cleanup_(diff_freep) struct diff *d = compare(a, b);

	assert_ptr_equal(d->old_snapshot, a);
	assert_ptr_equal(d->new_snapshot, b);
	assert_changes(d, "+0 -a ~b +d -@d1 -@d4 ~@d2 +@d0 +@d5");
}

static void test_values(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *a = old_snapshot();
	_cleanup_(snapshot_unrefp) struct snapshot *b = new_snapshot();
	_cleanup_(diff_freep) struct diff *d = compare(a, b);
	const struct change *added = &d->changes[0], *removed = &d->changes[1],
			    *updated = &d->changes[2], *device = &d->changes[6];

	assert_null(added->old_value);
	assert_string_equal(added->new_value, "1");
	assert_int_equal(added->new_len, 1);
	assert_null(removed->new_value);
	assert_string_equal(removed->old_value, "1");
	assert_int_equal(removed->old_len, 1);
	assert_string_equal(updated->old_value, "1");
	assert_string_equal(updated->new_value, "2");
	assert_null(device->old_value);
	assert_null(table_get(device->old_config, "path", NULL));
	assert_string_equal(table_get(device->new_config, "path", NULL), "/");
	assert_null(d->changes[4].new_config);
	assert_string_equal(table_get(d->changes[4].old_config, "type", NULL), "disk");
}

static void test_created_and_deleted(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = old_snapshot();
	_cleanup_(diff_freep) struct diff *created = compare(NULL, s);
	_cleanup_(diff_freep) struct diff *deleted = compare(s, NULL);
	_cleanup_(diff_freep) struct diff *nothing = compare(NULL, NULL);

	assert_changes(created, "+a +b +c +@d1 +@d2 +@d3 +@d4");
	assert_changes(deleted, "-a -b -c -@d1 -@d2 -@d3 -@d4");
	assert_changes(nothing, "");
	assert_null(diff_free(NULL));
}

static void test_emptied_is_removed(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *set =
		records_snapshot(records_new("w", PAIRS("k", "1")), NULL);
	_cleanup_(snapshot_unrefp) struct snapshot *emptied =
		records_snapshot(records_new("w", PAIRS("k", "")), NULL);
	_cleanup_(diff_freep) struct diff *there = compare(set, emptied);
	_cleanup_(diff_freep) struct diff *back = compare(emptied, set);

	assert_changes(there, "-k");
	assert_null(there->changes[0].new_value);
	assert_changes(back, "+k");
	assert_null(back->changes[0].old_value);
}

static void test_layers_do_not_show(void **state)
{
	_cleanup_(record_unrefp) struct record *profile =
		records_new("p", PAIRS("k", "1", "l", "p"));
	_cleanup_(snapshot_unrefp) struct snapshot *from_profile =
		records_snapshot(records_new("w", PAIRS("l", "own")), profile);
	_cleanup_(snapshot_unrefp) struct snapshot *own =
		records_snapshot(records_new("w", PAIRS("k", "1", "l", "own")), NULL);
	_cleanup_(diff_freep) struct diff *d = compare(from_profile, own);

	assert_changes(d, "");
}

static void test_outlives_snapshots(void **state)
{
	struct snapshot *a = old_snapshot(), *b = new_snapshot();
	_cleanup_(diff_freep) struct diff *d = compare(a, b);

	snapshot_unref(a);
	snapshot_unref(b);
	assert_changes(d, "+0 -a ~b +d -@d1 -@d4 ~@d2 +@d0 +@d5");
	assert_string_equal(d->changes[2].old_value, "1");
}

static void test_no_memory(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *a = old_snapshot();
	_cleanup_(snapshot_unrefp) struct snapshot *b = new_snapshot();
	_cleanup_(diff_freep) struct diff *d = NULL;
	int r, n_failed = 0;

	ALLOC_WALK(r == -ENOMEM && ++n_failed)
	{
		assert_null(d);
		r = diff_new(a, b, &d);
	}
	assert_int_equal(r, 0);
	assert_int_equal(d->n_changes, 9);
	assert_in_range(n_failed, 2, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds_in_order),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_created_and_deleted),
		cmocka_unit_test(test_emptied_is_removed),
		cmocka_unit_test(test_layers_do_not_show),
		cmocka_unit_test(test_outlives_snapshots),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
