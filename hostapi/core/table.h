#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Immutable sorted table of string -> bytes
 *
 * One allocation, reference-counted, for config and device keys: a record of
 * 50 keys costs its bytes plus 2 per key. Keys are C strings, unique, sorted by byte value;
 * values have a length and may hold NUL.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct table;

struct table_pair {
	const char *key;
	const char *value;
	size_t value_len;
};

/*
 * Copies the @n @pairs (any order; the last of equal keys wins). *ret is NULL when @n is 0.
 * Returns 0, -ENOMEM, or -EFBIG past 4 GiB. Release *ret with table_unref().
 */
int table_new(const struct table_pair *pairs, size_t n, struct table **ret);

/* Both accept NULL, which is the empty table everywhere below. */
struct table *table_ref(struct table *t);
struct table *table_unref(struct table *t); /* always NULL */
DEFINE_CLEANUP(struct table *, table_unref);

/* How many pairs it holds. */
size_t table_size(const struct table *t);

/* The value of @key, NUL-terminated, owned by the table; NULL when absent. @ret_len may be NULL. */
const char *table_get(const struct table *t, const char *key, size_t *ret_len);

/* The pair at @i < table_size(), in key order; pointers live as long as the table. */
struct table_pair table_at(const struct table *t, size_t i);

/* The index of the first key above @key (NULL: of the first key), table_size() when there is none. */
size_t table_after(const struct table *t, const char *key);

/* Whether both hold the same keys with the same values. */
bool table_equal(const struct table *a, const struct table *b);
