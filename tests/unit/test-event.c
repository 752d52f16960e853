/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events: the exact line of each kind, and which ones somebody wants
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "alloc.h"
#include "core/diff.h"
#include "core/event.h"
#include "records.h"

#define HEAD(TYPE) "{\"type\":\"" TYPE "\",\"timestamp\":\"2026-08-22T10:00:00.000000012+01:00\","

/* 2026-08-22 10:00 in a zone one hour east. */
static const struct event_options at_ten = {.time = {1787389200, 12}};

static int set_zone(void **state)
{
	setenv("TZ", "XST-1", 1);
	tzset();
	return 0;
}

static void assert_line(const struct change *c, struct event_options o, const char *expected)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(event_put_change(&b, c, &o), 0);
	assert_string_equal(b.data, expected);
}

static void test_config(void **state)
{
	const struct change c = {.kind = CHANGE_CONFIG,
				 .action = CHANGE_UPDATED,
				 .name = "user.a\"",
				 .old_value = "<1>",
				 .old_len = 3,
				 .new_value = "2\0\n",
				 .new_len = 3};
	const struct change added = {.kind = CHANGE_CONFIG,
				     .action = CHANGE_ADDED,
				     .name = "user.b",
				     .new_value = "1",
				     .new_len = 1};
	struct event_options o = at_ten;

	assert_line(&c, o,
		    HEAD("config") "\"metadata\":{\"key\":\"user.a\\\"\",\"old_value\":"
				   "\"\\u003c1\\u003e\",\"value\":\"2\\u0000\\n\"}}\n");
	assert_line(&added, o,
		    HEAD("config") "\"metadata\":{\"key\":\"user.b\",\"old_value\":\"\","
				   "\"value\":\"1\"}}\n");
	o.instance = "web1";
	o.without_values = true;
	assert_line(&c, o,
		    HEAD("config") "\"metadata\":{\"key\":\"user.a\\\"\"},\"instance\":"
				   "\"web1\"}\n");
	o.is_truncated = true;
	assert_line(&added, o,
		    HEAD("config") "\"metadata\":{\"key\":\"user.b\",\"truncated\":true},"
				   "\"instance\":\"web1\"}\n");
}

static void test_device(void **state)
{
	_cleanup_(table_unrefp) struct table *config =
		records_table(PAIRS("type", "nic", "network", "br0"));
	struct change c = {.kind = CHANGE_DEVICE,
			   .action = CHANGE_ADDED,
			   .name = "eth0",
			   .new_config = config};
	struct event_options o = at_ten;

	assert_line(&c, o,
		    HEAD("device") "\"metadata\":{\"action\":\"added\",\"config\":{\"network\":"
				   "\"br0\",\"type\":\"nic\"},\"name\":\"eth0\"}}\n");
	c.action = CHANGE_UPDATED;
	o.without_values = true;
	assert_line(&c, o,
		    HEAD("device") "\"metadata\":{\"action\":\"updated\",\"name\":\"eth0\"}}\n");
	c = (struct change){.kind = CHANGE_DEVICE,
			    .action = CHANGE_REMOVED,
			    .name = "eth0",
			    .old_config = NULL};
	assert_line(&c, at_ten,
		    HEAD("device") "\"metadata\":{\"action\":\"removed\",\"config\":{},"
				   "\"name\":\"eth0\"}}\n");
}

static void test_a_long_name(void **state)
{
	char name[3000];
	struct change c = {.kind = CHANGE_CONFIG, .name = name};
	struct event_options o = at_ten;
	_cleanup_(buf_finish) struct buf b = {0};

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	o.is_truncated = true;
	assert_int_equal(event_put_change(&b, &c, &o), 0);
	assert_string_equal(b.data, HEAD("config") "\"metadata\":{\"key\":\"\",\"truncated\":"
						   "true}}\n");
}

static void test_lifecycle(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};
	struct event_options o = at_ten;

	o.instance = "web1";
	assert_int_equal(event_put_lifecycle(&b, LIFECYCLE_RECORD_REJECTED, "web1", "a \"b\"", &o),
			 0);
	assert_string_equal(b.data,
			    HEAD("lifecycle") "\"metadata\":{\"action\":\"record-rejected\","
					      "\"source\":\"/1.0/instances/web1\",\"context\":{"
					      "\"reason\":\"a \\\"b\\\"\"}},\"instance\":"
					      "\"web1\"}\n");
	buf_finish(&b);
	setenv("TZ", "UTC", 1);
	tzset();
	assert_int_equal(event_put_lifecycle(&b, LIFECYCLE_IDENTITY_REFUSED, NULL, NULL, &at_ten),
			 0);
	assert_string_equal(b.data,
			    "{\"type\":\"lifecycle\",\"timestamp\":\"2026-08-22T09:00:00."
			    "000000012Z\",\"metadata\":{\"action\":\"identity-refused\"}}\n");
	for (enum lifecycle i = 0; i < _LIFECYCLE_N; i++)
		assert_non_null(lifecycle_name(i));
}

static void test_types(void **state)
{
	static const char line[] = HEAD("device");

	assert_int_equal(event_types_parse(NULL), EVENT_TYPES_DEFAULT);
	assert_int_equal(event_types_parse(""), EVENT_TYPES_DEFAULT);
	assert_int_equal(event_types_parse("device"), EVENT_TYPE_BIT(EVENT_DEVICE));
	assert_int_equal(event_types_parse("lifecycle,config"),
			 EVENT_TYPE_BIT(EVENT_LIFECYCLE) | EVENT_TYPE_BIT(EVENT_CONFIG));
	/* No trimming, no prefixes; what is unknown never matches. */
	assert_int_equal(event_types_parse(" device,conf,configs,,operation"), 0);
	assert_true(event_is_of(line, strlen(line), EVENT_TYPES_DEFAULT));
	assert_false(event_is_of(line, strlen(line), EVENT_TYPE_BIT(EVENT_CONFIG)));
	assert_false(event_is_of(line, 10, EVENT_TYPES_ALL));
	assert_false(event_is_of("", 0, EVENT_TYPES_ALL));
	assert_string_equal(event_type_name(EVENT_LIFECYCLE), "lifecycle");
}

static void test_whom_it_concerns(void **state)
{
	assert_true(event_is_for_guest(&(struct change){.kind = CHANGE_CONFIG, .name = "user.a"}));
	assert_false(event_is_for_guest(&(struct change){.kind = CHANGE_CONFIG, .name = "user"}));
	assert_false(event_is_for_guest(
		&(struct change){.kind = CHANGE_CONFIG, .name = "cloud-init.user-data"}));
	assert_true(event_is_for_guest(&(struct change){.kind = CHANGE_DEVICE, .name = "a"}));
}

static void test_no_memory(void **state)
{
	struct event_options o = at_ten;
	const struct change c = {.kind = CHANGE_CONFIG, .name = "user.a"};
	int r = 0;

	o.instance = "web1";
	ALLOC_WALK(r == -ENOMEM)
	{
		_cleanup_(buf_finish) struct buf b = {0};

		r = event_put_change(&b, &c, &o);
	}
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_config, set_zone),
		cmocka_unit_test_setup(test_device, set_zone),
		cmocka_unit_test_setup(test_a_long_name, set_zone),
		cmocka_unit_test_setup(test_lifecycle, set_zone),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_whom_it_concerns),
		cmocka_unit_test_setup(test_no_memory, set_zone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
