/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of events: a ring of whole lines, and readers of the file it makes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/eventlog.h"

struct world {
	int fd;
	struct eventlog *log;
	struct eventlog_slot *slot;
};

static int setup(void **state)
{
	static struct world w;

	w = (struct world){.fd = memfd_create("test", MFD_CLOEXEC)};
	*state = &w;
	if (ftruncate(w.fd, 4096) < 0 || eventlog_new(w.fd, 4096, EVENTLOG_WINDOW_MIN, &w.log) < 0)
		return -1;
	return eventlog_add(w.log, "web1", &w.slot);
}

static int teardown(void **state)
{
	struct world *w = *state;

	eventlog_free(w->log);
	close(w->fd);
	return 0;
}

/* A line of @n bytes that says which one it is. */
static void append(struct eventlog_slot *s, unsigned number, size_t n)
{
	char line[EVENTLOG_WINDOW_MIN];

	memset(line, '.', n);
	line[snprintf(line, sizeof(line), "%u", number)] = '.';
	line[n - 1] = '\n';
	eventlog_append(s, line, n, false);
}

static unsigned number_at(const struct eventlog_slot *s, uint64_t at)
{
	char text[16];

	text[eventlog_copy(s, at, text, sizeof(text) - 1)] = '\0';
	return (unsigned)atoi(text); /* NOLINT(cert-err34-c): ours */
}

static void test_lines_go_whole(void **state)
{
	struct world *w = *state;
	uint64_t at;
	unsigned n;

	for (unsigned i = 1; i <= 3000; i++) {
		struct eventlog_cursor begin, end;

		append(w->slot, i, 20 + i * 37 % 3000);
		begin = eventlog_begin(w->slot);
		end = eventlog_end(w->slot);
		assert_int_equal(end.n, i);
		assert_true(end.at - begin.at <= EVENTLOG_WINDOW_MIN);
		/* No more is dropped than must be. */
		assert_true(begin.n == 0 || end.at - begin.at > EVENTLOG_WINDOW_MIN - 3020);
		for (at = begin.at, n = (unsigned)begin.n; at < end.at;
		     at += eventlog_line_at(w->slot, at))
			assert_int_equal(number_at(w->slot, at), ++n);
		assert_int_equal(n, i);
		/* The file begins with a line that is kept, and is never longer than the window and a line. */
		at = eventlog_base(w->slot);
		assert_in_range(at, begin.at, end.at);
		assert_true(end.at - at <= EVENTLOG_WINDOW_MIN);
		assert_true(number_at(w->slot, at) > 0);
	}
}

static void test_where_nobody_listens(void **state)
{
	struct world *w = *state;
	struct stat st;

	for (unsigned i = 1; i <= 2000; i++)
		eventlog_append(w->slot, "{\"type\":\"config\"}\n", 18, true);
	assert_true(eventlog_end(w->slot).at - eventlog_begin(w->slot).at <= EVENTLOG_QUIET);
	assert_int_equal(eventlog_base(w->slot), eventlog_begin(w->slot).at);
	assert_int_equal(fstat(w->fd, &st), 0);
	/* The head, what is known of the log, two pages at most. */
	assert_true(st.st_blocks * 512 <= 4 * 4096 + 4096);
}

/* A log that was full when the last listener went. */
static void test_nobody_listens_any_more(void **state)
{
	struct world *w = *state;

	for (unsigned full = 100; full < 700; full += 7) {
		unsigned first = (unsigned)eventlog_end(w->slot).n + 1, n = 0;

		for (unsigned i = 0; i < full; i++)
			append(w->slot, first + i, 50 + i % 100);
		for (unsigned i = 0; i < 20; i++) {
			char line[64];
			int len = snprintf(line, sizeof(line), "%u.....\n", first + full + i);

			eventlog_append(w->slot, line, (size_t)len, true);
			n = (unsigned)eventlog_begin(w->slot).n;
			for (uint64_t at = eventlog_begin(w->slot).at;
			     at < eventlog_end(w->slot).at; at += eventlog_line_at(w->slot, at))
				assert_int_equal(number_at(w->slot, at), ++n);
		}
		assert_int_equal(n, first + full + 19);
	}
}

static void test_what_was_kept(void **state)
{
	struct world *w = *state;
	struct eventlog *again = NULL;
	struct eventlog_slot *s, *other;
	struct eventlog_reader *r = eventlog_open(w->slot);
	uint64_t id = r->id;
	char bytes[4096];

	append(w->slot, 1, 100);
	append(w->slot, 2, 100);
	assert_int_equal(eventlog_read(w->slot, r, 0, bytes, 150), 150);
	assert_int_equal(eventlog_new(w->fd, 4096, 1 << 20, &again), 0);
	s = eventlog_next(again, NULL);
	assert_string_equal(eventlog_name(s), "web1");
	assert_null(eventlog_next(again, s));
	assert_int_equal(eventlog_end(s).n, 2);
	assert_int_equal(eventlog_line_max(s), EVENTLOG_WINDOW_MIN / 4);
	r = eventlog_reader(s, id);
	assert_non_null(r);
	assert_int_equal(eventlog_read(s, r, 150, bytes, sizeof(bytes)), 50);
	/* Slots are taken again. */
	assert_int_equal(eventlog_add(again, "web2", &other), 0);
	eventlog_remove(again, s);
	assert_string_equal(eventlog_name(eventlog_next(again, NULL)), "web2");
	assert_int_equal(eventlog_add(again, "web3", &s), 0);
	assert_string_equal(eventlog_name(eventlog_next(again, NULL)), "web3");
	assert_int_equal(eventlog_end(s).at, 0);
	assert_null(eventlog_reader(s, id));
	eventlog_free(again);
}

static void test_another_layout(void **state)
{
	struct world *w = *state;
	struct eventlog *e = NULL;

	assert_int_equal(eventlog_check(w->fd, 4096), 0);
	assert_int_equal(pwrite(w->fd, "x", 1, 4096), 1);
	assert_int_equal(eventlog_check(w->fd, 4096), -EINVAL);
	assert_int_equal(eventlog_check(-1, 4096), -EBADF);
	assert_int_equal(eventlog_new(w->fd, 4096, EVENTLOG_WINDOW_MIN, &e), 0);
	assert_null(eventlog_next(e, NULL));
	assert_int_equal(eventlog_check(w->fd, 4096), 0);
	eventlog_free(e);
	assert_null(eventlog_free(NULL));
	assert_null(eventlog_slot_free(NULL));
}

/* Reads all there is, @step bytes at a time, from *offset on. */
static size_t read_all(struct world *w, struct eventlog_reader *r, uint64_t *offset, char *bytes,
		       size_t step)
{
	size_t done = 0, n;

	while ((n = eventlog_read(w->slot, r, *offset, bytes + done, step)) > 0) {
		/* Asking again gives the same. */
		char again[64 * 1024];

		assert_int_equal(eventlog_read(w->slot, r, *offset, again, n), n);
		assert_memory_equal(again, bytes + done, n);
		*offset += n;
		done += n;
	}
	bytes[done] = '\0';
	assert_false(eventlog_has_more(w->slot, r));
	return done;
}

static void test_a_slow_reader(void **state)
{
	static const size_t steps[] = {1, 7, 4096};
	static char bytes[64 * 1024];
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct eventlog_reader *r;
		uint64_t offset = 0;
		unsigned n_before;
		char expected[128];

		eventlog_clear(w->slot);
		r = eventlog_open(w->slot);
		n_before = (unsigned)eventlog_end(w->slot).n;
		for (unsigned k = 1; k <= 3; k++)
			append(w->slot, k, 100);
		/* One line, and the half of another. */
		while (offset < 150)
			offset += eventlog_read(w->slot, r, offset, bytes,
						steps[i] < 150 - offset ? steps[i] : 150 - offset);
		for (unsigned k = 4; k <= 40; k++)
			append(w->slot, k, 1000);
		assert_true(eventlog_has_more(w->slot, r));
		read_all(w, r, &offset, bytes, steps[i]);
		snprintf(expected, sizeof(expected),
			 "\n{\"type\":\"lost\",\"metadata\":{\"events\":%u}}\n%u.",
			 (unsigned)eventlog_begin(w->slot).n - n_before - 1,
			 (unsigned)eventlog_begin(w->slot).n - n_before + 1);
		assert_memory_equal(bytes, expected, strlen(expected));
		assert_int_equal(bytes[strlen(bytes) - 1], '\n');
		/* It goes on, and may be too slow again. */
		append(w->slot, 41, 100);
		assert_int_equal(read_all(w, r, &offset, bytes, steps[i]), 100);
		for (unsigned k = 42; k <= 80; k++)
			append(w->slot, k, 1000);
		read_all(w, r, &offset, bytes, steps[i]);
		snprintf(expected, sizeof(expected),
			 "{\"type\":\"lost\",\"metadata\":{\"events\":%u}}\n%u.",
			 (unsigned)eventlog_begin(w->slot).n - n_before - 41,
			 (unsigned)eventlog_begin(w->slot).n - n_before + 1);
		assert_memory_equal(bytes, expected, strlen(expected));
		eventlog_close(w->slot, r);
	}
}

static void test_readers(void **state)
{
	struct world *w = *state;
	struct eventlog_reader *r = eventlog_open(w->slot);
	uint64_t id = r->id;
	char bytes[256];

	append(w->slot, 1, 100);
	eventlog_seek_end(w->slot, r);
	assert_false(eventlog_has_more(w->slot, r));
	assert_true(r->has_seen_end);
	append(w->slot, 2, 100);
	assert_true(eventlog_has_more(w->slot, r));
	assert_int_equal(eventlog_read(w->slot, r, 100, bytes, sizeof(bytes)), 100);
	assert_int_equal(eventlog_read(w->slot, r, 200, bytes, sizeof(bytes)), 0);
	assert_int_equal(eventlog_read(w->slot, r, 5000, bytes, sizeof(bytes)), 0);
	eventlog_close(w->slot, r);
	assert_null(eventlog_reader(w->slot, id));
	assert_null(eventlog_reader(w->slot, 0));
	for (size_t i = 0; i < EVENTLOG_READERS_MAX; i++)
		assert_non_null(r = eventlog_open(w->slot));
	assert_null(eventlog_open(w->slot));
	assert_int_equal(eventlog_n_readers(w->slot), EVENTLOG_READERS_MAX);
	eventlog_close(w->slot, r);
	r = eventlog_open(w->slot);
	assert_non_null(r);
	assert_int_not_equal(r->id, id);
}

int main(void)
{
#define TEST(T) cmocka_unit_test_setup_teardown(T, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_lines_go_whole),
		TEST(test_where_nobody_listens),
		TEST(test_nobody_listens_any_more),
		TEST(test_what_was_kept),
		TEST(test_another_layout),
		TEST(test_a_slow_reader),
		TEST(test_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
