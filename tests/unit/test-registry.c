/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registry: names, claims, what a failed change leaves, and all of it from several threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The module itself: that lookups do not depend on the number of instances shows in its hashes. */
#include "core/registry.c" /* NOLINT(bugprone-suspicious-include) */

#include "alloc.h"
#include "records.h"

static struct snapshot *make(const char *name, const char *cgroup, const char *value)
{
	struct record *r = records_new(name, PAIRS("user.a", value, "user.b", value));

	r->match_cgroup = cgroup ? strdup(cgroup) : NULL;
	return records_snapshot(r, NULL);
}

/* Publishes and returns the number of changes, or the error. */
static int publish(struct registry *r, const char *name, const char *cgroup, const char *value)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = make(name, cgroup, value);
	_cleanup_(diff_freep) struct diff *d = NULL;
	int err = registry_publish(r, s, &d);

	return err < 0 ? err : (int)d->n_changes;
}

static int withdraw(struct registry *r, const char *name)
{
	_cleanup_(diff_freep) struct diff *d = NULL;
	int err = registry_withdraw(r, name, &d);

	return err < 0 ? err : (int)d->n_changes;
}

/* The names of those who claim @path, joined by spaces, bindings with their id. */
static void assert_claims(struct registry *r, const char *path, const char *expected)
{
	struct claim claims[CLAIMS_MAX];
	char text[512] = "", id[32];
	size_t n = registry_claims(r, path, claims), at = 0;

	for (size_t i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "#%u", (unsigned)claims[i].cgroup_id);
		at += snprintf(text + at, sizeof(text) - at, "%s%s%s", i > 0 ? " " : "",
			       instance_name(claims[i].instance),
			       claims[i].kind == CLAIM_BINDING ? id : "");
		claim_finish(&claims[i]);
		assert_null(claims[i].instance);
	}
	assert_string_equal(text, expected);
}

static void test_publish_and_find(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	_cleanup_(instance_unrefp) struct instance *i = NULL;
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	assert_null(registry_free(NULL));
	assert_null(registry_find(r, "web1"));
	assert_int_equal(publish(r, "web1", NULL, "1"), 2);
	assert_int_equal(publish(r, "web1", NULL, "1"), 0);
	assert_int_equal(publish(r, "web1", NULL, "2"), 2);
	assert_int_equal(registry_size(r), 1);
	assert_null(registry_find(r, "web"));
	i = registry_find(r, "web1");
	s = instance_snapshot(i);
	assert_string_equal(snapshot_config(s, "user.a", NULL), "2");
}

static void test_difference(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	_cleanup_(snapshot_unrefp) struct snapshot *a = make("web1", NULL, "1");
	_cleanup_(snapshot_unrefp) struct snapshot *b = make("web1", NULL, "2");
	struct diff *d;

	assert_int_equal(registry_publish(r, a, &d), 0);
	assert_null(d->old_snapshot);
	assert_ptr_equal(d->new_snapshot, a);
	diff_free(d);
	assert_int_equal(registry_publish(r, b, &d), 0);
	assert_ptr_equal(d->old_snapshot, a);
	assert_int_equal(d->changes[0].action, CHANGE_UPDATED);
	diff_free(d);
	assert_int_equal(registry_withdraw(r, "web1", &d), 0);
	assert_ptr_equal(d->old_snapshot, b);
	assert_null(d->new_snapshot);
	assert_int_equal(d->changes[0].action, CHANGE_REMOVED);
	diff_free(d);
}

static void test_held_instance_comes_back(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	_cleanup_(instance_unrefp) struct instance *held = NULL;
	_cleanup_(instance_unrefp) struct instance *again = NULL;
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	assert_int_equal(withdraw(r, "web1"), -ENOENT);
	publish(r, "web1", NULL, "1");
	held = registry_find(r, "web1");
	assert_int_equal(withdraw(r, "web1"), 2);
	assert_int_equal(withdraw(r, "web1"), -ENOENT);
	assert_int_equal(registry_size(r), 0);
	assert_null(instance_snapshot(held));
	again = registry_find(r, "web1");
	assert_ptr_equal(again, held);
	publish(r, "other", NULL, "1");
	publish(r, "web1", NULL, "1");
	assert_int_equal(registry_size(r), 2);
	s = instance_snapshot(held);
	assert_non_null(s);
}

static void test_name_is_forgotten_with_its_last_holder(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	struct instance *held;

	publish(r, "web1", NULL, "1");
	withdraw(r, "web1");
	assert_null(registry_find(r, "web1"));
	publish(r, "web1", NULL, "1");

	held = registry_find(r, "web1");
	withdraw(r, "web1");
	instance_unref(held);
	publish(r, "other", NULL, "1");
	assert_null(registry_find(r, "web1"));
}

static void test_remembered_name_is_filled_by_its_record(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	_cleanup_(instance_unrefp) struct instance *early = registry_remember(r, "web1");
	_cleanup_(instance_unrefp) struct instance *again = registry_remember(r, "web1");
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	assert_non_null(early);
	assert_ptr_equal(early, again);
	assert_int_equal(registry_size(r), 0);
	publish(r, "other", NULL, "1"); /* which forgets names that nobody holds */
	publish(r, "web1", NULL, "1");
	s = instance_snapshot(early);
	assert_non_null(s);
}

static void test_churn_does_not_grow(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	char name[32];

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "job-%d", i);
		publish(r, name, "/job", "1");
		withdraw(r, name);
	}
	assert_null(r->slots);
	assert_null(r->paths);
	assert_null(r->idle);
}

static void test_instance_outlives_registry(void **state)
{
	struct registry *r = registry_new();
	_cleanup_(instance_unrefp) struct instance *i = NULL;
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	publish(r, "web1", "/a", "1");
	i = registry_find(r, "web1");
	registry_free(r);
	s = instance_snapshot(i);
	assert_string_equal(snapshot_name(s), "web1");
}

static void test_list(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	struct instance **list;
	size_t n;

	assert_int_equal(registry_list(r, &list, &n), 0);
	assert_int_equal(n, 0);
	registry_list_free(list, n);
	registry_list_free(NULL, 0);
	publish(r, "b", NULL, "1");
	publish(r, "c", NULL, "1");
	publish(r, "a", NULL, "1");
	withdraw(r, "c");
	assert_int_equal(registry_list(r, &list, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(instance_name(list[0]), "a");
	assert_string_equal(instance_name(list[1]), "b");
	registry_list_free(list, n);
}

static void test_match_claims_move(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();

	publish(r, "web1", "/a", "1");
	assert_claims(r, "/a", "web1");
	assert_claims(r, "/", "");
	assert_claims(r, "/a/b", "");
	publish(r, "web1", "/b", "1");
	assert_claims(r, "/a", "");
	assert_claims(r, "/b", "web1");
	publish(r, "web2", "/b", "1");
	assert_claims(r, "/b", "web1 web2");
	publish(r, "web1", NULL, "1");
	assert_claims(r, "/b", "web2");
	withdraw(r, "web2");
	assert_claims(r, "/b", "");
}

static void test_bindings(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	char path[CGROUP_PATH_MAX] = "untouched";
	uint64_t id = 0;

	assert_int_equal(registry_bind(r, "web1", "/a", 5), -ENOENT);
	assert_int_equal(registry_unbind(r, "web1"), -ENOENT);
	publish(r, "web1", "/a", "1");
	assert_int_equal(registry_binding(r, "web1", path, &id), -ENOENT);
	assert_string_equal(path, "untouched");
	assert_int_equal(registry_bind(r, "web1", "/a", 5), 0);
	assert_claims(r, "/a", "web1 web1#5");
	assert_int_equal(registry_bind(r, "web1", "/b", 6), 0);
	assert_claims(r, "/a", "web1");
	assert_claims(r, "/b", "web1#6");
	assert_int_equal(registry_bind(r, "web1", "/b", 7), 0);
	assert_claims(r, "/b", "web1#7");
	assert_int_equal(registry_binding(r, "web1", path, &id), 0);
	assert_string_equal(path, "/b");
	assert_int_equal(id, 7);
	assert_int_equal(registry_unbind(r, "web1"), 0);
	assert_int_equal(registry_unbind(r, "web1"), -ENOENT);
	assert_claims(r, "/b", "");
	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(registry_bind(r, "web1", path, 5), 0);
	assert_claims(r, path, "web1#5");
}

static void test_path_too_long(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	char path[CGROUP_PATH_MAX + 1];

	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	publish(r, "web1", NULL, "1");
	assert_int_equal(registry_bind(r, "web1", path, 5), -EINVAL);
	assert_claims(r, path, "");
}

static void test_withdrawn_has_no_claims(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	_cleanup_(instance_unrefp) struct instance *held = NULL;
	char path[CGROUP_PATH_MAX];
	uint64_t id;

	publish(r, "web1", "/a", "1");
	registry_bind(r, "web1", "/b", 5);
	held = registry_find(r, "web1");
	withdraw(r, "web1");
	assert_claims(r, "/a", "");
	assert_claims(r, "/b", "");
	assert_int_equal(registry_binding(r, "web1", path, &id), -ENOENT);
	assert_int_equal(registry_bind(r, "web1", "/b", 5), -ENOENT);
	publish(r, "web1", "/a", "1");
	assert_claims(r, "/a", "web1");
	assert_claims(r, "/b", "");
}

static void test_claims_are_bounded(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	struct claim claims[CLAIMS_MAX];
	char name[32];

	for (int i = 0; i < CLAIMS_MAX + 3; i++) {
		snprintf(name, sizeof(name), "web%d", i);
		publish(r, name, "/same", "1");
	}
	assert_int_equal(registry_claims(r, "/same", claims), CLAIMS_MAX);
	for (size_t i = 0; i < CLAIMS_MAX; i++)
		claim_finish(&claims[i]);
	/* Those not told before come up when others leave. */
	for (int i = 0; i < CLAIMS_MAX + 2; i++) {
		snprintf(name, sizeof(name), "web%d", i);
		withdraw(r, name);
	}
	assert_claims(r, "/same", "web10");
}

static bool generation_moves(struct registry *r, uint64_t *known)
{
	uint64_t before = *known;

	*known = registry_claims_generation(r);
	return *known != before;
}

static void test_generation(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	uint64_t known = registry_claims_generation(r);

	publish(r, "plain", NULL, "1");
	withdraw(r, "plain");
	assert_false(generation_moves(r, &known));
	publish(r, "web1", "/a", "1");
	assert_true(generation_moves(r, &known));
	publish(r, "web1", "/a", "2");
	assert_false(generation_moves(r, &known));
	registry_bind(r, "web1", "/b", 5);
	assert_true(generation_moves(r, &known));
	registry_bind(r, "web1", "/b", 5);
	assert_false(generation_moves(r, &known));
	registry_bind(r, "web1", "/b", 6);
	assert_true(generation_moves(r, &known));
	registry_unbind(r, "web1");
	assert_true(generation_moves(r, &known));
	registry_unbind(r, "web1");
	assert_false(generation_moves(r, &known));
	publish(r, "web1", "/b", "2");
	assert_true(generation_moves(r, &known));
	withdraw(r, "web1");
	assert_true(generation_moves(r, &known));
}

/* The most elements that a lookup of one of these would compare. */
static size_t longest_chain(const UT_hash_table *t)
{
	size_t longest = 0;

	for (unsigned i = 0; i < t->num_buckets; i++)
		if (t->buckets[i].count > longest)
			longest = t->buckets[i].count;
	return longest;
}

static void test_lookup_does_not_depend_on_size(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	char name[32], path[64];

	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "web%d", i);
		snprintf(path, sizeof(path), "/lxc.payload.web%d", i);
		publish(r, name, path, "1");
	}
	assert_int_equal(registry_size(r), 10000);
	assert_in_range(longest_chain(r->slots->hh.tbl), 1, 2 * HASH_BKT_CAPACITY_THRESH);
	assert_in_range(longest_chain(r->paths->hh.tbl), 1, 2 * HASH_BKT_CAPACITY_THRESH);
	assert_int_equal(r->slots->hh.tbl->noexpand, 0);
	assert_int_equal(r->paths->hh.tbl->noexpand, 0);
	assert_claims(r, "/lxc.payload.web9999", "web9999");
}

/* What a change that ran out of memory must have left alone. */
static void assert_as_before(struct registry *r, const char *name, size_t size, uint64_t generation)
{
	assert_null(registry_find(r, name));
	assert_int_equal(registry_size(r), size);
	assert_int_equal(HASH_COUNT(r->slots), size);
	assert_int_equal(HASH_COUNT(r->paths), size);
	assert_int_equal(registry_claims_generation(r), generation);
}

/* Enough instances that the hashes grow, which may fail, too. */
static void test_publish_without_memory(void **state)
{
	_cleanup_(registry_freep) struct registry *r = registry_new();
	int n_most = 0;

	for (int i = 0; i < 400; i++) {
		char name[32];
		_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
		_cleanup_(diff_freep) struct diff *d = NULL;
		uint64_t generation = registry_claims_generation(r);
		int err, n_failed = 0;

		snprintf(name, sizeof(name), "/web%d", i);
		s = make(name + 1, name, "1");
		ALLOC_WALK(err == -ENOMEM && ++n_failed)
		{
			assert_as_before(r, name + 1, i, generation);
			err = registry_publish(r, s, &d);
		}
		assert_int_equal(err, 0);
		assert_claims(r, name, name + 1);
		n_most = n_failed > n_most ? n_failed : n_most;
	}
	/* The first one: the diff (2), slot, instance, path, and both hashes (2 each). */
	assert_int_equal(n_most, 9);
}

static void test_other_changes_without_memory(void **state)
{
	_cleanup_(registry_freep) struct registry *r = NULL;
	_cleanup_(diff_freep) struct diff *d = NULL;
	int err, n_failed = 0;

	ALLOC_WALK(!r && ++n_failed)
	r = registry_new();
	assert_int_equal(n_failed, 1);
	publish(r, "web1", "/a", "1");
	ALLOC_WALK(err == -ENOMEM)
	{
		assert_claims(r, "/b", "");
		err = registry_bind(r, "web1", "/b", 5);
	}
	assert_int_equal(err, 0);
	ALLOC_WALK(err == -ENOMEM)
	{
		assert_claims(r, "/b", "web1#5");
		err = registry_withdraw(r, "web1", &d);
	}
	assert_int_equal(err, 0);
	assert_claims(r, "/b", "");
}

static const char *const shared_names[] = {"a", "b", "c"};

/*
 * One kind of lookup each, so that no other call's lock puts them in order with the changes.
 * They return how often something was not whole.
 */
static void *find(void *arg)
{
	long n_wrong = 0;

	for (int k = 0; k < 5000; k++) {
		const char *name = shared_names[k % ARRAY_SIZE(shared_names)];
		_cleanup_(instance_unrefp) struct instance *i = registry_find(arg, name);

		n_wrong += i && !streq(instance_name(i), name);
	}
	return (void *)n_wrong;
}

static void *find_and_read(void *arg)
{
	long n_wrong = 0;

	for (int k = 0; k < 5000; k++) {
		_cleanup_(instance_unrefp) struct instance *i = registry_find(arg, "a");
		_cleanup_(snapshot_unrefp) struct snapshot *s = i ? instance_snapshot(i) : NULL;

		n_wrong += s && !streq(snapshot_config(s, "user.a", NULL),
				       snapshot_config(s, "user.b", NULL));
	}
	return (void *)n_wrong;
}

static void *ask_claims(void *arg)
{
	struct claim claims[CLAIMS_MAX];
	long n_wrong = 0;

	for (int k = 0; k < 5000; k++) {
		size_t n = registry_claims(arg, k % 2 ? "/even" : "/odd", claims);

		n_wrong += n > 2 * ARRAY_SIZE(shared_names);
		while (n > 0)
			claim_finish(&claims[--n]);
	}
	return (void *)n_wrong;
}

static void *list(void *arg)
{
	long n_wrong = 0;

	for (int k = 0; k < 1000; k++) {
		struct instance **all;
		size_t n;

		if (registry_list(arg, &all, &n) < 0)
			return (void *)1;
		n_wrong += n > ARRAY_SIZE(shared_names);
		registry_list_free(all, n);
	}
	return (void *)n_wrong;
}

static void *change(void *arg)
{
	struct registry *r = arg;
	long n_errors = 0;

	for (int k = 0; k < 1000; k++) {
		const char *name = shared_names[k % ARRAY_SIZE(shared_names)];
		const char *path = k % 2 ? "/even" : "/odd";

		n_errors += publish(r, name, path, path) < 0;
		(void)registry_bind(r, name, path, k);
		if (k % 5 == 0)
			(void)withdraw(r, name);
		if (k % 7 == 0)
			(void)registry_unbind(r, name);
	}
	return (void *)n_errors;
}

static void test_threads(void **state)
{
	static void *(*const work[])(void *) = {find, find_and_read, ask_claims,
						list, change,        change};
	_cleanup_(registry_freep) struct registry *r = registry_new();
	pthread_t threads[ARRAY_SIZE(work)];
	void *n_wrong;

	for (size_t i = 0; i < ARRAY_SIZE(work); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work[i], r), 0);
	for (size_t i = 0; i < ARRAY_SIZE(work); i++) {
		assert_int_equal(pthread_join(threads[i], &n_wrong), 0);
		assert_null(n_wrong);
	}
	for (size_t i = 0; i < ARRAY_SIZE(shared_names); i++)
		(void)withdraw(r, shared_names[i]);
	assert_null(r->slots);
	assert_null(r->paths);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish_and_find),
		cmocka_unit_test(test_difference),
		cmocka_unit_test(test_held_instance_comes_back),
		cmocka_unit_test(test_name_is_forgotten_with_its_last_holder),
		cmocka_unit_test(test_remembered_name_is_filled_by_its_record),
		cmocka_unit_test(test_churn_does_not_grow),
		cmocka_unit_test(test_instance_outlives_registry),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_match_claims_move),
		cmocka_unit_test(test_bindings),
		cmocka_unit_test(test_path_too_long),
		cmocka_unit_test(test_withdrawn_has_no_claims),
		cmocka_unit_test(test_claims_are_bounded),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_lookup_does_not_depend_on_size),
		cmocka_unit_test(test_publish_without_memory),
		cmocka_unit_test(test_other_changes_without_memory),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
