/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is due: in order, and found without looking at anything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/sock.h"
#include "core/settings.h"
#include "scratch.h"
#include "store/load.h"

#define DIRECTORY 2 /* instances in conf_dir */
#define LATER     (now_us() + UINT64_C(3600) * 1000 * 1000)

struct world {
	void *dir;
	struct settings settings;
	struct book book;
};

static int setup(void **state)
{
	static struct world w;
	_cleanup_(freep) char *instances = NULL;

	*state = &w;
	settings_init(&w.settings);
	if (scratch_setup(&w.dir) < 0)
		return -1;
	instances = scratch_path(&w.dir, "instances");
	if (file_mkdirs(instances, 0700) < 0)
		return -1;
	return book_init(&w.book, w.dir, w.dir, &w.settings);
}

static int teardown(void **state)
{
	struct world *w = *state;

	book_finish(&w->book);
	settings_finish(&w->settings);
	return scratch_teardown(&w->dir);
}

/* A source of its own entry, as if its file had been read. */
static struct source *add(struct world *w, const char *name)
{
	struct entry *e = book_get(&w->book, BOOK_INSTANCES, name);
	struct source *s = e ? book_get_source(e, DIRECTORY, 0) : NULL;

	assert_non_null(s);
	s->is_unread = false;
	s->is_missing = true;
	return s;
}

/* Asserts that what is due are those with the names @expected, in that order. */
static void assert_due(const struct world *w, const char *expected)
{
	_cleanup_(buf_finish) struct buf names = {0};
	uint64_t last = 0;

	assert_int_equal(buf_puts(&names, ""), 0);
	for (const struct source *s = w->book.due; s; s = s->due_next) {
		assert_true(s->due_us >= last);
		last = s->due_us;
		assert_int_equal(buf_puts(&names, s->entry->name), 0);
	}
	assert_string_equal(names.data, expected);
}

static void test_order(void **state)
{
	struct world *w = *state;
	struct source *a = add(w, "a"), *b = add(w, "b"), *c = add(w, "c"), *d = add(w, "d");

	assert_due(w, "");
	book_set_due(&w->book, a, 10);
	book_set_due(&w->book, b, 20);
	book_set_due(&w->book, c, 20);
	assert_due(w, "abc");
	book_set_due(&w->book, d, 15);
	assert_due(w, "adbc");
	book_set_due(&w->book, c, 5);
	assert_due(w, "cadb");
	book_set_due(&w->book, c, 30);
	assert_due(w, "adbc");
	book_set_due(&w->book, d, 0);
	book_set_due(&w->book, d, 0);
	assert_due(w, "abc");
	book_drop_source(&w->book, a->entry, a);
	assert_due(w, "bc");
	while (book_next_touched(&w->book))
		continue;
	book_forget(&w->book, book_find(&w->book, BOOK_INSTANCES, "c"));
	assert_due(w, "b");
}

/* With the tables out of sight nothing could be found by going through them. */
static void test_looks_at_nothing_else(void **state)
{
	struct world *w = *state;
	struct entry *tables[_BOOK_N_TABLES];
	struct source *found = add(w, "found"), *again = add(w, "again"), *later = add(w, "later");
	struct entry *gone = add(w, "gone")->entry;
	_cleanup_(closep) int fd = scratch_open(&w->dir);

	assert_int_equal(file_write(fd, "instances/found.json", 0600, "{}", 2, FILE_SYNC_NONE), 0);
	assert_int_equal(file_write(fd, "instances/again.json", 0600, "{}", 2, FILE_SYNC_NONE), 0);
	book_set_due(&w->book, found, 1);
	book_set_due(&w->book, gone->sources, 2);
	book_set_due(&w->book, again, 3);
	book_set_due(&w->book, later, LATER);
	memcpy(tables, w->book.entries, sizeof(tables));
	memset(w->book.entries, 0, sizeof(tables));
	assert_int_equal(load_due(&w->book), 0);
	memcpy(w->book.entries, tables, sizeof(tables));
	assert_due(w, "later");
	assert_false(found->is_missing || again->is_missing);
	assert_true(later->is_missing);
	assert_non_null(found->record);
	assert_null(gone->sources);
	assert_int_equal(w->book.n_read, 2);
}

/* Nothing was due: nothing is looked at. */
static void test_nothing_due(void **state)
{
	struct world *w = *state;
	struct source *s = add(w, "a");

	assert_int_equal(load_due(&w->book), 0);
	book_set_due(&w->book, s, LATER);
	assert_int_equal(load_due(&w->book), 0);
	assert_true(s->is_missing);
	assert_due(w, "a");
	assert_null(w->book.touched);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),
		TEST(test_looks_at_nothing_else),
		TEST(test_nothing_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
