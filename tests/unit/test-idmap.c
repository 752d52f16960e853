/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "core/idmap.h"

#define NOBODY UINT32_MAX

/* Who @inside is for the host by @text, which can be parsed. */
static uint32_t in_map(const char *text, uint32_t inside)
{
	_cleanup_(idmap_table_finish) struct idmap_table table = {0};
	uint32_t host = NOBODY;
	bool has_one;

	assert_int_equal(idmap_table_parse(text, &table), 0);
	has_one = idmap_to_host(&table, inside, &host);
	assert_true(has_one == (host != NOBODY));
	return host;
}

static void test_one_extent(void **state)
{
	static const char text[] = "         0     100000      65536\n";

	assert_int_equal(in_map(text, 0), 100000);
	assert_int_equal(in_map(text, 65535), 165535);
	assert_int_equal(in_map(text, 65536), NOBODY);
	assert_int_equal(in_map(text, UINT32_MAX), NOBODY);
}

static void test_several_extents(void **state)
{
	static const char text[] = "1000 5 1\n0 200000 1000\n70000 70000 2\n";

	assert_int_equal(in_map(text, 0), 200000);
	assert_int_equal(in_map(text, 999), 200999);
	assert_int_equal(in_map(text, 1000), 5);
	assert_int_equal(in_map(text, 1001), NOBODY);
	assert_int_equal(in_map(text, 69999), NOBODY);
	assert_int_equal(in_map(text, 70001), 70001);
	assert_int_equal(in_map("1 100000 65536\n", 0), NOBODY);
	assert_int_equal(in_map("", 0), NOBODY);
}

static void test_all_ids(void **state)
{
	assert_int_equal(in_map("0 0 4294967295\n", 0), 0);
	assert_int_equal(in_map("0 0 4294967295\n", UINT32_MAX - 1), UINT32_MAX - 1);
	assert_int_equal(in_map("0 0 4294967295\n", UINT32_MAX), NOBODY);
}

/* What the reader's namespace does not have has the id of nobody. */
static void test_not_for_us(void **state)
{
	static const char text[] = "0 4294967295 1000\n1000 7 1\n";
	_cleanup_(idmap_table_finish) struct idmap_table table = {0};

	assert_int_equal(in_map(text, 0), NOBODY);
	assert_int_equal(in_map(text, 1), NOBODY);
	assert_int_equal(in_map(text, 1000), 7);
	assert_int_equal(idmap_table_parse(text, &table), 0);
	assert_int_equal(table.n, 1);
}

static void test_malformed(void **state)
{
	static const char *const texts[] = {
		"0 100000\n",       "0 100000 1",
		"0 100000 1 \n",    "0 100000 1\n\n",
		"0 100000 1\nx",    "\n",
		"-1 0 1\n",         "0 -1 1\n",
		"0 0 0\n",          "1 0 4294967295\n",
		"0 1 4294967295\n", "4294967295 0 1\n",
		"0 0 4294967296\n", "0 0 99999999999999999999999999999999\n",
		"0\n0\n1\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct idmap_table table = {.n = 7};

		assert_int_equal(idmap_table_parse(texts[i], &table), -EINVAL);
		assert_int_equal(table.n, 7);
	}
}

static void test_most(void **state)
{
	_cleanup_(idmap_table_finish) struct idmap_table table = {0};
	char text[(IDMAP_EXTENTS_MAX + 1) * 34 + 1];
	size_t len = 0;
	uint32_t host;

	for (unsigned i = 0; i < IDMAP_EXTENTS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%10u %10u %10u\n", 2 * i,
					5000 - i, 1);
	assert_int_equal(idmap_table_parse(text, &table), 0);
	assert_int_equal(table.n, IDMAP_EXTENTS_MAX);
	assert_true(idmap_to_host(&table, 2 * 339, &host));
	assert_int_equal(host, 5000 - 339);
	assert_false(idmap_to_host(&table, 2 * 339 + 1, &host));
	snprintf(text + len, sizeof(text) - len, "%10u %10u %10u\n", 2000, 1, 1);
	assert_int_equal(idmap_table_parse(text, &(struct idmap_table){0}), -EINVAL);
}

/* Cut anywhere, it is refused or says the part that is there. */
static void test_byte_at_a_time(void **state)
{
	static const char text[] = "         0     100000      65536\n     70000          1   2\n";

	for (size_t n = 0; n < sizeof(text); n++) {
		_cleanup_(freep) char *cut = strndup(text, n);
		_cleanup_(idmap_table_finish) struct idmap_table table = {0};
		bool is_whole = n == 0 || cut[n - 1] == '\n';

		assert_int_equal(idmap_table_parse(cut, &table), is_whole ? 0 : -EINVAL);
	}
}

static void test_both(void **state)
{
	_cleanup_(idmap_finish) struct idmap map = {0};
	uint32_t host;

	assert_int_equal(idmap_parse("0 1000 1\n", "x", &map), -EINVAL);
	assert_int_equal(idmap_parse("x", "0 1000 1\n", &map), -EINVAL);
	assert_null(map.uid.extents);
	assert_int_equal(idmap_parse("0 1000 1\n", "0 2000 2\n", &map), 0);
	assert_true(idmap_to_host(&map.uid, 0, &host) && host == 1000);
	assert_false(idmap_to_host(&map.uid, 1, &host));
	assert_true(idmap_to_host(&map.gid, 1, &host) && host == 2001);
	idmap_finish(&map);
	assert_false(idmap_to_host(&map.gid, 1, &host));
	idmap_finish(&map);
}

static void test_range(void **state)
{
	struct idmap map = {0};
	uint32_t host;

	assert_int_equal(idmap_of_range(100000, 200000, 65536, &map), 0);
	assert_true(idmap_to_host(&map.uid, 65535, &host) && host == 165535);
	assert_true(idmap_to_host(&map.gid, 0, &host) && host == 200000);
	assert_false(idmap_to_host(&map.gid, 65536, &host));
	idmap_finish(&map);
	/* Never beyond the largest id, nor round to the first. */
	assert_int_equal(idmap_of_range(UINT32_MAX - 2, UINT32_MAX, 65536, &map), 0);
	assert_true(idmap_to_host(&map.uid, 1, &host) && host == UINT32_MAX - 1);
	assert_false(idmap_to_host(&map.uid, 2, &host));
	assert_false(idmap_to_host(&map.gid, 0, &host));
	idmap_finish(&map);
}

static void test_no_memory(void **state)
{
	int r = 0;

	ALLOC_WALK(r == -ENOMEM)
	{
		_cleanup_(idmap_finish) struct idmap map = {0};

		r = idmap_parse("0 1 1\n", "0 1 1\n1 5 1\n", &map);
		assert_true(r == 0 || (r == -ENOMEM && !map.uid.extents && !map.gid.extents));
	}
	assert_int_equal(r, 0);
	ALLOC_WALK(r == -ENOMEM)
	{
		_cleanup_(idmap_finish) struct idmap map = {0};

		r = idmap_of_range(1, 1, 1, &map);
		assert_true(r == 0 || (r == -ENOMEM && !map.uid.extents && !map.gid.extents));
	}
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_extent),     cmocka_unit_test(test_several_extents),
		cmocka_unit_test(test_all_ids),        cmocka_unit_test(test_not_for_us),
		cmocka_unit_test(test_malformed),      cmocka_unit_test(test_most),
		cmocka_unit_test(test_byte_at_a_time), cmocka_unit_test(test_both),
		cmocka_unit_test(test_range),          cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
