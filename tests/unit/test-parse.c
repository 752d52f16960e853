/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records: what is accepted and what it becomes; what is refused, with which words and where
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "alloc.h"
#include "core/settings.h"
#include "core/table.h"
#include "store/parse.h"
#include "store/rules.h"

#define JSON RECORD_JSON
#define YAML RECORD_YAML

static struct record *parse(enum record_kind kind, enum record_format format, const char *text,
			    struct buf *warnings)
{
	struct parse_error error = {0};
	struct record *record = NULL;
	struct settings limits;
	int r;

	settings_init(&limits);
	r = parse_record(kind, format, "web1", "web1.file", text, strlen(text), &limits, &record,
			 warnings, &error);
	if (r < 0)
		fail_msg("%s: %s", text, error.text ?: "no memory");
	return record;
}

/* The complaint about @text, as "LINE:COLUMN: text"; the caller frees it. */
static char *complaint(enum record_format format, const char *text, uint32_t max_value)
{
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	struct record *record = NULL;
	struct buf b = {0};
	struct settings limits;

	settings_init(&limits);
	limits.max_value_bytes = max_value;
	assert_int_equal(parse_record(RECORD_INSTANCE, format, "web1", "f", text, strlen(text),
				      &limits, &record, NULL, &error),
			 -EINVAL);
	assert_null(record);
	assert_int_equal(parse_error_format(&error, "f", &b), 0);
	return buf_steal(&b, NULL);
}

#define BELOW                                                                                      \
	"expected a path below the instance's directory, without \".\" and \"..\", as in "         \
	"config/user.*"
#define MODE  "expected an octal mode of read and write bits as a string, as in \"0440\""
#define OWNER "expected \"UID\" or \"UID:GID\""

static const struct {
	enum record_format format;
	const char *text, *complaint;
} bad[] = {
	/* the text itself */
	{JSON, "", "f:1:1: the file is empty"},
	{JSON, "[]", "f:1:1: expected an object"},
	{JSON, "{\"config\":{}", "f:1:12: '}' expected"},
	{JSON, "{\"config\":{},}", "f:1:14: string or '}' expected"},
	{JSON, "{\n \"config\": {\"a\": \"secret\" \"b\": 1}}", "f:2:29: '}' expected"},
	{JSON, "{\"config\": {\"a\": \"\\ud800secret\"}}", "f:1:31: invalid Unicode"},
	{JSON, "{\"config\": {\"a\": secret}}", "f:1:23: invalid token"},
	{JSON, "{\"a\": 1, \"a\": 2}", "f:1:10: duplicate member \"a\""},
	{JSON, "{\"a\\\"b\": 1,\n \"a\\\"b\": 2}", "f:2:2: duplicate member \"a\\\"b\""},
	{JSON, "{\"config\": {\"a\\u0000\": \"\"}}",
	 "f:1:21: NUL byte in object key not supported"},
	{JSON, "{\"config\": {\"a\": 99999999999999999999}}", "f:1:37: too big integer"},
	{YAML, "", "f:1:1: the file is empty"},
	{YAML, "# only\n", "f:2:1: the file is empty"},
	{YAML, "- a\n", "f:1:1: expected members, as in `name: value`"},
	{YAML, "config: {\n", "f:2:1: did not find expected node content"},
	{YAML, "config:\n\ta: b\n",
	 "f:2:1: found character that cannot start any token; it is a tab, indent with spaces"},
	{YAML, "config: {a: 1}\nconfig: {a: 2}\n", "f:2:1: duplicate member \"config\""},
	{YAML, "config: {a: 1, a: 2}\n", "f:1:16: duplicate member \"a\""},
	{YAML, "config: !!str {}\n", "f:1:9: tags are not supported"},
	{YAML, "config: {a: !x b}\n", "f:1:13: tags are not supported"},
	{YAML, "config: {<<: {a: b}}\n", "f:1:10: merge keys (<<) are not supported"},
	{YAML, "config: {? [a] : b}\n", "f:1:12: expected a key that is text"},
	{YAML, "config: {\"a\\0b\": c}\n", "f:1:10: NUL in a key"},
	{YAML, "a: *b\n", "f:1:4: this alias has no anchor before it"},
	{YAML, "a: b\n---\nc: d\n", "f:2:1: more than one document"},
	{YAML, "config: {a: \"\xff\"}\n", "f:1:14: invalid leading UTF-8 octet"},
	/* types, in both formats */
	{JSON, "{\"name\": 1}", "f:1:10: name: expected a string, found a number"},
	{JSON, "{\"name\": \"web2\"}", "f:1:10: name: expected \"web1\", as the file is called"},
	{YAML, "name: web2\n", "f:1:7: name: expected \"web1\", as the file is called"},
	{JSON, "{\"type\": \"secret\"}",
	 "f:1:10: type: expected \"container\" or \"virtual-machine\""},
	{JSON, "{\"config\": []}", "f:1:12: config: expected an object, found a list"},
	{YAML, "config: text\n", "f:1:9: config: expected an object, found a string"},
	{YAML, "config:\n  security.devlxd: flase\n",
	 "f:2:20: config.\"security.devlxd\": expected true or false"},
	{JSON, "{\"config\": {\"security.devlxd.images\": \"maybe\"}}",
	 "f:1:39: config.\"security.devlxd.images\": expected true or false"},
	{JSON, "{\"config\": {\n  \"user.x\": [\"secret\"]}}",
	 "f:2:13: config.\"user.x\": expected a string, found a list"},
	{YAML, "config:\n  user.a: fine\n  user.x: [secret]\n",
	 "f:3:11: config.\"user.x\": expected a string, found a list"},
	{YAML, "config:\n  user.x:\n    a: secret\n",
	 "f:3:5: config.\"user.x\": expected a string, found an object"},
	{JSON, "{\"config\": {\"user.x\": null}}",
	 "f:1:23: config.\"user.x\": expected a string, found null"},
	{YAML, "config: {user.x: }\n", "f:1:18: config.\"user.x\": expected a string, found null"},
	{YAML, "config: {user.x: ~}\n", "f:1:18: config.\"user.x\": expected a string, found null"},
	{JSON, "{\"config\": {\"\": \"x\"}}", "f:1:17: config.\"\": a key cannot be empty"},
	{JSON, "{\"config\": {\"a\\nb\": {}}}",
	 "f:1:21: config.\"a\\nb\": expected a string, found an object"},
	{JSON, "{\"config\": {\"volatile.cloud-init.instance-id\": \"a: b\"}}",
	 "f:1:48: config.\"volatile.cloud-init.instance-id\": expected at most 64 letters, digits, "
	 "'-', '_' and '.'"},
	{JSON, "{\"devices\": {\"eth0\": \"x\"}}",
	 "f:1:22: devices.\"eth0\": expected an object, found a string"},
	{YAML, "devices:\n  eth0: {type: nic, mtu: [1]}\n",
	 "f:2:26: devices.\"eth0\".\"mtu\": expected a string, found a list"},
	{JSON, "{\"profiles\": \"default\"}", "f:1:14: profiles: expected a list, found a string"},
	{JSON, "{\"profiles\": [\"a\", 1]}",
	 "f:1:20: profiles[1]: expected a string, found a number"},
	{JSON, "{\"profiles\": [\"../secret\"]}", "f:1:15: profiles[0]: expected a profile's name"},
	{YAML, "profiles: [a, b, a]\n", "f:1:18: profiles[2]: this profile stands twice"},
	/* match, root, hostname, files */
	{JSON, "{\"match\": {\"cgroup\": \"/\"}}",
	 "f:1:22: match.cgroup: expected the path of a cgroup below the root of the cgroup2 "
	 "hierarchy, as in /lxc.payload.web1"},
	{JSON, "{\"match\": {\"cgroup\": \"/a\\u0000b\"}}",
	 "f:1:22: match.cgroup: expected the path of a cgroup below the root of the cgroup2 "
	 "hierarchy, as in /lxc.payload.web1"},
	{YAML, "match: {cgroup: [a]}\n", "f:1:17: match.cgroup: expected a string, found a list"},
	{YAML, "match: {mount: maybe}\n",
	 "f:1:16: match.mount: expected true or false, found a string"},
	{YAML, "match: {cgroup: /a, mount: true}\n",
	 "f:1:8: match: expected cgroup or mount, found both"},
	{JSON, "{\"root\": {\"gid\": 1}}", "f:1:10: root: expected a member uid"},
	{JSON, "{\"root\": {\"uid\": \"1\"}}",
	 "f:1:18: root.uid: expected a whole number, found a string"},
	{JSON, "{\"root\": {\"uid\": 4294967295}}",
	 "f:1:18: root.uid: expected a number from 0 to 4294967294"},
	{YAML, "root: {uid: 1, gid: -1}\n",
	 "f:1:21: root.gid: expected a number from 0 to 4294967294"},
	{YAML, "root: {uid: 0644}\n", "f:1:13: root.uid: expected a whole number, found a string"},
	{YAML, "hostname: a b\n",
	 "f:1:11: hostname: expected a host name: letters, digits, '-', '_' and '.'"},
	{JSON, "{\"hostname\": \"\"}",
	 "f:1:14: hostname: expected a host name: letters, digits, '-', '_' and '.'"},
	{JSON, "{\"files\": [1]}", "f:1:12: files[0]: expected an object, found a number"},
	{JSON, "{\"files\": [{}]}", "f:1:12: files[0]: expected a member path that is a string"},
	{JSON, "{\"files\": {}}", "f:1:11: files: expected a list, found an object"},
	{JSON, "{\"files\": [{\"path\": null}]}",
	 "f:1:12: files[0]: expected a member path that is a string"},
	{JSON, "{\"files\": [{\"path\": \"/secret\"}]}", "f:1:21: files[0].path: " BELOW},
	{JSON, "{\"files\": [{\"path\": \"\"}]}", "f:1:21: files[0].path: " BELOW},
	{YAML, "files: [{path: ..}]\n", "f:1:16: files[0].path: " BELOW},
	{YAML, "files: [{path: config/../secret}]\n", "f:1:16: files[0].path: " BELOW},
	{YAML, "files: [{path: ./secret}]\n", "f:1:16: files[0].path: " BELOW},
	{YAML, "files: [{path: secret/.}]\n", "f:1:16: files[0].path: " BELOW},
	{JSON, "{\"files\": [{\"path\": \"secret\\u0000\"}]}",
	 "f:1:21: files[0].path: expected text without a NUL"},
	{JSON, "{\"files\": [{\"path\": \"x\", \"mode\": 292}]}",
	 "f:1:34: files[0].mode: expected a string, found a number"},
	{YAML, "files:\n- {path: x, mode: 0888}\n", "f:2:19: files[0].mode: " MODE},
	{YAML, "files:\n- {path: x}\n- {path: y, mode: 4755}\n", "f:3:19: files[1].mode: " MODE},
	{YAML, "files: [{path: x, mode: 04755}]\n", "f:1:25: files[0].mode: " MODE},
	{YAML, "files: [{path: x, mode: 0555}]\n", "f:1:25: files[0].mode: " MODE},
	{YAML, "files: [{path: x, mode: 0601}]\n", "f:1:25: files[0].mode: " MODE},
	{YAML, "files: [{path: x, mode: 44}]\n", "f:1:25: files[0].mode: " MODE},
	{YAML, "files: [{path: x, mode: rw-r--r--}]\n", "f:1:25: files[0].mode: " MODE},
	{YAML, "files: [{path: x, mode: \"\"}]\n", "f:1:25: files[0].mode: " MODE},
	{YAML, "files:\n- {path: x, owner: root}\n", "f:2:20: files[0].owner: " OWNER},
	{YAML, "files:\n- {path: x, owner: \"0:4294967295\"}\n", "f:2:20: files[0].owner: " OWNER},
	{YAML, "files: [{path: x, owner: \"33:\"}]\n", "f:1:26: files[0].owner: " OWNER},
	{YAML, "files: [{path: x, owner: \":33\"}]\n", "f:1:26: files[0].owner: " OWNER},
	{YAML, "files: [{path: x, owner: \"1:2:3\"}]\n", "f:1:26: files[0].owner: " OWNER},
	{YAML, "files: [{path: x, owner: -1}]\n", "f:1:26: files[0].owner: " OWNER},
	{YAML, "files: [{path: x, owner: \"00000000000000000001\"}]\n",
	 "f:1:26: files[0].owner: " OWNER},
	{YAML, "files: [{path: x, owner: \"\"}]\n", "f:1:26: files[0].owner: " OWNER},
	{JSON, "{\"files\": [{\"path\": \"x\", \"owner\": 33}]}",
	 "f:1:35: files[0].owner: expected a string, found a number"},
};

static void test_complaints(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(freep) char *text = complaint(bad[i].format, bad[i].text, 1 << 20);

		assert_string_equal(text, bad[i].complaint);
		assert_null(strstr(text, "secret"));
	}
}

static void test_bad_names(void **state)
{
	static const char *const names[] = {"", ".a", "-a", "a/b", "a b"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(parse_error_finish) struct parse_error error = {0};
		struct record *record;
		struct settings limits;

		settings_init(&limits);
		assert_int_equal(parse_record(RECORD_INSTANCE, JSON, names[i], "f", "{}", 2,
					      &limits, &record, NULL, &error),
				 -EINVAL);
		assert_int_equal(error.place.line, 0);
		assert_non_null(strstr(error.text, "not that of a record"));
	}
}

static void test_limits(void **state)
{
	static const char whole[] = "{\"config\": {\"user.x\": \"12345\"}}";
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	struct record *record = NULL;
	struct settings limits;
	char *text;

	text = complaint(JSON, "{\"config\": {\"user.x\": \"12345\"}}", 4);
	assert_string_equal(text, "f:1:23: config.\"user.x\": larger than 4 bytes");
	free(text);
	text = complaint(YAML, "devices: {a: {b: 12345}}", 4);
	assert_string_equal(text, "f:1:18: devices.\"a\".\"b\": larger than 4 bytes");
	free(text);

	settings_init(&limits);
	limits.max_value_bytes = 5;
	limits.max_record_bytes = strlen(whole) - 1;
	assert_int_equal(parse_record(RECORD_INSTANCE, JSON, "a", "f", whole, strlen(whole),
				      &limits, &record, NULL, &error),
			 -EINVAL);
	assert_string_equal(error.text, "the record is larger than 30 bytes");
	parse_error_finish(&error);
	limits.max_record_bytes = strlen(whole);
	assert_int_equal(parse_record(RECORD_INSTANCE, JSON, "a", "f", whole, strlen(whole),
				      &limits, &record, NULL, &error),
			 0);
	record_unref(record);
}

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

/* A record with @n rules, the pattern of the first one being @n_pattern long. */
static char *many_files(int n, int n_pattern)
{
	struct buf b = {0};

	assert_int_equal(buf_printf(&b, "{\"files\": [{\"path\": \"%0*d\"}", n_pattern, 0), 0);
	for (int i = 1; i < n; i++)
		assert_int_equal(buf_puts(&b, ", {\"path\": \"x\"}"), 0);
	assert_int_equal(buf_puts(&b, "]}"), 0);
	return buf_steal(&b, NULL);
}

static void test_limits_of_files(void **state)
{
	char *text = many_files(RULES_FILES_MAX, RULES_PATTERN_MAX), *said;
	struct record *r = parse(RECORD_INSTANCE, JSON, text, NULL);

	assert_int_equal(r->n_files, 1024);
	assert_int_equal(strlen(r->files[0].path), 4096);
	record_unref(r);
	free(text);
	text = many_files(RULES_FILES_MAX + 1, 1);
	said = complaint(JSON, text, 1 << 20);
	assert_string_equal(said, "f:1:11: files: more than 1024 rules");
	free(said);
	free(text);
	text = many_files(1, RULES_PATTERN_MAX + 1);
	said = complaint(JSON, text, 1 << 20);
	assert_string_equal(said, "f:1:21: files[0].path: larger than 4096 bytes");
	free(said);
	free(text);
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
		cmocka_unit_test(test_complaints),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_spelling),
		cmocka_unit_test(test_spelling_behind_nul),
		cmocka_unit_test(test_too_many_reals),
		cmocka_unit_test(test_all_members),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_limits_of_files),
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
