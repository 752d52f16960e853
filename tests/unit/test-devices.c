/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GET /1.0/devices: every key, sorted, strings only; the address filled in for NICs alone. */
#include "asking.h"

static void test_none(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		records_snapshot(records_new("web1", NO_PAIRS), NULL);

	assert_answer(s, "GET", "/1.0/devices", 200, "{}\n");
}

static void test_all_keys(void **state)
{
	struct record *record = records_new("web1", NO_PAIRS);
	_cleanup_(record_unrefp) struct record *profile = records_new("p", NO_PAIRS);
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	records_add_device(
		record, "data",
		PAIRS("type", "disk", "source", "/x <&> \"y\"", "path", "/mnt", "user.n", "1"));
	records_add_device(record, "nothing", NO_PAIRS);
	records_add_device(profile, "data", PAIRS("type", "disk", "pool", "hidden"));
	records_add_device(profile, "root", PAIRS("type", "disk", "path", "/"));
	s = records_snapshot(record, profile);
	assert_answer(s, "GET", "/1.0/devices", 200,
		      "{\"data\":{\"path\":\"/mnt\",\"source\":\"/x <&> \\\"y\\\"\","
		      "\"type\":\"disk\",\"user.n\":\"1\"},\"nothing\":{},"
		      "\"root\":{\"path\":\"/\",\"type\":\"disk\"}}\n");
}

static void test_hwaddr(void **state)
{
	struct record *record = records_new(
		"web1", PAIRS("volatile.eth0.hwaddr", "00:16:3e:00:00:00", "volatile.eth1.hwaddr",
			      "00:16:3e:00:00:01", "volatile.eth2.hwaddr", "00:16:3e:00:00:02",
			      "volatile.root.hwaddr", "00:16:3e:00:00:03"));
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	records_add_device(record, "eth0", PAIRS("type", "nic", "a", "1", "network", "br0"));
	records_add_device(record, "eth1", PAIRS("type", "nic", "hwaddr", "own"));
	records_add_device(record, "eth2", PAIRS("hwaddr", "", "type", "nic"));
	records_add_device(record, "eth3", PAIRS("type", "nic"));
	records_add_device(record, "root", PAIRS("type", "disk"));
	s = records_snapshot(record, NULL);
	assert_answer(s, "GET", "/1.0/devices", 200,
		      "{\"eth0\":{\"a\":\"1\",\"hwaddr\":\"00:16:3e:00:00:00\",\"network\":\"br0\","
		      "\"type\":\"nic\"},"
		      "\"eth1\":{\"hwaddr\":\"own\",\"type\":\"nic\"},"
		      "\"eth2\":{\"hwaddr\":\"00:16:3e:00:00:02\",\"type\":\"nic\"},"
		      "\"eth3\":{\"type\":\"nic\"},"
		      "\"root\":{\"type\":\"disk\"}}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_hwaddr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
