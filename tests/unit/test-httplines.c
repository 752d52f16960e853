/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A reply as lines, however it is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/httplines.h"

#define LINE_MAX_BYTES 16

/* Feeds @text in pieces of @step bytes and then its end; lines are joined by "|". Returns what feeding did. */
static int read_all(const char *text, size_t n, size_t step, struct buf *lines,
		    unsigned *ret_status)
{
	struct httplines h;
	int r = 0;

	httplines_init(&h, LINE_MAX_BYTES);
	for (size_t i = 0; r == 0 && i <= n && !httplines_is_done(&h); i += step) {
		size_t part = n - i < step ? n - i : step, len;
		_cleanup_(freep) char *bytes = malloc(part + 1); /* exact, for ASan */
		char *line;

		memcpy(bytes, text + i, part);
		r = httplines_feed(&h, bytes, part);
		while (r == 0 && (line = httplines_next(&h, &len))) {
			assert_int_equal(strlen(line), len);
			assert_int_equal(buf_printf(lines, "%s|", line), 0);
		}
		/* The end comes as no bytes, once. */
		if (part < step || i + part == n)
			break;
	}
	if (r == 0 && !httplines_is_done(&h)) {
		size_t len;
		char *line;

		r = httplines_feed(&h, NULL, 0);
		while (r == 0 && (line = httplines_next(&h, &len)))
			assert_int_equal(buf_printf(lines, "%s|", line), 0);
	}
	*ret_status = httplines_status(&h);
	httplines_finish(&h);
	httplines_finish(&h);
	return r;
}

#define OK      "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
	const char *text;
	int result;
	unsigned status;
	const char *lines;
} replies[] = {
	{CHUNKED "4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n", 0, 200, "one|two|"},
	{CHUNKED "8\r\none\ntwo\n\r\n0\r\n\r\n", 0, 200, "one|two|"},
	/* Chunks are no lines. */
	{CHUNKED "1\r\no\r\n3\r\nne\n\r\n2;x=y\r\ntw\r\n2\r\no\n\r\n0\r\n", 0, 200, "one|two|"},
	{CHUNKED "3\r\n\n\n\n\r\n0\r\n", 0, 200, "|||"},
	{CHUNKED "3\r\none\r\n0\r\n", 0, 200, "one|"},
	{CHUNKED "0\r\n", 0, 200, ""},
	{CHUNKED "4\r\none\n\r\n", -ECONNRESET, 200, "one|"},
	{CHUNKED "4\r\none\nX\r\n", -EPROTO, 200, NULL},
	{CHUNKED "x\r\n", -EPROTO, 200, ""},
	{OK "Content-Length: 8\r\n\r\none\ntwo\nthree", 0, 200, "one|two|"},
	{OK "Content-Length: 3\r\n\r\none", 0, 200, "one|"},
	{OK "Content-Length: 9\r\n\r\none\ntwo\n", -ECONNRESET, 200, "one|two|"},
	{OK "Content-Length: 0\r\n\r\n", 0, 200, ""},
	{OK "\r\none\ntwo", 0, 200, "one|two|"},
	{"HTTP/1.1 100 Continue\r\n\r\n" OK "\r\none\n", 0, 200, "one|"},
	{"HTTP/1.1 204 No\r\n\r\n", 0, 204, ""},
	{"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nnone\n", 0, 404, "none|"},
	{OK "no colon\r\n", -EPROTO, 0, ""},
	{"SSH-2.0\r\n", -EPROTO, 200, NULL},
	{OK "X: y\r\n", -ECONNRESET, 0, ""},
	{"", -ECONNRESET, 0, ""},
	/* As long as may be, and longer. */
	{OK "\r\n0123456789abcdef\n", 0, 200, "0123456789abcdef|"},
	{OK "\r\n0123456789abcdefg", -EPROTO, 200, ""},
	{OK "\r\n0123456789abcdefg\n", -EPROTO, 200, ""},
	{CHUNKED "10\r\n0123456789abcdef\r\n1\r\ng\r\n", -EPROTO, 200, ""},
};

static void test_replies(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		for (size_t step = 1; step < 200; step = step < 5 ? step + 1 : step * 3) {
			_cleanup_(buf_finish) struct buf lines = {0};
			unsigned status;
			int r = read_all(replies[i].text, strlen(replies[i].text), step, &lines,
					 &status);

			if (r != replies[i].result)
				print_error("reply %zu by %zu\n", i, step);
			assert_int_equal(r, replies[i].result);
			if (!replies[i].lines)
				continue;
			assert_int_equal(status, replies[i].status);
			assert_string_equal(lines.data ?: "", replies[i].lines);
		}
	}
}

/* Of two pieces, at each place. */
static void test_cut_anywhere(void **state)
{
	const char *text = replies[2].text;
	size_t n = strlen(text);

	for (size_t cut = 1; cut < n; cut++) {
		struct httplines h;
		size_t len;

		httplines_init(&h, LINE_MAX_BYTES);
		assert_int_equal(httplines_feed(&h, text, cut), 0);
		for (int k = 0; k < 2; k++)
			(void)httplines_next(&h, &len);
		assert_int_equal(httplines_feed(&h, text + cut, n - cut), 0);
		while (httplines_next(&h, &len))
			continue;
		assert_true(httplines_is_done(&h));
		httplines_finish(&h);
	}
}

static void test_endless_head(void **state)
{
	struct httplines h;
	int r;

	httplines_init(&h, LINE_MAX_BYTES);
	assert_int_equal(httplines_feed(&h, OK, strlen(OK)), 0);
	for (int i = 0; (r = httplines_feed(&h, "X: y\r\n", 6)) == 0; i++)
		assert_true(i < 1000);
	assert_int_equal(r, -EPROTO);
	httplines_finish(&h);
	httplines_init(&h, LINE_MAX_BYTES);
	for (int i = 0; (r = httplines_feed(&h, "HTTP/1.1 200 OK ", 16)) == 0; i++)
		assert_true(i < 10000);
	assert_int_equal(r, -EPROTO);
	httplines_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_endless_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
