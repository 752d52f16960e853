/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What has no file: only what the guest can read is counted
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "api/unnamed.h"
#include "base/cleanup.h"
#include "records.h"

/* @prefix and as many letters, or slashes, as make it @n bytes. */
static const char *key_of(char buf[512], const char *prefix, char letter, size_t n)
{
	memset(buf, letter, n);
	memcpy(buf, prefix, strlen(prefix));
	buf[n] = '\0';
	return buf;
}

static size_t count(struct record *r)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = records_snapshot(r, NULL);

	return unnamed_count(s);
}

static void keys_are_counted(void **state)
{
	char fits[512], plain[512], encoded[512], hidden[512], empty[512];
	const char *const pairs[] = {key_of(empty, "user.", 'e', 300),
				     "",
				     key_of(hidden, "limits.", 'h', 300),
				     "1",
				     key_of(encoded, "user.", '/', 100),
				     "1",
				     key_of(plain, "user.", 'p', 256),
				     "1",
				     key_of(fits, "user.", 'q', 255),
				     "1",
				     NULL};

	assert_int_equal(count(records_new("web1", pairs)), 2);
	assert_int_equal(count(records_new("web1", PAIRS("user.a", "1"))), 0);
}

static void devices_are_counted(void **state)
{
	char name[512], key[512], other[512];
	struct record *r = records_new("web1", PAIRS("user.a", "1"));

	key_of(key, "k", 'k', 300);
	records_add_device(r, key_of(name, "a", 'a', 300), PAIRS("type", "disk", key, "1"));
	records_add_device(r, "eth0",
			   PAIRS("type", "nic", key, "1", key_of(other, "l", 'l', 300), ""));
	assert_int_equal(count(r), 2);
}

static void what_is_switched_off_has_nothing(void **state)
{
	char key[512];

	key_of(key, "user.", 'k', 300);
	assert_int_equal(count(records_new("web1", PAIRS("security.devlxd", "false", key, "1"))),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_counted),
		cmocka_unit_test(devices_are_counted),
		cmocka_unit_test(what_is_switched_off_has_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
