/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GET and PATCH /1.0: the wire form, whose Ready it is, and bodies read as Go reads them. */
#include "asking.h"

static struct snapshot *container(void)
{
	return records_snapshot(records_new("web1", NO_PAIRS), NULL);
}

static void test_get(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = container();
	struct record *vm_record = records_new("vm1", NO_PAIRS);
	_cleanup_(snapshot_unrefp) struct snapshot *vm = NULL;

	vm_record->type = INSTANCE_VM;
	vm = records_snapshot(vm_record, NULL);
	assert_answer(s, "GET", "/1.0", 200,
		      "{\"state\":\"Started\",\"api_version\":\"1.0\","
		      "\"instance_type\":\"container\",\"location\":\"host1\","
		      "\"auth\":\"untrusted\",\"supported_storage_drivers\":[]}\n");
	assert_answer(vm, "HEAD", "/1.0", 200,
		      "{\"state\":\"Started\",\"api_version\":\"1.0\","
		      "\"instance_type\":\"virtual-machine\",\"location\":\"host1\","
		      "\"auth\":\"untrusted\",\"supported_storage_drivers\":[]}\n");
}

static bool says_ready(struct instance *i, struct snapshot *s)
{
	_cleanup_(reply_finish) struct reply reply = {0};

	ask_as(i, s, "GET", "/1.0", "", &reply);
	assert_int_equal(reply.outcome, OUTCOME_OK);
	assert_int_equal(reply.kind, REPLY_JSON);
	return strstr(reply.body, "{\"state\":\"Ready\",") == reply.body;
}

static void test_ready_belongs_to_the_boot(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = container();
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	struct boot earlier = asking_boot;

	earlier.init_start--;
	assert_false(says_ready(i, s));
	instance_set_ready(i, &earlier, true);
	assert_false(says_ready(i, s));
	instance_set_ready(i, &asking_boot, true);
	assert_true(says_ready(i, s));
}

/* Sends PATCH /1.0; an @expected of NULL is success. Returns how often the store was told. */
static unsigned patch(const char *body, unsigned status, const char *expected)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = container();
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	_cleanup_(reply_finish) struct reply reply = {0};

	asking_store.n_calls = 0;
	ask_as(i, s, "PATCH", "/1.0", body, &reply);
	if (asking_store.n_calls > 0) {
		assert_ptr_equal(asking_store.instance, i);
		assert_ptr_equal(asking_store.boot, &asking_boot);
	}
	if (expected)
		assert_string_equal(reply.body, expected);
	else
		assert_int_equal(reply.body_len, 0);
	assert_int_equal(outcome_status(reply.outcome), status);
	return asking_store.n_calls;
}

static void assert_patched(const char *body, bool ready)
{
	assert_int_equal(patch(body, 200, NULL), 1);
	assert_int_equal(asking_store.ready, ready);
}

static void test_patch(void **state)
{
	asking_store.result = 0;
	assert_patched("{\"state\":\"Ready\"}", true);
	assert_patched("{\"state\":\"Started\"}", false);
}

static void test_patch_reads_like_go(void **state)
{
	asking_store.result = 0;
	assert_patched("{\"STATE\":\"Ready\"}", true);
	assert_patched("{\"state\":\"Ready\",\"state\":\"Started\"}", false);
	assert_patched("{\"state\":\"x\",\"State\":\"Ready\"}", true);
	assert_patched("{\"x\":{\"state\":1},\"state\":\"Ready\"}", true);
	assert_patched(" \n{\"state\":\"Ready\"}} trailing \xff", true);
}

static void assert_bad_body(const char *body, const char *expected)
{
	assert_int_equal(patch(body, 400, expected), 0);
}

static void test_bad_states(void **state)
{
	assert_bad_body("{}", "Invalid state \"\"\n");
	assert_bad_body("null", "Invalid state \"\"\n");
	assert_bad_body("{\"state\":null}", "Invalid state \"\"\n");
	assert_bad_body("{\"state\":\"ready\"}", "Invalid state \"ready\"\n");
	assert_bad_body("{\"state\":\"Ready\\u0000\"}", "Invalid state \"Ready\\x00\"\n");
	assert_bad_body("{\"state\":\"\\\"\\u001b[m%s\"}", "Invalid state \"\\\"\\x1b[m%s\"\n");
}

static void test_bad_bodies(void **state)
{
	assert_bad_body("", "Invalid request body: EOF\n");
	assert_bad_body(" \r\n\t", "Invalid request body: EOF\n");
	assert_bad_body("{\"state\":\"Ready\"", "Invalid request body: unexpected EOF\n");
	assert_bad_body("state=Ready", "Invalid request body: invalid token near 'state'\n");
	assert_bad_body("[]", "Invalid request body: not an object\n");
	assert_bad_body("7", "Invalid request body: not an object\n");
	assert_bad_body("{\"state\":1}", "Invalid request body: state is not a string\n");
}

static void test_store_trouble(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = container();
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	_cleanup_(reply_finish) struct reply reply = {0};

	asking_store.result = -ENOSPC;
	ask_as(i, s, "PATCH", "/1.0", "{\"state\":\"Ready\"}", &reply);
	asking_store.result = 0;
	assert_string_equal(reply.body, "Failed setting instance state: No space left on device\n");
	assert_int_equal(reply.outcome, OUTCOME_INTERNAL);
	assert_int_equal(reply.error, -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_ready_belongs_to_the_boot),
		cmocka_unit_test(test_patch),
		cmocka_unit_test(test_patch_reads_like_go),
		cmocka_unit_test(test_bad_states),
		cmocka_unit_test(test_bad_bodies),
		cmocka_unit_test(test_store_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
