/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replies: every outcome has its status, every body its owner and its type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "api/reply.h"
#include "records.h"

static void assert_body(const struct reply *r, const char *expected)
{
	assert_int_equal(r->body_len, strlen(expected));
	assert_memory_equal(r->body, expected, r->body_len);
}

static void test_outcomes(void **state)
{
	static const unsigned expected[_OUTCOME_N] = {
		[OUTCOME_OK] = 200,
		[OUTCOME_PARTIAL] = 206,
		[OUTCOME_NOT_MODIFIED] = 304,
		[OUTCOME_BAD_REQUEST] = 400,
		[OUTCOME_UNAUTHORIZED] = 401,
		[OUTCOME_FORBIDDEN] = 403,
		[OUTCOME_NOT_FOUND] = 404,
		[OUTCOME_CONFLICT] = 409,
		[OUTCOME_FAILED_CONDITION] = 412,
		[OUTCOME_TOO_LARGE] = 413,
		[OUTCOME_BAD_RANGE] = 416,
		[OUTCOME_TOO_MANY] = 429,
		[OUTCOME_INTERNAL] = 500,
		[OUTCOME_NOT_IMPLEMENTED] = 501,
		[OUTCOME_UNAVAILABLE] = 503,
	};

	for (enum outcome o = 0; o < _OUTCOME_N; o++) {
		_cleanup_(reply_finish) struct reply r = {0};

		assert_int_equal(outcome_status(o), expected[o]);
		assert_non_null(outcome_phrase(o));
		assert_int_equal(outcome_is_error(o), expected[o] >= 400);
		if (!outcome_is_error(o))
			continue;
		reply_error(&r, o, NULL);
		assert_int_equal(r.outcome, o);
		assert_int_equal(r.body_len, strlen(outcome_phrase(o)) + 1);
		assert_memory_equal(r.body, outcome_phrase(o), r.body_len - 1);
		assert_int_equal(r.body[r.body_len - 1], '\n');
		assert_string_equal(reply_content_type(&r), "text/plain; charset=utf-8");
		assert_int_equal(r.retry_after_s, o == OUTCOME_TOO_MANY);
	}
}

static void test_zeroed_is_an_empty_ok(void **state)
{
	struct reply r = {0};

	assert_int_equal(r.outcome, OUTCOME_OK);
	assert_string_equal(reply_content_type(&r), "application/octet-stream; charset=utf-8");
	reply_finish(&r);
	reply_finish(&r);
}

/* The snapshot's own bytes are sent, NUL and all, and live until the reply is done. */
static void test_value_is_borrowed(void **state)
{
	struct record *record = records_new("web1", NO_PAIRS);
	struct table_pair pair = {"user.a", "a\0%s\n", 5};
	struct snapshot *s;
	struct reply r = {0};
	const char *value;
	size_t n;

	table_unref(record->config);
	assert_int_equal(table_new(&pair, 1, &record->config), 0);
	s = records_snapshot(record, NULL);
	value = snapshot_config(s, "user.a", &n);
	reply_value(&r, s, value, n);
	snapshot_unref(s);
	assert_ptr_equal(r.body, value);
	assert_int_equal(r.body_len, 5);
	assert_memory_equal(r.body, "a\0%s\n", 5);
	reply_finish(&r);
	assert_null(r.body);
}

static void test_bytes_and_json(void **state)
{
	_cleanup_(reply_finish) struct reply r = {0};
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(buf_append(&b, "x\0y", 3), 0);
	assert_int_equal(reply_bytes(&r, REPLY_RAW, &b), 0);
	assert_null(b.data);
	assert_int_equal(r.body_len, 3);
	assert_memory_equal(r.body, "x\0y", 3);

	assert_int_equal(reply_json(&r, json_pack("{s:i, s:[]}", "b", 1, "a")), 0);
	assert_body(&r, "{\"a\":[],\"b\":1}\n");
	assert_string_equal(reply_content_type(&r), "application/json");
	assert_int_equal(reply_json(&r, NULL), -ENOMEM);

	reply_constant(&r, REPLY_JSON, "[]\n");
	assert_body(&r, "[]\n");
	r.content_type = "application/x-own";
	assert_string_equal(reply_content_type(&r), "application/x-own");
	reply_empty(&r);
	assert_int_equal(r.body_len, 0);
	assert_int_equal(r.outcome, OUTCOME_OK);
}

static void test_errors(void **state)
{
	_cleanup_(reply_finish) struct reply r = {0};

	reply_error(&r, OUTCOME_BAD_REQUEST, "Invalid state %s", "\"%s\"");
	assert_body(&r, "Invalid state \"%s\"\n");
	assert_int_equal(r.outcome, OUTCOME_BAD_REQUEST);

	reply_error_envelope(&r, OUTCOME_FORBIDDEN, NULL);
	assert_body(&r, "{\"type\":\"error\",\"status\":\"\",\"status_code\":0,\"operation\":\"\","
			"\"error_code\":403,\"error\":\"Forbidden\",\"metadata\":null}\n\n");
	assert_int_equal(r.outcome, OUTCOME_FORBIDDEN);
	assert_string_equal(reply_content_type(&r), "application/json");

	reply_error_envelope(&r, OUTCOME_NOT_FOUND, "no \"x\"");
	assert_non_null(strstr(r.body, "\"error_code\":404,\"error\":\"no \\\"x\\\"\","));
}

static void test_errors_need_no_memory(void **state)
{
	struct reply r = {0};

	alloc_arm(0);
	reply_error(&r, OUTCOME_BAD_REQUEST, "Invalid state %s", "x");
	alloc_arm(-1);
	assert_body(&r, "Bad Request\n");
	alloc_arm(0);
	reply_error_envelope(&r, OUTCOME_FORBIDDEN, NULL);
	alloc_arm(-1);
	assert_body(&r, "Forbidden\n");
	assert_int_equal(r.outcome, OUTCOME_FORBIDDEN);
	assert_null(r.owned);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_zeroed_is_an_empty_ok),
		cmocka_unit_test(test_value_is_borrowed),
		cmocka_unit_test(test_bytes_and_json),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_errors_need_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
