/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GET /1.0/meta-data: the exact text. */
#include "asking.h"

static void test_plain(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		records_snapshot(records_new("web1", NO_PAIRS), NULL);

	assert_answer(s, "GET", "/1.0/meta-data", 200, "instance-id: id-1\nlocal-hostname: web1\n");
}

static void test_hostname(void **state)
{
	struct record *record = records_new("web1", NO_PAIRS);
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	record->hostname = strdup("www.example.org");
	s = records_snapshot(record, NULL);
	assert_answer(s, "GET", "/1.0/meta-data", 200,
		      "instance-id: id-1\nlocal-hostname: www.example.org\n");
}

/* The operator's text follows as it is: no newline added, keys may repeat. */
static void test_user_text_is_appended(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = records_snapshot(
		records_new("web1", PAIRS("user.meta-data", "instance-id: mine\n%s: x")), NULL);

	assert_answer(s, "GET", "/1.0/meta-data", 200,
		      "instance-id: id-1\nlocal-hostname: web1\ninstance-id: mine\n%s: x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_hostname),
		cmocka_unit_test(test_user_text_is_appended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
