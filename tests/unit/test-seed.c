/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Seed data: exact results for the usual cases, and that nothing else changes its meaning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "api/seed.h"
#include "base/cleanup.h"

#define MARK " #lxd:cloud-init.ssh-keys\n"
#define KEY  "ssh-ed25519 AAAAC3Nz+/= me@host"

/* Merges the values of ssh keys given as a NULL-terminated array. */
static int merge(const char *text, const char *const *values, struct buf *b)
{
	struct seed_key keys[16];
	size_t n = 0;

	for (size_t i = 0; values[i]; i++) {
		if (seed_key_parse(values[i], strlen(values[i]), &keys[n]))
			n++;
	}
	return seed_merge(text, strlen(text), keys, n, b);
}

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ROOT_ID     VALUES("root:gh:me")

static void assert_merged(const char *text, const char *const *values, const char *expected)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(merge(text, values, &b), 0);
	assert_string_equal(b.data, expected);
	assert_int_equal(b.len, strlen(expected));
}

static void assert_not_mergeable(const char *text)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(merge(text, ROOT_ID, &b), -EINVAL);
	assert_int_equal(b.len, 0);
}

#define IDS(indent, items) indent "ssh-import-id:\n" items indent "ssh_import_id:\n" items
#define ROOT_USER          "- name: root\n" IDS("  ", "  - gh:me" MARK)

static void test_nothing_set(void **state)
{
	assert_merged("", ROOT_ID, "#cloud-config\nusers:\n" ROOT_USER);
	assert_merged("#cloud-config", ROOT_ID, "#cloud-config\nusers:\n" ROOT_USER);
	assert_merged("#cloud-config\n---\n...\n", ROOT_ID, "#cloud-config\nusers:\n" ROOT_USER);
	assert_merged("#cloud-config\n{}\n", ROOT_ID, "#cloud-config\nusers:\n" ROOT_USER);
	assert_merged("#cloud-config\nusers:\n", ROOT_ID, "#cloud-config\nusers:\n" ROOT_USER);
	assert_merged("#cloud-config\nusers: []\n", ROOT_ID, "#cloud-config\nusers:\n" ROOT_USER);
}

/* A text becomes a list; what is there stays and comes first; each spelling for itself. */
static void test_existing_user(void **state)
{
	assert_merged("#cloud-config\n"
		      "users:\n"
		      "    - name: root\n"
		      "      ssh-import-id: gh:user2\n"
		      "      ssh-authorized-keys: " KEY "\n"
		      "      shell: /bin/bash\n",
		      ROOT_ID,
		      "#cloud-config\n"
		      "users:\n"
		      "- name: root\n"
		      "  shell: /bin/bash\n"
		      "  ssh-authorized-keys: " KEY "\n"
		      "  ssh-import-id:\n"
		      "  - gh:user2\n"
		      "  - gh:me" MARK "  ssh_import_id:\n"
		      "  - gh:me" MARK);
}

static void test_public_key(void **state)
{
	assert_merged("#cloud-config\nusers: foo\n", VALUES("root:gh:me", "user:" KEY),
		      "#cloud-config\nusers:\n- foo\n" ROOT_USER "- name: user\n"
		      "  ssh-authorized-keys:\n  - " KEY MARK
		      "  ssh_authorized_keys:\n  - " KEY MARK);
}

static void test_text_entry_becomes_a_mapping(void **state)
{
	assert_merged("#cloud-config\nusers: [default, root, {name: x}]\n", ROOT_ID,
		      "#cloud-config\nusers:\n- default\n" ROOT_USER "- name: x\n");
	assert_merged("#cloud-config\nusers: root\n", ROOT_ID, "#cloud-config\nusers:\n" ROOT_USER);
}

static void test_several_keys_of_one_user(void **state)
{
	assert_merged("", VALUES("a:gh:1", "b:gh:2", "a:gh:3", "a:gh:1"),
		      "#cloud-config\nusers:\n- name: a\n" IDS(
			      "  ", "  - gh:1" MARK
				    "  - gh:3" MARK) "- name: b\n" IDS("  ", "  - gh:2" MARK));
}

static void test_present_key_is_not_repeated(void **state)
{
	assert_merged("#cloud-config\nusers:\n- name: root\n  ssh_import_id: ['gh:me']\n", ROOT_ID,
		      "#cloud-config\nusers:\n- name: root\n  ssh-import-id:\n  - gh:me" MARK
		      "  ssh_import_id:\n  - 'gh:me'\n");
}

static void test_comments_and_head(void **state)
{
	assert_merged("## template: jinja\n"
		      "#cloud-config\n"
		      "# note\n"
		      "runcmd: # gone\n"
		      "  - echo {{devlxd.local_hostname}} > /var/tmp/runcmd_output\n",
		      ROOT_ID,
		      "## template: jinja\n"
		      "#cloud-config\n"
		      "# note\n"
		      "runcmd:\n"
		      "- echo {{devlxd.local_hostname}} > /var/tmp/runcmd_output\n"
		      "users:\n" ROOT_USER);
	assert_merged("\n  #cloud-config \r\na: 1\n", ROOT_ID,
		      "#cloud-config\na: 1\nusers:\n" ROOT_USER);
	assert_merged("#cloud-config\r\na: 1\r\n", ROOT_ID,
		      "#cloud-config\r\na: 1\nusers:\n" ROOT_USER);
}

/* Scalars keep their spelling: what cloud-init reads as a boolean stays one, and the other way round. */
static void test_scalars_are_kept(void **state)
{
	assert_merged("#cloud-config\n"
		      "z: yes\n"
		      "y: 'yes'\n"
		      "x: \"a\\tb\"\n"
		      "w: 0644\n"
		      "v: |\n  line 1\n    line 2\n\n"
		      "u: |+\n  keep\n\n"
		      "t: >-\n  folded\n  text\n"
		      "s: ~\n"
		      "r:\n"
		      "q: !!binary aGk=\n"
		      "p: 2020-01-01\n"
		      "o: ''\n"
		      "n: [a, {b: c}]\n",
		      ROOT_ID,
		      "#cloud-config\n"
		      "n:\n- a\n- b: c\n"
		      "o: ''\n"
		      "p: 2020-01-01\n"
		      "q: !!binary aGk=\n"
		      "r:\n"
		      "s: ~\n"
		      "t: |-\n  folded text\n"
		      "u: |+\n  keep\n\n"
		      "users:\n" ROOT_USER "v: |\n  line 1\n    line 2\n"
		      "w: 0644\n"
		      "x: \"a\\tb\"\n"
		      "y: 'yes'\n"
		      "z: yes\n");
}

static void test_long_lines_are_not_folded(void **state)
{
	char text[400] = "#cloud-config\na: ", expected[600];

	for (size_t i = 0; i < 60; i++)
		strcat(text, "word ");
	strcat(text, "end\n");
	snprintf(expected, sizeof(expected), "%susers:\n%s", text, ROOT_USER);
	assert_merged(text, ROOT_ID, expected);
}

/* Keys and names that YAML would read as something else, or not at all, are quoted. */
static void test_odd_keys(void **state)
{
	static const struct {
		const char *value, *name, *item;
	} cases[] = {
		{"1000:123", "'1000'", "'123'"},
		{"yes:Null", "'yes'", "'Null'"},
		{"a b:x:", "a b", "'x:'"},
		{"u:it's", "u", "'it''s'"},
		{"u:a:b", "u", "a:b"},
		{"u:#x", "u", "'#x'"},
		{"u:\u00e9", "u", "\"\u00e9\""},
		{"u:a\tb", "u", "\"a\\tb\""},
		{" u :\tid\r\n", "u", "id"},
		{"u:zq1qz", "u", "zq1qz"},
		{"zq1qz:zq2qz", "zq1qz", "zq2qz"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char expected[300];

		snprintf(expected, sizeof(expected),
			 "#cloud-config\nusers:\n- name: %s\n  ssh-import-id:\n  - %s" MARK
			 "  ssh_import_id:\n  - %s" MARK,
			 cases[i].name, cases[i].item, cases[i].item);
		assert_merged("", VALUES(cases[i].value), expected);
	}
	assert_merged(
		"", VALUES("u:a b: c #d"),
		"#cloud-config\nusers:\n- name: u\n  ssh-authorized-keys:\n  - 'a b: c #d'" MARK
		"  ssh_authorized_keys:\n  - 'a b: c #d'" MARK);
}

static void test_mark_in_the_text(void **state)
{
	assert_merged("#cloud-config\na: zq1qz zq7qz\nb: \"\\x7aq8qz\"\n", ROOT_ID,
		      "#cloud-config\na: zq1qz zq7qz\nb: \"zq8qz\"\nusers:\n" ROOT_USER);
}

/* One user's key does not get to another through an alias: what is shared is copied first. */
static void test_aliases(void **state)
{
	assert_merged("#cloud-config\n"
		      "keys: &k [gh:old]\n"
		      "users:\n"
		      "- {name: root, ssh-import-id: *k}\n"
		      "- {name: other, ssh-import-id: *k}\n",
		      ROOT_ID,
		      "#cloud-config\n"
		      "keys: &id002\n- &id001 gh:old\n"
		      "users:\n"
		      "- name: root\n"
		      "  ssh-import-id:\n  - *id001\n  - gh:me" MARK
		      "  ssh_import_id:\n  - gh:me" MARK "- name: other\n"
		      "  ssh-import-id: *id002\n");
	assert_merged("#cloud-config\nu: &u [x]\nusers: *u\n", ROOT_ID,
		      "#cloud-config\nu:\n- &id001 x\nusers:\n- *id001\n" ROOT_USER);
	assert_merged("#cloud-config\nu: &u {name: root}\nusers: [*u, *u]\n", ROOT_ID,
		      "#cloud-config\nu: &id003\n  &id001 name: &id002 root\nusers:\n"
		      "- *id001 : *id002\n" IDS("  ", "  - gh:me" MARK) "- *id003\n");
}

static void test_last_duplicate_counts(void **state)
{
	assert_merged("#cloud-config\nusers: [a]\nb: 1\nb: 2\nusers: [root]\n", ROOT_ID,
		      "#cloud-config\nb: 1\nb: 2\nusers:\n- a\nusers:\n" ROOT_USER);
}

static void test_not_mergeable(void **state)
{
	static const char *const texts[] = {
		"users: [root]\n",
		"\n\n#cloud-config\n",
		"#cloud-configx\n",
		"#!/bin/sh\necho\n",
		" ",
		"#cloud-config\nusers:\n\t- name: root\n",
		"#cloud-config\n- a\n",
		"#cloud-config\ntext\n",
		"#cloud-config\na: 1\n---\nb: 1\n",
		"#cloud-config\na: *x\n",
		"#cloud-config\n{{ v1 }}: x\n",
		"#cloud-config\n? [a]\n: b\n",
		"#cloud-config\na: !!str 5\n",
		"#cloud-config\na: ! 5\n",
		"#cloud-config\n%TAG !e! tag:x,2000:\n---\na: 1\n",
		"#cloud-config\nb: &b {users: [x]}\n<<: *b\n",
		"#cloud-config\nusers: {root: {}}\n",
		"#cloud-config\nb: &b {gecos: x}\nusers: [{name: root, <<: *b}]\n",
		"#cloud-config\nusers: [{name: root, ssh_import_id: {a: b}}]\n",
		"#cloud-config\na: &a [*a]\n",
		"#cloud-config\na: \x01\n",
		"#cloud-config\na: \xff\n",
		"#cloud-config\n\"\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_not_mergeable(texts[i]);
}

static char *repeated(const char *head, const char *unit, size_t n, const char *tail)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(buf_puts(&b, head), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_puts(&b, unit), 0);
	assert_int_equal(buf_puts(&b, tail), 0);
	return buf_steal(&b, NULL);
}

static void test_bounds(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0}, chain = {0};
	_cleanup_(freep) char *deep = repeated("#cloud-config\na: ", "[", 30, "");
	_cleanup_(freep) char *deep_enough = repeated(deep, "]", 30, "\n");
	_cleanup_(freep) char *too_deep = repeated("#cloud-config\na: ", "[", 60000, "");
	_cleanup_(freep) char *many = repeated("#cloud-config\na:\n", "- x\n", 16000, "");
	_cleanup_(freep) char *too_many = repeated("#cloud-config\na:\n", "- x\n", 17000, "");

	assert_int_equal(merge(deep_enough, ROOT_ID, &b), 0);
	assert_int_equal(merge(many, ROOT_ID, &b), 0);
	assert_not_mergeable(too_deep);
	assert_not_mergeable(too_many);

	/* Nested one deep as written, 100 deep when the aliases are followed. */
	assert_int_equal(buf_puts(&chain, "#cloud-config\nk0: &a0 []\n"), 0);
	for (int i = 1; i < 100; i++)
		assert_int_equal(buf_printf(&chain, "k%d: &a%d [*a%d]\n", i, i, i - 1), 0);
	assert_not_mergeable(chain.data);
}

/* Aliases are kept, so what is small stays small. */
static void test_aliases_do_not_multiply(void **state)
{
	_cleanup_(buf_finish) struct buf laughs = {0}, b = {0};

	assert_int_equal(buf_puts(&laughs, "#cloud-config\nk0: &a0 x\n"), 0);
	for (int i = 1; i < 20; i++)
		assert_int_equal(buf_printf(&laughs, "k%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i, i,
					    i - 1, i - 1, i - 1, i - 1),
				 0);
	assert_int_equal(merge(laughs.data, ROOT_ID, &b), 0);
	assert_in_range(b.len, 1, 4096);
}

static void test_too_many_keys(void **state)
{
	static struct seed_key keys[SEED_KEYS_MAX + 1];
	_cleanup_(buf_finish) struct buf b = {0};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_true(seed_key_parse("root:gh:me", 10, &keys[i]));
	assert_int_equal(seed_merge("", 0, keys, ARRAY_SIZE(keys), &b), -EINVAL);
	assert_int_equal(b.len, 0);
	assert_int_equal(seed_merge("", 0, keys, ARRAY_SIZE(keys) - 1, &b), 0);
}

static void test_key_parse(void **state)
{
	static const char *const bad[] = {"",     "none", ":key",   "user:",   " : ",
					  "u:\n", ":",    "u:\xff", "\xff:key"};
	struct seed_key key = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(seed_key_parse(bad[i], strlen(bad[i]), &key));
	assert_false(seed_key_parse("u:a\0b", 5, &key));
	assert_true(seed_key_parse(" u : a:b \n", 10, &key));
	assert_int_equal(key.user_len, 1);
	assert_memory_equal(key.user, "u", 1);
	assert_int_equal(key.key_len, 3);
	assert_memory_equal(key.key, "a:b", 3);
}

static void test_users(void **state)
{
	static const struct {
		const char *text;
		int expected;
	} cases[] = {
		{"", SEED_USERS_NONE},
		{"#cloud-config\n", SEED_USERS_NONE},
		{"#cloud-config\na: {users: [x]}\n", SEED_USERS_NONE},
		{"#cloud-config\nusers:\n", SEED_USERS_EMPTY},
		{"#cloud-config\nusers: null\n", SEED_USERS_EMPTY},
		{"#cloud-config\nusers: []\n", SEED_USERS_EMPTY},
		{"#cloud-config\nusers: {}\n", SEED_USERS_EMPTY},
		{"#cloud-config\nusers: ''\n", SEED_USERS_EMPTY},
		{"#cloud-config\nusers: 'null'\n", SEED_USERS_SOME},
		{"#cloud-config\nusers: [default]\n", SEED_USERS_SOME},
		{"#cloud-config\nusers: {a: b}\n", SEED_USERS_SOME},
		{"#cloud-config\nusers: foo\n", SEED_USERS_SOME},
		{"users: [x]\n", -EINVAL},
		{"#cloud-config\nusers: [\n", -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(seed_users(cases[i].text, strlen(cases[i].text)),
				 cases[i].expected);
}

static void test_out_of_memory(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};
	int r = 0;

	ALLOC_WALK(r == -ENOMEM)
	{
		r = merge("#cloud-config\nusers: [root]\n", ROOT_ID, &b);
		if (r == -ENOMEM)
			assert_int_equal(b.len, 0);
	}
	assert_int_equal(r, 0);
	assert_string_equal(b.data, "#cloud-config\nusers:\n" ROOT_USER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_set),
		cmocka_unit_test(test_existing_user),
		cmocka_unit_test(test_public_key),
		cmocka_unit_test(test_text_entry_becomes_a_mapping),
		cmocka_unit_test(test_several_keys_of_one_user),
		cmocka_unit_test(test_present_key_is_not_repeated),
		cmocka_unit_test(test_comments_and_head),
		cmocka_unit_test(test_scalars_are_kept),
		cmocka_unit_test(test_long_lines_are_not_folded),
		cmocka_unit_test(test_odd_keys),
		cmocka_unit_test(test_mark_in_the_text),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_last_duplicate_counts),
		cmocka_unit_test(test_not_mergeable),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_aliases_do_not_multiply),
		cmocka_unit_test(test_too_many_keys),
		cmocka_unit_test(test_key_parse),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
