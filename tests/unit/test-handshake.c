/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handshake of a websocket: the example of its RFC, and everything that must not pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/handshake.h"
#include "base/cleanup.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static const struct request_upgrade good = {
	.is_http_1_1 = true,
	.upgrade = "websocket",
	.connection = "Upgrade",
	.version = "13",
	.key = KEY,
	.host = "lxd",
};

static enum outcome judge(struct request_upgrade u)
{
	char accept[REPLY_ACCEPT_SIZE];

	return handshake_check(&u, accept);
}

static void test_sample(void **state)
{
	char accept[REPLY_ACCEPT_SIZE];

	assert_true(handshake_is_wanted(&good));
	assert_int_equal(handshake_check(&good, accept), OUTCOME_OK);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void test_wanted(void **state)
{
	static const char *const others[] = {NULL, "", "WebSocket", "websocket, h2c", "h2c"};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(handshake_is_wanted(&(struct request_upgrade){.upgrade = others[i]}));
}

static void test_tokens(void **state)
{
	static const char *const with[] = {"upgrade",       "Upgrade",       "keep-alive, Upgrade",
					   "UPGRADE,close", " ,, upgrade ,", "a,\tupgrade"};
	static const char *const without[] = {NULL,        "",          ",",         "upgrades",
					      "up, grade", "x-upgrade", "keep-alive"};

	for (size_t i = 0; i < ARRAY_SIZE(with); i++)
		assert_true(handshake_has_token(with[i], "upgrade"));
	for (size_t i = 0; i < ARRAY_SIZE(without); i++)
		assert_false(handshake_has_token(without[i], "upgrade"));
}

static void test_incomplete(void **state)
{
	static const char *const keys[] = {
		NULL,
		"",
		"dGhlIHNhbXBsZSBub25jZQ",
		"dGhlIHNhbXBsZSBub25jZQ= =",
		"dGhlIHNhbXBsZSBub25jZQ=\t",
		"dGhlIHNhbXBsZSBub25jZSE=",
		"dGhlIHNhbXBsZSBub25jZSEh",
		"dGhlIHNhbXBsZSBub25jZQ==AAAA",
		"dGhlIHNhbXBsZSBub25j!Q==",
	};
	struct request_upgrade u = good;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		u.key = keys[i];
		assert_int_equal(judge(u), OUTCOME_BAD_REQUEST);
	}
	u = good;
	u.is_http_1_1 = false;
	assert_int_equal(judge(u), OUTCOME_BAD_REQUEST);
	u = good;
	u.connection = NULL;
	assert_int_equal(judge(u), OUTCOME_BAD_REQUEST);
	u = good;
	u.version = "8";
	assert_int_equal(judge(u), OUTCOME_BAD_REQUEST);
	u.version = NULL;
	assert_int_equal(judge(u), OUTCOME_BAD_REQUEST);
}

static void test_origins(void **state)
{
	static const struct {
		const char *origin, *host;
		bool is_good;
	} rows[] = {
		{NULL, NULL, true},
		{NULL, "lxd", true},
		{"http://lxd", "lxd", true},
		{"HTTPS://LXD", "lxd", true},
		{"ws://lxd", "lxd", true},
		{"wss://lxd:8443", "lxd", true},
		{"http://lxd:80", "lxd:80", true},
		{"http://[::1]:80", "[::1]:80", true},
		{"http://[::1]:80", "[::1]", true},
		{"http://[::1]", "[::1]", true},
		{"http://lxd", "lxd:80", false},
		{"http://lxd:81", "lxd:80", false},
		{"http://other", "lxd", false},
		{"http://lxd.example", "lxd", false},
		{"http://lx", "lxd", false},
		{"http://user@lxd", "lxd", false},
		{"http://lxd/", "lxd", false},
		{"http://lxd:x", "lxd", false},
		{"http://", "", false},
		{"http://", NULL, false},
		{"file://lxd", "lxd", false},
		{"lxd", "lxd", false},
		{"//lxd", "lxd", false},
		{"null", "lxd", false},
		{"", "lxd", false},
		{"", "", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request_upgrade u = good;

		u.origin = rows[i].origin;
		u.host = rows[i].host;
		assert_int_equal(judge(u), rows[i].is_good ? OUTCOME_OK : OUTCOME_FORBIDDEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample),  cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_tokens),  cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_origins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
