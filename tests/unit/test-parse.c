/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records: what is accepted and what it becomes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "alloc.h"
#include "core/table.h"
#include "parses.h"
#include "store/rules.h"

static const char *value(const struct record *r, const char *key)
{
	return table_get(r->config, key, NULL);
}

/* What is written as a number or a boolean is its text, letter for letter. */
static void test_spelling(void **state)
{
	static const char json[] =
		"{\"config\": {\"a\": 1, \"b\": true, \"c\": 1.10, \"d\": -1E2, \"e\": 0.5},"
		"\"devices\": {\"x\": {\"type\": \"nic\",\n \"f\": 2.50, \"g\": false}}}";
	static const char yaml[] = "config: {a: 0644, b: yes, c: 1.10, d: 0x1F, e: 12:30:45}\n"
				   "devices: {x: {type: nic, f: 1e3, g: False}}\n"
				   "hostname: 1.10\nprofiles: [101, 010]\n";
	struct record *r = parse(RECORD_INSTANCE, JSON, json, NULL);

	assert_string_equal(value(r, "a"), "1");
	assert_string_equal(value(r, "b"), "true");
	assert_string_equal(value(r, "c"), "1.10");
	assert_string_equal(value(r, "d"), "-1E2");
	assert_string_equal(value(r, "e"), "0.5");
	assert_string_equal(table_get(r->devices[0].config, "f", NULL), "2.50");
	assert_string_equal(table_get(r->devices[0].config, "g", NULL), "false");
	record_unref(r);

	r = parse(RECORD_INSTANCE, YAML, yaml, NULL);
	assert_string_equal(value(r, "a"), "0644");
	assert_string_equal(value(r, "b"), "yes");
	assert_string_equal(value(r, "c"), "1.10");
	assert_string_equal(value(r, "d"), "0x1F");
	assert_string_equal(value(r, "e"), "12:30:45");
	assert_string_equal(table_get(r->devices[0].config, "f", NULL), "1e3");
	assert_string_equal(table_get(r->devices[0].config, "g", NULL), "False");
	assert_string_equal(r->hostname, "1.10");
	assert_string_equal(r->profiles[0], "101");
	assert_string_equal(r->profiles[1], "010");
	record_unref(r);
}

/* jansson skips a NUL behind a number; the number after it is found all the same. */
static void test_spelling_behind_nul(void **state)
{
	static const char text[] = "{\"config\": {\"a\": 1e2\0\n, \"b\": 2.50}}";
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	json_auto_t *root = NULL;

	if (parse_document(JSON, text, sizeof(text) - 1, &root, &error) == 0)
		assert_string_equal(
			json_string_value(json_object_get(json_object_get(root, "config"), "b")),
			"2.50");
	else
		assert_int_equal(error.place.line, 1);
}

static void test_too_many_reals(void **state)
{
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	_cleanup_(buf_finish) struct buf b = {0};
	json_t *root;

	assert_int_equal(buf_puts(&b, "{\"config\": {\"k\": \"\""), 0);
	for (int i = 0; i < 257; i++)
		assert_int_equal(buf_printf(&b, ", \"k%d\": 0.5", i), 0);
	assert_int_equal(buf_puts(&b, "}}"), 0);
	assert_int_equal(parse_document(JSON, b.data, b.len, &root, &error), -EINVAL);
	assert_string_equal(error.text, "too many numbers with a fraction; write them as strings");
}

static void test_all_members(void **state)
{
	static const char yaml[] =
		"name: web1\ntype: virtual-machine\nprofiles: [a, b]\n"
		"config: {user.role: frontend, z: \"a\\0b\", \"\\u00e9\": x}\n"
		"devices:\n  eth1: {type: nic}\n  eth0: {type: nic, hwaddr: \"00:16:3e:00:00:01\"}\n"
		"match: {cgroup: //lxc.payload.web1//x/}\nroot: {uid: 100000, gid: 200000}\n"
		"hostname: web1.example.org\n"
		"files: [{path: config/user.*, mode: 0444, owner: 33:33}, {path: x, mode: \"444\"}]\n";
	struct record *r = parse(RECORD_INSTANCE, YAML, yaml, NULL);
	size_t n;

	assert_string_equal(r->name, "web1");
	assert_string_equal(r->source, "web1.file");
	assert_int_equal(r->type, INSTANCE_VM);
	assert_int_equal(r->n_profiles, 2);
	assert_string_equal(r->profiles[1], "b");
	assert_int_equal(table_size(r->config), 3);
	assert_memory_equal(table_get(r->config, "z", &n), "a\0b", 4);
	assert_int_equal(n, 3);
	assert_int_equal(r->n_devices, 2);
	assert_string_equal(r->devices[0].name, "eth0");
	assert_string_equal(table_get(r->devices[0].config, "hwaddr", NULL), "00:16:3e:00:00:01");
	assert_string_equal(r->match_cgroup, "/lxc.payload.web1/x");
	assert_false(r->match_mount);
	assert_true(r->has_root);
	assert_int_equal(r->root_uid, 100000);
	assert_int_equal(r->root_gid, 200000);
	assert_string_equal(r->hostname, "web1.example.org");
	assert_int_equal(r->n_files, 2);
	record_unref(r);
}

static void test_defaults(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"name\": null, \"profiles\": null, \"config\": null, \"match\": null,"
		"\"root\": null, \"hostname\": null, \"files\": null, \"type\": null,"
		"\"devices\": null}",
		"{\"match\": {\"cgroup\": null, \"mount\": false}}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct record *r = parse(RECORD_INSTANCE, JSON, texts[i], NULL);

		assert_int_equal(r->type, INSTANCE_CONTAINER);
		assert_int_equal(r->n_profiles, 1);
		assert_string_equal(r->profiles[0], "default");
		assert_null(r->hostname);
		assert_null(r->match_cgroup);
		assert_false(r->match_mount || r->has_root);
		assert_int_equal(table_size(r->config) + r->n_devices + r->n_files, 0);
		record_unref(r);
	}
}

static void test_files(void **state)
{
	static const char yaml[] =
		"files:\n"
		"- {path: config/user.*, mode: 0444, owner: 33:44}\n"
		"- {path: '*', mode: \"660\"}\n"
		"- {path: devices/eth0/.../..x/.y, owner: 4294967294}\n"
		"- {path: meta-data, mode: ~, owner: ~}\n"
		"- {path: \"config/user.\\x01/\u00e9\", mode: 0000, owner: 007:0}\n";
	static const struct file_rule expected[] = {
		{(char *)"config/user.*", 0444, 33, 44},
		{(char *)"*", 0660, 0, 0},
		{(char *)"devices/eth0/.../..x/.y", 0400, 4294967294, 4294967294},
		{(char *)"meta-data", 0400, 0, 0},
		{(char *)"config/user.\x01/\u00e9", 0, 7, 0},
	};
	struct record *r = parse(RECORD_INSTANCE, YAML, yaml, NULL);

	assert_int_equal(r->n_files, ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_string_equal(r->files[i].path, expected[i].path);
		assert_int_equal(r->files[i].mode, expected[i].mode);
		assert_int_equal(r->files[i].uid, expected[i].uid);
		assert_int_equal(r->files[i].gid, expected[i].gid);
	}
	assert_int_equal(record_file_rule(r, "meta-data")->mode, 0400);
	record_unref(r);
}

/* Whatever runs out, the record is there whole or not at all. */
static void test_no_memory(void **state)
{
	static const char text[] =
		"{\"config\": {\"user.a\": \"b\"}, \"devices\": {\"d\": {\"type\": \"nic\"}},"
		"\"hostname\": \"w\", \"match\": {\"cgroup\": \"/w\"}, \"root\": {\"uid\": 1},"
		"\"files\": [{\"path\": \"config/*\", \"mode\": \"0444\"}, {\"path\": \"x\"}]}";
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	struct record *r = NULL;
	struct settings limits;
	int e = 0, n_failed = 0;

	settings_init(&limits);
	ALLOC_WALK(e == -ENOMEM && ++n_failed)
	{
		e = parse_record(RECORD_INSTANCE, JSON, "web1", "f", text, strlen(text), &limits,
				 &r, NULL, &error);
		assert_true(e == 0 || (e == -ENOMEM && !r));
	}
	assert_int_equal(e, 0);
	assert_true(n_failed > 10);
	assert_int_equal(r->n_files, 2);
	record_unref(r);
}

static void test_mount_and_root(void **state)
{
	struct record *r = parse(RECORD_INSTANCE, YAML,
				 "match: {mount: yes}\nroot: {uid: 0}\nprofiles: []\n", NULL);

	assert_true(r->match_mount);
	assert_true(r->has_root);
	assert_int_equal(r->root_gid, 0);
	assert_int_equal(r->n_profiles, 0);
	record_unref(r);
}

/* What `lxc query` prints comes in without a word. */
static void test_lxd_record(void **state)
{
	static const char text[] =
		"{\"architecture\": \"x86_64\", \"backups\": null, \"config\": {\"image.os\": \"Debian\","
		"\"limits.cpu\": \"2\", \"security.nesting\": \"true\", \"user.a\": \"b\","
		"\"volatile.eth0.hwaddr\": \"00:16:3e:00:00:01\"}, \"created_at\": \"x\","
		"\"description\": \"\", \"devices\": {}, \"ephemeral\": false, \"expanded_config\": {},"
		"\"expanded_devices\": {}, \"last_used_at\": \"\", \"location\": \"none\", \"name\": \"web1\","
		"\"profiles\": [\"default\"], \"project\": \"default\", \"snapshots\": null, \"state\": null,"
		"\"stateful\": false, \"status\": \"Running\", \"status_code\": 103,"
		"\"type\": \"container\"}";
	_cleanup_(buf_finish) struct buf warnings = {0};
	struct record *r = parse(RECORD_INSTANCE, JSON, text, &warnings);

	assert_string_equal(warnings.data ?: "", "");
	record_unref(r);
}

static void test_warnings(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};

	record_unref(
		parse(RECORD_INSTANCE, JSON,
		      "{\"confg\": {},\n \"zzz\": 1, \"root\": {\"uid\": 1, \"gidd\": 2},\n"
		      "\"config\": {\"cloud-init.userdata\": \"x\", \"usr.role\": \"x\"},"
		      "\"devices\": {\"d\": {}}, \"files\": [{\"path\": \"x\", \"mod\": \"x\"}]}",
		      &b));
	assert_string_equal(
		b.data,
		"web1.file:1:11: confg: no such member, ignored; did you mean \"config\"?\n"
		"web1.file:2:9: zzz: no such member, ignored\n"
		"web1.file:2:39: root.gidd: no such member, ignored; did you mean \"gid\"?\n"
		"web1.file:3:35: config.\"cloud-init.userdata\": nobody reads this key; did you mean "
		"\"cloud-init.user-data\"?\n"
		"web1.file:3:52: config.\"usr.role\": no guest will see this key; they see user.* and "
		"cloud-init.*\n"
		"web1.file:3:74: devices.\"d\": no type; cloud-init fails on such a device\n"
		"web1.file:3:110: files[0].mod: no such member, ignored; did you mean \"mode\"?\n");
}

static void test_profile(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};
	struct record *r = parse(RECORD_PROFILE, YAML,
				 "name: web1\ndescription: x\nused_by: []\nconfig: {user.a: b}\n"
				 "match: nonsense\n",
				 &b);

	assert_string_equal(value(r, "user.a"), "b");
	assert_int_equal(r->n_profiles, 0);
	assert_string_equal(b.data, "web1.file:5:8: match: means nothing in a profile, ignored\n");
	record_unref(r);
}

static void test_warn_key(void **state)
{
	static const struct {
		const char *key, *warning;
	} keys[] = {
		{"user.anything", ""},
		{"cloud-init.user-data", ""},
		{"cloud-init.ssh-keys.me", ""},
		{"cloud-init.something-else-entirely", ""},
		{"security.devlxd", ""},
		{"security.devlxd.socket", ""},
		{"volatile.eth0.hwaddr", ""},
		{"volatile.cloud-init.instance-id", ""},
		{"cloud-init.vendor_data",
		 "\"cloud-init.vendor_data\": nobody reads this key; did you mean "
		 "\"cloud-init.vendor-data\"?\n"},
		{"security.devlxd.image",
		 "\"security.devlxd.image\": nobody reads this key; did you "
		 "mean \"security.devlxd.images\"?\n"},
		{"limits.cpu",
		 "\"limits.cpu\": no guest will see this key; they see user.* and cloud-init.*\n"},
		{"security.nesting",
		 "\"security.nesting\": no guest will see this key; they see user.* and cloud-init.*\n"},
		{"user.",
		 "\"user.\": no guest will see this key; they see user.* and cloud-init.*\n"},
		{"role",
		 "\"role\": no guest will see this key; they see user.* and cloud-init.*\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup_(buf_finish) struct buf b = {0};

		assert_int_equal(parse_warn_key(keys[i].key, &b), 0);
		assert_string_equal(b.data ?: "", keys[i].warning);
	}
}

static void test_document_keeps_everything(void **state)
{
	static const char yaml[] = "zzz: {a: [1, yes, ~, 1.5]}\nconfig: {a: 1}\nephemeral: false\n";
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	json_auto_t *expected = json_pack("{s:{s:[i,b,n,s]}, s:{s:s}, s:b}", "zzz", "a", 1, 1,
					  "1.5", "config", "a", "1", "ephemeral", 0);
	json_auto_t *root = NULL;

	assert_int_equal(parse_document(YAML, yaml, strlen(yaml), &root, &error), 0);
	assert_true(json_equal(root, expected));
}

static void test_members_are_listed(void **state)
{
	assert_string_equal(parse_member(RECORD_INSTANCE, 0), "name");
	assert_string_equal(parse_member(RECORD_INSTANCE, 8), "files");
	assert_null(parse_member(RECORD_INSTANCE, 9));
	assert_string_equal(parse_member(RECORD_PROFILE, 2), "devices");
	assert_null(parse_member(RECORD_PROFILE, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spelling),
		cmocka_unit_test(test_spelling_behind_nul),
		cmocka_unit_test(test_too_many_reals),
		cmocka_unit_test(test_all_members),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_mount_and_root),
		cmocka_unit_test(test_lxd_record),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_profile),
		cmocka_unit_test(test_warn_key),
		cmocka_unit_test(test_document_keeps_everything),
		cmocka_unit_test(test_members_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
