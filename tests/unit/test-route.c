/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dispatch: which route, which refusal, in which order; and the guest's table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "asking.h"

static int answer_params(const struct request *request, struct reply *reply)
{
	_cleanup_(buf_finish) struct buf b = {0};
	int r = buf_puts(&b, "params");

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(request->params) && request->params[i]; i++)
		r = buf_printf(&b, " %s", request->params[i]);
	return r < 0 ? r : reply_bytes(reply, REPLY_TEXT, &b);
}

static int fail_half_way(const struct request *request, struct reply *reply)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(buf_puts(&b, "half"), 0);
	assert_int_equal(reply_bytes(reply, REPLY_RAW, &b), 0);
	return -EIO;
}

static const struct route rows[] = {
	{.method = METHOD_GET, .path = "/", .handler = answer_params},
	{.method = METHOD_GET, .path = "/a", .handler = answer_params},
	{.method = METHOD_PATCH, .path = "/a", .handler = answer_params},
	{.method = METHOD_DELETE, .path = "/a/{x}/b/{y}", .handler = answer_params},
	{.method = METHOD_POST, .path = "/a/{x}", .handler = answer_params},
	{.method = METHOD_GET, .path = "/always", .handler = answer_params, .flags = ROUTE_ALWAYS},
	{.method = METHOD_GET, .path = "/fails", .handler = fail_half_way},
};
static const struct route_table table = {.routes = rows, .n_routes = ARRAY_SIZE(rows)};

static void dispatch(struct instance *i, struct snapshot *s, const char *method, const char *text,
		     struct reply *ret)
{
	_cleanup_(target_finish) struct target target = {0};
	struct request request = {
		.method = method_parse(method),
		.target = &target,
		.body = "",
		.instance = i,
		.snapshot = s,
	};

	assert_int_equal(target_parse(text, strlen(text), &target), 0);
	route_dispatch(&table, &request, method, ret);
}

/* Asks without an instance, as the host does. */
static void assert_reply(const char *method, const char *target, enum outcome outcome,
			 const char *body, const char *allow)
{
	_cleanup_(reply_finish) struct reply r = {0};

	dispatch(NULL, NULL, method, target, &r);
	assert_int_equal(r.body_len, strlen(body));
	assert_memory_equal(r.body, body, r.body_len);
	assert_int_equal(r.outcome, outcome);
	if (allow)
		assert_string_equal(r.allow, allow);
	else
		assert_null(r.allow);
}

static void test_found(void **state)
{
	assert_reply("GET", "/", OUTCOME_OK, "params", NULL);
	assert_reply("GET", "/a", OUTCOME_OK, "params", NULL);
	assert_reply("HEAD", "/a", OUTCOME_OK, "params", NULL);
	assert_reply("PATCH", "/a?x=y", OUTCOME_OK, "params", NULL);
	assert_reply("POST", "/a/b%2Fc", OUTCOME_OK, "params b/c", NULL);
	assert_reply("DELETE", "/a/1/b/%7Bx%7D", OUTCOME_OK, "params 1 {x}", NULL);
}

static void test_not_found(void **state)
{
	static const char *const targets[] = {
		"/b", "/a/", "/aa", "/%41", "/a/1/", "/a/1/b", "/a/1/b/", "/a/1/c/2", "/a/1/b/2/3",
	};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		assert_reply("GET", targets[i], OUTCOME_NOT_FOUND, "Not Found\n", NULL);
	assert_reply("OPTIONS", "/b", OUTCOME_NOT_FOUND, "Not Found\n", NULL);
}

static void test_methods(void **state)
{
	assert_reply("PUT", "/a", OUTCOME_NOT_IMPLEMENTED, "Not Implemented\n", "GET, HEAD, PATCH");
	assert_reply("HEAD", "/a/1", OUTCOME_NOT_IMPLEMENTED, "Not Implemented\n", "POST");
	assert_reply("GET", "/a/1/b/2", OUTCOME_NOT_IMPLEMENTED, "Not Implemented\n", "DELETE");
	assert_reply("OPTIONS", "/a", OUTCOME_NOT_FOUND, "Method \"OPTIONS\" not found\n", NULL);
	assert_reply("get", "/a", OUTCOME_NOT_FOUND, "Method \"get\" not found\n", NULL);
	assert_reply("A\"B", "/", OUTCOME_NOT_FOUND, "Method \"A\\\"B\" not found\n", NULL);
}

static void test_failing_handler_leaves_nothing(void **state)
{
	_cleanup_(reply_finish) struct reply r = {0};

	dispatch(NULL, NULL, "GET", "/fails", &r);
	assert_int_equal(r.outcome, OUTCOME_INTERNAL);
	assert_int_equal(r.error, -EIO);
	assert_int_equal(r.body_len, strlen("Internal Server Error\n"));
	assert_memory_equal(r.body, "Internal Server Error\n", r.body_len);
}

static void assert_guest(struct snapshot *s, const char *method, const char *target,
			 enum outcome outcome)
{
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	_cleanup_(reply_finish) struct reply r = {0};

	dispatch(i, s, method, target, &r);
	assert_int_equal(r.outcome, outcome);
}

static void test_devlxd_off(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *on =
		records_snapshot(records_new("web1", NO_PAIRS), NULL);
	_cleanup_(snapshot_unrefp) struct snapshot *off =
		records_snapshot(records_new("web1", PAIRS("security.devlxd", "false")), NULL);
	_cleanup_(snapshot_unrefp) struct snapshot *no_socket = records_snapshot(
		records_new("web1", PAIRS("security.devlxd.socket", "false")), NULL);
	struct snapshot *refused[] = {off, no_socket, NULL};

	assert_guest(on, "GET", "/a", OUTCOME_OK);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		assert_guest(refused[i], "GET", "/a", OUTCOME_FORBIDDEN);
		assert_guest(refused[i], "PATCH", "/a", OUTCOME_FORBIDDEN);
		assert_guest(refused[i], "GET", "/always", OUTCOME_OK);
		assert_guest(refused[i], "PUT", "/a", OUTCOME_NOT_IMPLEMENTED);
		assert_guest(refused[i], "GET", "/nope", OUTCOME_NOT_FOUND);
	}
}

static void test_guest_table(void **state)
{
	const struct route_table *guest = guest_routes();

	for (size_t i = 0; i < guest->n_routes; i++) {
		const struct route *row = &guest->routes[i], *before = i ? row - 1 : NULL;
		int order = before ? strcmp(before->path, row->path) : -1;

		assert_true(order < 0 || (order == 0 && before->method < row->method));
		assert_non_null(row->handler);
		assert_non_null(row->help);
		assert_in_range(strlen(row->help), 1, 60);
		assert_int_not_equal(row->method, METHOD_OTHER);
		assert_int_not_equal(row->method, METHOD_HEAD); /* comes with GET */
	}
}

static void test_guest_answers(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		records_snapshot(records_new("web1", NO_PAIRS), NULL);

	assert_answer(s, "GET", "/", 200, "[\"/1.0\"]\n");
	assert_answer(s, "GET", "http://meshuggah-rocks/", 200, "[\"/1.0\"]\n");
	assert_answer(s, "GET", "/1.0/ubuntu-pro", 200, "{\"guest_attach\":\"off\"}\n");
	assert_answer(s, "POST", "/1.0/ubuntu-pro/token", 403,
		      "Failed getting an Ubuntu Pro guest token: Guest attachment not allowed\n");
	assert_answer(s, "GET", "/1.0/ubuntu-pro/token", 501, "Not Implemented\n");
	assert_answer(s, "POST", "/1.0/events", 501, "Not Implemented\n");
	assert_answer(s, "GET", "/2.0", 404, "Not Found\n");
	assert_answer(s, "GET", "/1.0/", 404, "Not Found\n");
	assert_answer(s, "GET", "/1.0/config/", 404, "Not Found\n");
	assert_answer(s, "GET", "/1.0/config/user.a/b", 404, "Not Found\n");
	assert_answer(s, "GET", "/1.0//config", 200, "[]\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_not_found),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_failing_handler_leaves_nothing),
		cmocka_unit_test(test_devlxd_off),
		cmocka_unit_test(test_guest_table),
		cmocka_unit_test(test_guest_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
