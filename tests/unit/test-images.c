/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Image export: always refused, quickly, in the main API's JSON form. */
#include "asking.h"

#define PATH "/1.0/images/abc/export"
#define ENVELOPE(code, msg)                                                                        \
	"{\"type\":\"error\",\"status\":\"\",\"status_code\":0,\"operation\":\"\","                \
	"\"error_code\":" code ",\"error\":\"" msg "\",\"metadata\":null}\n\n"

static void assert_export(const char *const *config, unsigned status, const char *expected)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		records_snapshot(records_new("web1", config), NULL);

	assert_answer(s, "GET", PATH, status, expected);
	assert_answer(s, "GET", PATH "?project=other", status, expected);
}

static void test_flags(void **state)
{
	assert_export(NO_PAIRS, 403, ENVELOPE("403", "Forbidden"));
	assert_export(PAIRS("security.devlxd.images", "false"), 403, ENVELOPE("403", "Forbidden"));
	assert_export(PAIRS("security.devlxd.images", "true"), 404, ENVELOPE("404", "Not Found"));
	assert_export(PAIRS("security.devlxd.images", "true", "security.devlxd", "no"), 403,
		      ENVELOPE("403", "Forbidden"));
	assert_export(PAIRS("security.devlxd.images", "true", "security.devlxd.socket", "no"), 403,
		      ENVELOPE("403", "Forbidden"));
}

static void test_record_gone(void **state)
{
	assert_answer(NULL, "GET", PATH, 403, ENVELOPE("403", "Forbidden"));
	assert_answer(NULL, "POST", PATH, 501, "Not Implemented\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_record_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
