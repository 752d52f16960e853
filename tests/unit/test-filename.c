/* SPDX-License-Identifier: GPL-2.0-or-later */
/* File names: each name has one, no two have the same, and each can stand in a directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "core/filename.h"

static void assert_encoded(const char *name, const char *expected)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(filename_encode(name, &b), 0);
	assert_string_equal(b.data, expected);
	assert_int_equal(filename_is_plain(name), streq(name, expected));
}

static void test_examples(void **state)
{
	static const char *const plain[] = {"user.a", "...",  ".a",   "..a", " ",
					    "\\",     "a\nb", "\xff", "~"};

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		assert_encoded(plain[i], plain[i]);
	assert_encoded(".", "%2E");
	assert_encoded("..", "%2E%2E");
	assert_encoded("/", "%2F");
	assert_encoded("a/b/", "a%2Fb%2F");
	assert_encoded("%", "%25");
	assert_encoded("%2F", "%252F");
	assert_encoded("./..", ".%2F..");
}

static void test_appends(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(buf_puts(&b, "config/"), 0);
	assert_int_equal(filename_encode("a/b", &b), 0);
	assert_string_equal(b.data, "config/a%2Fb");
}

struct pair {
	char name[8];
	char *file;
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->file, ((const struct pair *)b)->file);
}

/* Of the bytes that encoding is about, and some others; short, so that neighbours meet. */
static void test_never_the_same_for_two(void **state)
{
	static const char alphabet[] = "./%25EF\xc3";
	enum {
		N = 200000
	};
	struct pair *list = calloc(N, sizeof(*list));
	unsigned seed = 1;

	assert_non_null(list);
	for (size_t i = 0; i < N; i++) {
		struct buf b = {0};
		size_t n = 1 + (size_t)rand_r(&seed) % 7;

		for (size_t k = 0; k < n; k++)
			list[i].name[k] = alphabet[(size_t)rand_r(&seed) % strlen(alphabet)];
		assert_int_equal(filename_encode(list[i].name, &b), 0);
		list[i].file = buf_steal(&b, NULL);
		assert_true(*list[i].file && !strchr(list[i].file, '/'));
		assert_false(streq(list[i].file, ".") || streq(list[i].file, ".."));
		assert_int_equal(filename_is_plain(list[i].name),
				 streq(list[i].file, list[i].name));
	}
	qsort(list, N, sizeof(*list), compare);
	for (size_t i = 1; i < N; i++)
		if (streq(list[i].file, list[i - 1].file))
			assert_string_equal(list[i].name, list[i - 1].name);
	for (size_t i = 0; i < N; i++)
		free(list[i].file);
	free(list);
}

static void test_no_memory(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};
	int r = 0;

	ALLOC_WALK(r == -ENOMEM)
	{
		buf_finish(&b);
		r = filename_encode("a/b%c//////////////////////////////////////////////////////",
				    &b);
	}
	assert_int_equal(r, 0);
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

static void test_fits(void **state)
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
		cmocka_unit_test(test_fits),      cmocka_unit_test(test_examples),
		cmocka_unit_test(test_appends),   cmocka_unit_test(test_never_the_same_for_two),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
