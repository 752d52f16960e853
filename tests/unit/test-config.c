/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Config: who may read which key, exact bytes, and "listed if and only if it answers 200". */
#include "asking.h"

#include "api/resources.h"
#include "base/text.h"

#define KEYS_ONLY                                                                                  \
	"#cloud-config\nusers:\n- name: root\n  ssh-import-id:\n"                                  \
	"  - gh:me #lxd:cloud-init.ssh-keys\n  ssh_import_id:\n"                                   \
	"  - gh:me #lxd:cloud-init.ssh-keys\n"
#define SSH_KEY    "cloud-init.ssh-keys.me", "root:gh:me"
#define WITH_USERS "#cloud-config\nusers: [a]\n"

static struct snapshot *with(const char *const *config)
{
	return records_snapshot(records_new("web1", config), NULL);
}

static void assert_get(const char *const *config, const char *key, unsigned status,
		       const char *expected)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = with(config);
	char target[100];

	snprintf(target, sizeof(target), "/1.0/config/%s", key);
	assert_answer(s, "GET", target, status, expected);
}

struct listed {
	const char *keys[32];
	size_t n;
};

static int note_key(void *ctx, const char *key, bool is_in_list)
{
	struct listed *listed = ctx;

	if (is_in_list)
		listed->keys[listed->n++] = key;
	return 0;
}

static bool is_listed(const struct listed *listed, const char *key)
{
	for (size_t i = 0; i < listed->n; i++) {
		if (streq(listed->keys[i], key))
			return true;
	}
	return false;
}

static bool answers_ok(struct snapshot *s, const char *key)
{
	_cleanup_(freep) char *owned = NULL;
	enum outcome outcome;
	const char *bytes;
	size_t n;

	assert_int_equal(config_value(s, key, &outcome, &bytes, &n, &owned), 0);
	return outcome == OUTCOME_OK;
}

/* The list is @expected, and for every key of @config and the seed keys it tells the truth. */
static void assert_list(const char *const *config, const char *expected)
{
	static const char *const seeds[] = {"cloud-init.user-data", "cloud-init.vendor-data",
					    "user.user-data", "user.vendor-data"};
	_cleanup_(snapshot_unrefp) struct snapshot *s = with(config);
	struct listed listed = {.n = 0};

	assert_answer(s, "GET", "/1.0/config", 200, expected);
	assert_int_equal(config_each(s, note_key, &listed), 0);
	for (size_t i = 0; i < listed.n; i++)
		assert_true(answers_ok(s, listed.keys[i]));
	for (size_t i = 0; config[i]; i += 2) {
		if (!text_has_prefix(config[i], "cloud-init.ssh-keys."))
			assert_int_equal(is_listed(&listed, config[i]), answers_ok(s, config[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(seeds); i++)
		assert_int_equal(is_listed(&listed, seeds[i]), answers_ok(s, seeds[i]));
}

static void test_namespaces(void **state)
{
	const char *const *config = PAIRS("limits.cpu", "2", "user.a", "bar %s bar", "userx", "1");

	assert_get(config, "user.a", 200, "bar %s bar");
	assert_get(config, "user.b", 404, "Not Found\n");
	assert_get(config, "limits.cpu", 403, "Forbidden\n");
	assert_get(config, "security.nesting", 403, "Forbidden\n");
	assert_get(config, "userx", 403, "Forbidden\n");
	assert_get(config, "user", 403, "Forbidden\n");
	assert_get(config, "User.a", 403, "Forbidden\n");
}

static void test_encoded_keys(void **state)
{
	const char *const *config = PAIRS("user.a/b", "1", "user.a b%c", "2", "user.\u00e9", "3");

	assert_get(config, "user.a%2Fb", 200, "1");
	assert_get(config, "user.a%20b%25c", 200, "2");
	assert_get(config, "user.%C3%A9", 200, "3");
	assert_list(config, "[\"/1.0/config/user.a b%c\",\"/1.0/config/user.a/b\","
			    "\"/1.0/config/user.\u00e9\"]\n");
}

static void test_bytes_are_not_copied(void **state)
{
	struct record *record = records_new("web1", NO_PAIRS);
	struct table_pair pair = {"user.bin", "a\0b", 3};
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
	_cleanup_(reply_finish) struct reply reply = {0};

	table_unref(record->config);
	assert_int_equal(table_new(&pair, 1, &record->config), 0);
	s = records_snapshot(record, NULL);
	ask_as(i, s, "GET", "/1.0/config/user.bin", "", &reply);
	assert_int_equal(reply.body_len, 3);
	assert_memory_equal(reply.body, "a\0b", 3);
	assert_ptr_equal(reply.body, snapshot_config(s, "user.bin", NULL));
	assert_string_equal(reply_content_type(&reply), "application/octet-stream; charset=utf-8");
}

static void test_list(void **state)
{
	assert_list(NO_PAIRS, "[]\n");
	assert_list(PAIRS("limits.cpu", "1", "user.z", "1", "user.a", "1", "user.empty", "",
			  "cloud-init.network-config", "x", "volatile.x", "1", "user.\"q\"", "1"),
		    "[\"/1.0/config/cloud-init.network-config\",\"/1.0/config/user.\\\"q\\\"\","
		    "\"/1.0/config/user.a\",\"/1.0/config/user.z\"]\n");
}

static void test_empty_value(void **state)
{
	assert_get(PAIRS("user.a", ""), "user.a", 404, "Not Found\n");
	assert_get(PAIRS("cloud-init.user-data", ""), "cloud-init.user-data", 404, "Not Found\n");
}

/* Without ssh keys seed data is what was set, and nothing is made up. */
static void test_seed_without_keys(void **state)
{
	const char *const *config =
		PAIRS("cloud-init.user-data", "#cloud-config\nb: yes\na: 1", "user.vendor-data",
		      "x", "cloud-init.ssh-keys.off", "none");

	assert_get(config, "cloud-init.user-data", 200, "#cloud-config\nb: yes\na: 1");
	assert_get(config, "user.vendor-data", 200, "x");
	assert_get(config, "cloud-init.vendor-data", 404, "Not Found\n");
	assert_list(config, "[\"/1.0/config/cloud-init.user-data\","
			    "\"/1.0/config/user.vendor-data\"]\n");
}

static void test_ssh_keys_are_readable_but_not_listed(void **state)
{
	assert_get(PAIRS(SSH_KEY), "cloud-init.ssh-keys.me", 200, "root:gh:me");
	assert_get(PAIRS(SSH_KEY), "cloud-init.ssh-keys.you", 404, "Not Found\n");
}

static void test_seed_made_of_keys_alone(void **state)
{
	const char *const *config = PAIRS(SSH_KEY, "user.a", "1");

	assert_get(config, "cloud-init.vendor-data", 200, KEYS_ONLY);
	assert_get(config, "user.vendor-data", 200, KEYS_ONLY);
	assert_get(config, "cloud-init.user-data", 200, KEYS_ONLY);
	assert_get(config, "user.user-data", 200, KEYS_ONLY);
	assert_list(config, "[\"/1.0/config/user.a\",\"/1.0/config/cloud-init.vendor-data\","
			    "\"/1.0/config/user.vendor-data\",\"/1.0/config/cloud-init.user-data\","
			    "\"/1.0/config/user.user-data\"]\n");
}

/* cloud-init.X made up beside a user.X that was set would hide it from cloud-init. */
static void test_sibling_is_not_hidden(void **state)
{
	const char *const *config = PAIRS(SSH_KEY, "user.user-data", "#cloud-config\na: 1\n",
					  "cloud-init.user-data", "", "user.vendor-data", "raw");

	assert_get(config, "cloud-init.user-data", 404, "Not Found\n");
	assert_get(config, "cloud-init.vendor-data", 404, "Not Found\n");
	assert_get(config, "user.vendor-data", 200, "raw");
	assert_list(config, "[\"/1.0/config/user.user-data\",\"/1.0/config/user.vendor-data\"]\n");
}

static void test_vendor_users_win(void **state)
{
	const char *const *config = PAIRS(SSH_KEY, "cloud-init.vendor-data", WITH_USERS);

	assert_get(config, "cloud-init.user-data", 404, "Not Found\n");
	assert_get(config, "user.user-data", 404, "Not Found\n");
	assert_list(config, "[\"/1.0/config/cloud-init.vendor-data\"]\n");

	config = PAIRS(SSH_KEY, "user.vendor-data", WITH_USERS, "user.user-data",
		       "#cloud-config\nb: yes # c\na: 1\n");
	assert_get(config, "user.user-data", 200, "#cloud-config\nb: yes # c\na: 1\n");
}

static void assert_user_data_is_merged(const char *vendor_key, const char *vendor,
				       const char *user_data, bool expected)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		with(PAIRS(SSH_KEY, vendor_key, vendor, "cloud-init.user-data", user_data));
	_cleanup_(freep) char *owned = NULL;
	enum outcome outcome;
	const char *bytes;
	size_t n;

	assert_int_equal(config_value(s, "cloud-init.user-data", &outcome, &bytes, &n, &owned), 0);
	assert_int_equal(outcome, OUTCOME_OK);
	assert_int_equal(memmem(bytes, n, "gh:me", 5) != NULL, expected);
}

static void test_when_user_data_is_merged(void **state)
{
	const char *vendor = "cloud-init.vendor-data";
	const char *plain = "#cloud-config\na: 1\n";

	assert_user_data_is_merged(vendor, WITH_USERS, plain, false);
	assert_user_data_is_merged(vendor, WITH_USERS, WITH_USERS, true);
	assert_user_data_is_merged(vendor, WITH_USERS, "#cloud-config\nusers: []\n", true);
	assert_user_data_is_merged(vendor, plain, plain, true);
	assert_user_data_is_merged(vendor, "#cloud-config\nusers: []\n", plain, true);
	assert_user_data_is_merged(vendor, "#!/bin/sh\n", plain, true);
	assert_user_data_is_merged(vendor, "", plain, true);
	assert_user_data_is_merged(vendor, "", "#!/bin/sh\n", false);
	assert_user_data_is_merged("user.vendor-data", WITH_USERS, plain, false);
}

/* Of the other kind, cloud-init.X wins over user.X when it is not empty. */
static void test_which_vendor_data_counts(void **state)
{
	const char *user_data = "#cloud-config\na: 1\n";

	assert_get(PAIRS(SSH_KEY, "cloud-init.vendor-data", WITH_USERS, "user.vendor-data", "x",
			 "cloud-init.user-data", user_data),
		   "cloud-init.user-data", 200, user_data);
	assert_get(PAIRS(SSH_KEY, "cloud-init.vendor-data", "", "user.vendor-data", WITH_USERS,
			 "cloud-init.user-data", user_data),
		   "cloud-init.user-data", 200, user_data);
}

static int stop(void *ctx, const char *key, bool is_in_list)
{
	++*(unsigned *)ctx;
	return 7;
}

static void test_list_stops_when_told(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = with(PAIRS("user.a", "1", SSH_KEY));
	unsigned n_calls = 0;

	assert_int_equal(config_each(s, stop, &n_calls), 7);
	assert_int_equal(n_calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_encoded_keys),
		cmocka_unit_test(test_bytes_are_not_copied),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_empty_value),
		cmocka_unit_test(test_seed_without_keys),
		cmocka_unit_test(test_ssh_keys_are_readable_but_not_listed),
		cmocka_unit_test(test_seed_made_of_keys_alone),
		cmocka_unit_test(test_sibling_is_not_hidden),
		cmocka_unit_test(test_vendor_users_win),
		cmocka_unit_test(test_when_user_data_is_merged),
		cmocka_unit_test(test_which_vendor_data_counts),
		cmocka_unit_test(test_list_stops_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
