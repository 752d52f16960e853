/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command table: every row is complete and can be told from every other
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "ctl/command.h"
#include "ctl/say.h"

static void test_rows_are_complete(void **state)
{
	const struct command *c;
	size_t n = 0;

	for (; (c = command_at(n)); n++) {
		assert_non_null(c->name);
		assert_non_null(c->run);
		assert_non_null(c->operands);
		assert_true(c->help && *c->help && c->help[strlen(c->help) - 1] != '.');
		assert_true(c->min_operands <= c->max_operands);
		/* Operands that must be there are not in brackets, and those that may are described. */
		assert_int_equal(c->max_operands > 0, *c->operands != '\0');
		assert_int_equal(c->max_operands > 0 && c->min_operands == 0, *c->operands == '[');
		assert_int_equal(c->kind, text_has_prefix(c->name, "profile ") &&
							  !text_has_prefix(c->operands, "NAME ")
						  ? RECORD_PROFILE
						  : RECORD_INSTANCE);
	}
	assert_in_range(n, 40, 127);
}

static void test_names_are_unique(void **state)
{
	const struct command *a, *b;

	for (size_t i = 0; (a = command_at(i)); i++) {
		for (size_t j = 0; (b = command_at(j)); j++) {
			size_t n = strlen(a->name);

			if (i == j)
				continue;
			assert_string_not_equal(a->name, b->name);
			/* No command is the beginning of another: its operand would be taken for a word. */
			assert_false(text_has_prefix(b->name, a->name) && b->name[n] == ' ');
		}
	}
}

static void check_options(const struct command_option *options, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(*options[i].name && *options[i].help);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(options[i].name, options[j].name);
			assert_false(options[i].letter && options[i].letter == options[j].letter);
		}
	}
}

static void test_options_are_unique(void **state)
{
	const struct command *c;
	size_t n;
	const struct command_option *common = command_common_options(&n);

	check_options(command_global_options(&n), n);
	common = command_common_options(&n);
	for (size_t i = 0; (c = command_at(i)); i++) {
		check_options(c->options, c->n_options);
		for (size_t o = 0; o < c->n_options; o++) {
			for (size_t k = 0; k < n; k++) {
				assert_string_not_equal(c->options[o].name, common[k].name);
				assert_false(common[k].letter &&
					     c->options[o].letter == common[k].letter);
			}
		}
	}
}

static void test_words(void **state)
{
	const struct command row = {.name = "config device remove", .alias = "rm"};
	char *full[] = {(char *)"config", (char *)"device", (char *)"remove", (char *)"x"};
	char *alias[] = {(char *)"config", (char *)"device", (char *)"rm"};
	char *other[] = {(char *)"config", (char *)"devices", (char *)"remove"};
	size_t n;

	assert_int_equal(command_words(&row, 4, full, &n), 3);
	assert_int_equal(n, 3);
	assert_int_equal(command_words(&row, 3, alias, &n), 3);
	assert_int_equal(command_words(&row, 2, full, &n), 2);
	assert_int_equal(command_words(&row, 3, other, &n), 1);
	assert_int_equal(command_words(&row, 0, NULL, &n), 0);
}

static void test_values(void **state)
{
	struct call_option options[] = {{"config", "a=1"}, {"vm", NULL}, {"config", "b=2"}};
	const struct call call = {.options = options, .n_options = ARRAY_SIZE(options)};
	size_t i = 0;

	assert_true(command_has(&call, "vm"));
	assert_false(command_has(&call, "lxc"));
	assert_string_equal(command_value(&call, "config"), "b=2");
	assert_null(command_value(&call, "lxc"));
	assert_string_equal(command_next(&call, "config", &i), "a=1");
	assert_string_equal(command_next(&call, "config", &i), "b=2");
	assert_null(command_next(&call, "config", &i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_complete),
		cmocka_unit_test(test_names_are_unique),
		cmocka_unit_test(test_options_are_unique),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
