/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File names for keys and devices: what is encoded, and what is too long to have one
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/filename.h"

static void names_are_encoded(void **state)
{
	static const struct {
		const char *name, *file;
	} cases[] = {
		{"user.role", "user.role"}, {"a/b", "a%2Fb"}, {"100%", "100%25"}, {".", "%2E"},
		{"..", "%2E%2E"},           {"...", "..."},   {".a", ".a"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(buf_finish) struct buf b = {0};

		assert_int_equal(filename_encode(cases[i].name, &b), 0);
		assert_string_equal(b.data, cases[i].file);
		assert_int_equal(filename_is_plain(cases[i].name),
				 streq(cases[i].name, cases[i].file));
		assert_true(filename_fits(cases[i].name));
	}
}

/* A name of @n bytes, of which the first @n_encoded are encoded. */
static const char *name_of(size_t n, size_t n_encoded)
{
	static char name[1024];

	memset(name, 'a', n);
	memset(name, '/', n_encoded);
	name[n] = '\0';
	return name;
}

static void what_fits_is_what_the_encoding_says(void **state)
{
	static const struct {
		size_t n, n_encoded;
		bool fits;
	} cases[] = {{255, 0, true}, {256, 0, false}, {253, 1, true},  {254, 1, false},
		     {85, 85, true}, {86, 86, false}, {1000, 0, false}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *name = name_of(cases[i].n, cases[i].n_encoded);
		_cleanup_(buf_finish) struct buf b = {0};

		assert_int_equal(filename_fits(name), cases[i].fits);
		assert_int_equal(filename_encode(name, &b), 0);
		assert_int_equal(b.len <= FILENAME_MAX_BYTES, cases[i].fits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_encoded),
		cmocka_unit_test(what_fits_is_what_the_encoding_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
