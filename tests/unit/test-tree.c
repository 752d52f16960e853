/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table: every row says all there is to say about it, consistently. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tree.h"

static void test_paths(void **state)
{
	for (enum tree_row row = 0; row < _TREE_N_ROWS; row++) {
		const struct tree_node *n = tree_row(row), *parent = tree_row(n->parent);
		char expected[100];

		assert_non_null(n->path);
		for (enum tree_row other = 0; other < row; other++)
			assert_string_not_equal(tree_row(other)->path, n->path);
		if (row == TREE_TOP) {
			assert_string_equal(n->path, "");
			assert_string_equal(tree_row_name(n), "");
			continue;
		}
		/* Parents come first, and are above. */
		assert_true(n->parent < row);
		assert_int_equal(parent->kind, TREE_DIRECTORY);
		snprintf(expected, sizeof(expected), "%s%s%s", parent->path,
			 *parent->path ? "/" : "", tree_row_name(n));
		assert_string_equal(n->path, expected);
	}
}

static void test_names(void **state)
{
	for (enum tree_row row = TREE_TOP + 1; row < _TREE_N_ROWS; row++) {
		const struct tree_node *n = tree_row(row);
		const char *name = tree_row_name(n);
		unsigned n_siblings = 0, n_params = 0;

		assert_true(*name && !strchr(name, '/'));
		assert_int_equal(tree_row_is_parameter(n),
				 name[0] == '{' && name[strlen(name) - 1] == '}');
		for (enum tree_row other = TREE_TOP + 1; other < _TREE_N_ROWS; other++)
			n_siblings += tree_row(other)->parent == n->parent;
		/* Names that stand for {…} are anybody's: nothing fixed may be beside them. */
		if (tree_row_is_parameter(n))
			assert_int_equal(n_siblings, 1);
		for (const char *at = n->path; (at = strchr(at, '{')); at++)
			n_params++;
		assert_in_range(n_params, 0, TREE_PARAMS_MAX);
	}
}

static bool has_parameter_below(enum tree_row row)
{
	for (enum tree_row child = TREE_TOP + 1; child < _TREE_N_ROWS; child++)
		if (tree_row(child)->parent == row && tree_row_is_parameter(tree_row(child)))
			return true;
	return false;
}

static void test_kinds(void **state)
{
	for (enum tree_row row = 0; row < _TREE_N_ROWS; row++) {
		const struct tree_node *n = tree_row(row);

		assert_true(n->help && *n->help);
		assert_int_equal(n->read != NULL, n->kind == TREE_CONTENT);
		assert_int_equal(n->list != NULL, has_parameter_below(row));
		assert_int_equal(n->mode & ~0777U, 0);
		/* Modes are no protection from the guest's root, so nothing says 0200 but what can be written. */
		if (n->kind != TREE_SOCKET)
			assert_int_equal((n->mode & 0222) != 0, n->is_writable);
		if (n->kind == TREE_DIRECTORY)
			assert_int_equal(n->mode, 0555);
		if (n->kind == TREE_SOCKET)
			assert_int_equal(n->mode, 0666);
		if (n->kind == TREE_DIRECTORY || n->kind == TREE_SOCKET)
			assert_false(n->by_rules);
		if (n->is_writable)
			assert_int_equal(n->kind, TREE_STREAM);
		if (n->kind == TREE_FILE)
			assert_int_equal(n->mode, 0444);
		/* What is below is there with it. */
		if (n->is_of_images)
			assert_int_equal(n->kind, TREE_DIRECTORY);
		/* What only the guest's root may read, the record can open to others. */
		if ((n->mode & 0077) == 0)
			assert_true(n->by_rules);
	}
}

static void test_ids(void **state)
{
	static const uint64_t lows[] = {0, 1, 2, 12345, TREE_LOW_MASK};
	static const uint32_t serials[] = {0, 1, 77, TREE_SERIAL_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(serials); i++)
		for (size_t k = 0; k < ARRAY_SIZE(lows); k++) {
			uint64_t id = tree_id(serials[i], lows[k]);

			assert_int_equal(tree_serial(id), serials[i]);
			assert_true((id & TREE_LOW_MASK) == lows[k]);
		}
	assert_true(tree_id(1, UINT64_MAX) == tree_id(1, TREE_LOW_MASK));
	/* No instance's, whatever the hash. */
	assert_true(tree_id_is_file(UINT64_MAX) && tree_serial(UINT64_MAX) > TREE_SERIAL_MAX);
	assert_false(tree_id_is_log(UINT64_MAX));
	assert_false(tree_id_is_file(tree_id(TREE_SERIAL_MAX, UINT64_MAX)));
	assert_int_equal(tree_serial(TREE_ROOT_ID), 0);
	assert_int_equal(tree_serial(TREE_SOCKET_ID), 0);
	assert_true(TREE_ROOT_ID != TREE_SOCKET_ID && TREE_TOP_LOW != TREE_OWN_SOCKET_LOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
