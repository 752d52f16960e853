/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal: the last of each name counts, however often it is written again; rubbish is no worse than none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "core/published-private.h"
#include "records.h"

#define OFFSET 8192

struct world {
	int fd;
	struct published *j;
};

static int setup(void **state)
{
	static struct world w;

	w = (struct world){.fd = memfd_create("test", MFD_CLOEXEC)};
	*state = &w;
	return published_new(w.fd, OFFSET, &w.j);
}

static int teardown(void **state)
{
	struct world *w = *state;

	published_free(w->j);
	close(w->fd);
	return 0;
}

/* As another process finds it. */
static void reopen(struct world *w)
{
	w->j = published_free(w->j);
	assert_int_equal(published_new(w->fd, OFFSET, &w->j), 0);
}

static struct snapshot *snapshot(const char *name, const char *value, struct record *profile)
{
	return records_snapshot(records_new(name, PAIRS("user.own", value)), profile);
}

static void save(struct world *w, const char *name, const char *value, struct record *profile,
		 uint64_t first_n)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		value ? snapshot(name, value, profile) : NULL;

	assert_int_equal(published_save(w->j, name, s, &(struct pubstate_step){first_n, 1, {7, 8}}),
			 0);
}

static size_t count(const struct published_view *v)
{
	const struct published_name *n = NULL;
	size_t count = 0;

	while ((n = published_view_next(v, n)))
		count++;
	return count;
}

static void check_value(struct published_view *v, const char *name, bool is_before, const char *key,
			const char *value)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	assert_non_null(published_view_find(v, name));
	assert_int_equal(published_view_state(v, published_view_find(v, name), is_before, &s), 0);
	if (value)
		assert_string_equal(snapshot_config(s, key, NULL), value);
	else
		assert_null(s);
}

static void test_last_counts(void **state)
{
	_cleanup_(record_unrefp) struct record *profile =
		records_new("all", PAIRS("user.own", "hidden", "user.all", "a"));
	_cleanup_(snapshot_unrefp) struct snapshot *now = snapshot("web1", "2", profile),
						   *other = snapshot("web1", "3", profile),
						   *without = snapshot("web1", "2", NULL);
	_cleanup_(published_view_freep) struct published_view *v = NULL;
	const struct published_name *n;
	struct world *w = *state;

	save(w, "web1", "1", profile, 5);
	save(w, "web2", "x", profile, 1);
	save(w, "web1", "2", profile, 6);
	save(w, "web2", NULL, NULL, 2);
	reopen(w);
	assert_int_equal(published_view(w->j, &v), 0);
	assert_int_equal(count(v), 2);
	check_value(v, "web1", false, "user.own", "2");
	check_value(v, "web1", false, "user.all", "a");
	check_value(v, "web1", true, "user.own", "1");
	check_value(v, "web2", false, NULL, NULL);
	check_value(v, "web2", true, "user.own", "x");
	n = published_view_find(v, "web1");
	assert_true(!n->is_gone && n->step.first_n == 6 && n->step.n_lines == 1);
	assert_true(n->step.time.tv_sec == 7 && n->step.time.tv_nsec == 8);
	assert_true(published_view_find(v, "web2")->is_gone);
	assert_null(published_view_find(v, "web"));
	assert_int_equal(published_view_is(v, n, now), 1);
	assert_int_equal(published_view_is(v, n, other), 0);
	assert_int_equal(published_view_is(v, n, without), 0);
	assert_int_equal(published_view_is(v, published_view_find(v, "web2"), now), 0);
}

/* A profile is there once, however many have it, also when another process goes on. */
static void test_profiles_once(void **state)
{
	static char text[100 * 1024];
	_cleanup_(record_unrefp) struct record *profile = NULL;
	struct world *w = *state;

	memset(text, 'x', sizeof(text) - 1);
	profile = records_new("all", PAIRS("user.text", text));
	for (int i = 0; i < 50; i++) {
		_cleanup_(published_view_freep) struct published_view *v = NULL;

		save(w, "web1", i % 2 ? "1" : "2", profile, 1);
		reopen(w);
		assert_int_equal(published_view(w->j, &v), 0);
	}
	assert_in_range(w->j->head->end - w->j->head->start, sizeof(text), 2 * sizeof(text));
}

/* It stays as small as what counts, and says the same. */
static void test_tidy(void **state)
{
	_cleanup_(record_unrefp) struct record *profile =
		records_new("all", PAIRS("user.all", "a"));
	_cleanup_(published_view_freep) struct published_view *v = NULL;
	struct world *w = *state;

	save(w, "gone", "x", profile, 1);
	save(w, "gone", NULL, NULL, 2);
	save(w, "web2", "y", profile, 3);
	for (uint64_t i = 0; i < 30000; i++) {
		save(w, "web1", i % 2 ? "odd" : "even", profile, i);
		assert_int_equal(published_tidy(w->j), 0);
		assert_in_range(w->j->head->end - w->j->head->start, 1, 1100 * 1024);
	}
	assert_true(w->j->head->start > 1024 * 1024);
	reopen(w);
	assert_int_equal(published_view(w->j, &v), 0);
	assert_int_equal(count(v), 2);
	check_value(v, "web1", false, "user.own", "odd");
	check_value(v, "web2", false, "user.all", "a");
	/* Its line has reached the log, so it is not to be made again. */
	assert_int_equal(published_view_find(v, "web2")->step.first_n, 4);
	assert_int_equal(published_view_find(v, "web2")->step.n_lines, 0);
}

static void test_rubbish(void **state)
{
	struct world *w = *state;
	struct published_view *v = NULL;
	char rubbish[] =
		"rubbish that is longer than the head of an entry, so that it is looked at";

	save(w, "web1", "1", NULL, 1);
	assert_int_equal(published_append(w->j, &(struct buf){rubbish, sizeof(rubbish)}), 0);
	assert_int_equal(published_view(w->j, &v), -EINVAL);
	published_clear(w->j);
	save(w, "web2", "1", NULL, 1);
	assert_int_equal(published_view(w->j, &v), 0);
	assert_int_equal(count(v), 1);
	v = published_view_free(v);
	/* A file that ends before it does. */
	assert_int_equal(ftruncate(w->fd, OFFSET + 4096), 0);
	assert_int_equal(published_view(w->j, &v), -EINVAL);
	/* Another version's. */
	w->j->head->version++;
	reopen(w);
	assert_int_equal(published_view(w->j, &v), 0);
	assert_int_equal(count(v), 0);
	v = published_view_free(v);
	assert_null(published_view_free(NULL));
	assert_null(published_free(NULL));
}

int main(void)
{
#define TEST(T) cmocka_unit_test_setup_teardown(T, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_last_counts),
		TEST(test_profiles_once),
		TEST(test_tidy),
		TEST(test_rubbish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
