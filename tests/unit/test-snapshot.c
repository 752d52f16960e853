/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots: which layer wins, walks in order, and the words derived from config. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "records.h"

/* An instance over the profiles first and second, in this order. */
static struct snapshot *layered(void)
{
	_cleanup_(record_unrefp) struct record *first = records_new(
		"first", PAIRS("user.a", "1a", "user.b", "1b", "user.c", "1c", "user.e", "1e"));
	_cleanup_(record_unrefp) struct record *second =
		records_new("second", PAIRS("user.b", "2b", "user.c", "2c"));
	_cleanup_(record_unrefp) struct record *own =
		records_new("web1", PAIRS("user.c", "own", "user.d", "own", "user.e", "",
					  "volatile.eth0.hwaddr", "00:16:3e:00:00:01",
					  "volatile.eth1.hwaddr", ""));
	struct snapshot *s;

	records_add_device(first, "eth0", PAIRS("type", "nic", "network", "br0"));
	records_add_device(first, "root", PAIRS("type", "disk"));
	records_add_device(second, "eth0", PAIRS("type", "nic", "mtu", "9000"));
	records_add_device(own, "data", NO_PAIRS);
	s = snapshot_new(own, (struct record *[]){first, second}, 2, "uuid-1");
	assert_non_null(s);
	return s;
}

static void assert_value(const struct snapshot *s, const char *key, const char *expected)
{
	size_t len;
	const char *value = snapshot_config(s, key, &len);

	assert_non_null(value);
	assert_string_equal(value, expected);
	assert_int_equal(len, strlen(expected));
}

static void test_last_layer_wins(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = layered();

	assert_value(s, "user.a", "1a");
	assert_value(s, "user.b", "2b");
	assert_value(s, "user.c", "own");
	assert_value(s, "user.d", "own");
	assert_value(s, "user.e", "");
	assert_null(snapshot_config(s, "user.f", NULL));
}

static void test_walk_config(void **state)
{
	static const char *const expected[][2] = {
		{"user.a", "1a"},
		{"user.b", "2b"},
		{"user.c", "own"},
		{"user.d", "own"},
		{"user.e", ""},
		{"volatile.eth0.hwaddr", "00:16:3e:00:00:01"},
		{"volatile.eth1.hwaddr", ""},
	};
	_cleanup_(snapshot_unrefp) struct snapshot *s = layered();
	const char *key = NULL, *value;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_true(snapshot_config_next(s, &key, &value, &len));
		assert_string_equal(key, expected[i][0]);
		assert_string_equal(value, expected[i][1]);
		assert_int_equal(len, strlen(value));
	}
	assert_false(snapshot_config_next(s, &key, &value, &len));
}

static void test_walk_devices(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = layered();
	const struct table *config;
	const char *name = NULL;

	assert_true(snapshot_device_next(s, &name, &config));
	assert_string_equal(name, "data");
	assert_int_equal(table_size(config), 0);
	assert_true(snapshot_device_next(s, &name, &config));
	assert_string_equal(name, "eth0");
	assert_string_equal(table_get(config, "mtu", NULL), "9000");
	assert_null(table_get(config, "network", NULL));
	assert_true(snapshot_device_next(s, &name, &config));
	assert_string_equal(name, "root");
	assert_false(snapshot_device_next(s, &name, &config));
}

static void test_find_device(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = layered();
	const struct table *config, *walked;
	const char *name = NULL;

	while (snapshot_device_next(s, &name, &walked)) {
		assert_true(snapshot_device(s, name, &config));
		assert_ptr_equal(config, walked);
	}
	assert_false(snapshot_device(s, "", &config));
	assert_false(snapshot_device(s, "eth", &config));
	assert_false(snapshot_device(s, "eth00", &config));
	assert_false(snapshot_device(s, "zzz", &config));
}

static void test_written(void **state)
{
	struct record *record = records_new("web1", NO_PAIRS);
	_cleanup_(record_unrefp) struct record *profile = records_new("default", NO_PAIRS);
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	record->written = (struct timespec){100, 5};
	profile->written = (struct timespec){100, 7};
	s = records_snapshot(record, profile);
	assert_int_equal(snapshot_written(s).tv_sec, 100);
	assert_int_equal(snapshot_written(s).tv_nsec, 7);
}

static void test_empty(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		records_snapshot(records_new("web1", NO_PAIRS), NULL);
	const char *key = NULL, *value;
	const struct table *config;
	size_t len;

	assert_null(snapshot_unref(NULL));
	assert_null(snapshot_ref(NULL));
	assert_false(snapshot_config_next(s, &key, &value, &len));
	assert_false(snapshot_device_next(s, &key, &config));
	assert_null(snapshot_device_hwaddr(s, "eth0"));
}

static void test_names(void **state)
{
	char long_id[INSTANCE_ID_MAX + 10];
	_cleanup_(record_unrefp) struct record *r = records_new("web1", NO_PAIRS);
	_cleanup_(snapshot_unrefp) struct snapshot *s = layered();
	_cleanup_(snapshot_unrefp) struct snapshot *cut = NULL;

	assert_string_equal(snapshot_name(s), "web1");
	assert_string_equal(snapshot_hostname(s), "web1");
	assert_string_equal(snapshot_instance_id(s), "uuid-1");
	assert_string_equal(snapshot_record(s)->name, "web1");
	memset(long_id, 'x', sizeof(long_id) - 1);
	long_id[sizeof(long_id) - 1] = '\0';
	r->hostname = strdup("www");
	cut = snapshot_new(r, NULL, 0, long_id);
	assert_int_equal(strlen(snapshot_instance_id(cut)), INSTANCE_ID_MAX);
	assert_string_equal(snapshot_hostname(cut), "www");
}

static void test_hwaddr(void **state)
{
	char long_name[200];
	_cleanup_(snapshot_unrefp) struct snapshot *s = layered();

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_string_equal(snapshot_device_hwaddr(s, "eth0"), "00:16:3e:00:00:01");
	assert_null(snapshot_device_hwaddr(s, "eth1"));
	assert_null(snapshot_device_hwaddr(s, "eth2"));
	assert_null(snapshot_device_hwaddr(s, long_name));
}

static void assert_switches(const char *key, const char *value, bool devlxd, bool socket,
			    bool images)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		records_snapshot(records_new("web1", PAIRS(key, value)), NULL);

	assert_int_equal(snapshot_devlxd_is_on(s), devlxd);
	assert_int_equal(snapshot_socket_is_on(s), socket);
	assert_int_equal(snapshot_images_are_on(s), images);
}

static void test_switches(void **state)
{
	assert_switches("user.x", "1", true, true, false);
	assert_switches("security.devlxd", "true", true, true, false);
	assert_switches("security.devlxd", "", true, true, false);
	assert_switches("security.devlxd", "maybe", true, true, false);
	assert_switches("security.devlxd", "OFF", false, true, false);
	assert_switches("security.devlxd.socket", "true", true, true, false);
	assert_switches("security.devlxd.socket", "", true, true, false);
	assert_switches("security.devlxd.socket", "no", true, false, false);
	assert_switches("security.devlxd.images", "yes", true, true, true);
	assert_switches("security.devlxd.images", "maybe", true, true, true);
	assert_switches("security.devlxd.images", "", true, true, false);
	assert_switches("security.devlxd.images", "0", true, true, false);
}

static void test_bool(void **state)
{
	const struct table_pair pairs[] = {{"nul", "true\0x", 6}, {"on", "on", 2}, {"no", "No", 2}};
	_cleanup_(record_unrefp) struct record *r = record_new();
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	assert_int_equal(table_new(pairs, ARRAY_SIZE(pairs), &r->config), 0);
	s = snapshot_new(r, NULL, 0, "");
	assert_int_equal(snapshot_config_bool(s, "on"), 1);
	assert_int_equal(snapshot_config_bool(s, "no"), 0);
	assert_int_equal(snapshot_config_bool(s, "nul"), -1);
	assert_int_equal(snapshot_config_bool(s, "unset"), -1);
}

static void test_profiles_are_shared(void **state)
{
	_cleanup_(record_unrefp) struct record *profile = records_new("p", PAIRS("user.a", "1"));
	_cleanup_(snapshot_unrefp) struct snapshot *a =
		records_snapshot(records_new("a", NO_PAIRS), profile);
	_cleanup_(snapshot_unrefp) struct snapshot *b =
		records_snapshot(records_new("b", NO_PAIRS), profile);

	assert_ptr_equal(snapshot_config(a, "user.a", NULL), snapshot_config(b, "user.a", NULL));
}

static void test_no_memory(void **state)
{
	_cleanup_(record_unrefp) struct record *r = records_new("web1", NO_PAIRS);
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
	int n_failed = 0;

	ALLOC_WALK(!s && ++n_failed)
	s = snapshot_new(r, &r, 1, "id");
	assert_int_equal(n_failed, 1);
	assert_non_null(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_layer_wins),
		cmocka_unit_test(test_walk_config),
		cmocka_unit_test(test_walk_devices),
		cmocka_unit_test(test_find_device),
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_hwaddr),
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_profiles_are_shared),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
