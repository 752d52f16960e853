/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records that are refused: with which words, and where
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "parses.h"
#include "store/rules.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complaints),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_limits_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
