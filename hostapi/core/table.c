/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Immutable sorted table of string -> bytes
 *
 * Header, offsets and bytes are one block: the bytes hold key NUL value NUL for
 * each pair in order, the offsets say where each key begins, and the last one
 * where the bytes end; a value is what lies between its key and the next one.
 * Offsets have two bytes when all bytes can be reached with that, else four.
 * Nothing else decides the content, so equal tables are equal blocks. Knows
 * nothing of what keys mean.
 */
#include "core/table.h"

#include <assert.h>

struct table {
	_Atomic unsigned refs;
	uint32_t n : 31, is_wide : 1;
	uint32_t offsets[]; /* n + 1 of them, as uint16_t unless is_wide; then the bytes */
};

static size_t offsets_size(size_t n, bool is_wide)
{
	return (n + 1) * (is_wide ? sizeof(uint32_t) : sizeof(uint16_t));
}

static uint32_t table_offset(const struct table *t, size_t i)
{
	return t->is_wide ? t->offsets[i] : ((const uint16_t *)t->offsets)[i];
}

static void set_offset(struct table *t, size_t i, size_t offset)
{
	if (t->is_wide)
		t->offsets[i] = offset;
	else
		((uint16_t *)t->offsets)[i] = offset;
}

static const char *table_key(const struct table *t, size_t i)
{
	return (const char *)t->offsets + offsets_size(t->n, t->is_wide) + table_offset(t, i);
}

/* Equal keys stay in the order in which they were given: the array they point into tells it. */
static int compare_pairs(const void *a, const void *b)
{
	const struct table_pair *x = *(const struct table_pair *const *)a;
	const struct table_pair *y = *(const struct table_pair *const *)b;
	int r = strcmp(x->key, y->key);

	return r != 0 ? r : (x > y) - (x < y);
}

/* Drops all but the last of equal neighbours; returns how many are left. */
static size_t keep_last(const struct table_pair **order, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || !streq(order[i]->key, order[i + 1]->key))
			order[kept++] = order[i];
	return kept;
}

static void fill(struct table *t, const struct table_pair *const *order)
{
	char *bytes = (char *)t->offsets + offsets_size(t->n, t->is_wide);
	char *p = bytes;

	for (size_t i = 0; i < t->n; i++) {
		set_offset(t, i, p - bytes);
		p = stpcpy(p, order[i]->key) + 1;
		if (order[i]->value_len > 0)
			p = mempcpy(p, order[i]->value, order[i]->value_len);
		*p++ = '\0';
	}
	set_offset(t, t->n, p - bytes);
}

int table_new(const struct table_pair *pairs, size_t n, struct table **ret)
{
	_cleanup_(freep) const struct table_pair **order = NULL;
	struct table *t;
	uint64_t size = 0;
	bool is_wide;

	if (n == 0) {
		*ret = NULL;
		return 0;
	}
	order = calloc(n, sizeof(*order));
	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = &pairs[i];
	qsort(order, n, sizeof(*order), compare_pairs);
	n = keep_last(order, n);

	for (size_t i = 0; i < n; i++) {
		if (order[i]->value_len > UINT32_MAX)
			return -EFBIG;
		size += strlen(order[i]->key) + 1 + order[i]->value_len + 1;
	}
	if (size > UINT32_MAX || n > INT32_MAX)
		return -EFBIG;
	is_wide = size > UINT16_MAX;
	t = malloc(sizeof(*t) + offsets_size(n, is_wide) + size);
	if (!t)
		return -ENOMEM;
	t->refs = 1;
	t->n = n;
	t->is_wide = is_wide;
	fill(t, order);
	*ret = t;
	return 0;
}

struct table *table_ref(struct table *t)
{
	if (t)
		t->refs++;
	return t;
}

struct table *table_unref(struct table *t)
{
	if (t) {
		assert(t->refs > 0);
		if (--t->refs == 0)
			free(t);
	}
	return NULL;
}

size_t table_size(const struct table *t)
{
	return t ? t->n : 0;
}

size_t table_after(const struct table *t, const char *key)
{
	size_t low = 0, high = table_size(t);

	while (key && low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(table_key(t, middle), key) > 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct table_pair table_at(const struct table *t, size_t i)
{
	const char *key, *value;

	assert(i < table_size(t));
	key = table_key(t, i);
	value = key + strlen(key) + 1;
	return (struct table_pair){key, value, table_key(t, i + 1) - value - 1};
}

const char *table_get(const struct table *t, const char *key, size_t *ret_len)
{
	size_t i = table_after(t, key);
	struct table_pair pair;

	if (i == 0 || !streq(table_key(t, i - 1), key))
		return NULL;
	pair = table_at(t, i - 1);
	if (ret_len)
		*ret_len = pair.value_len;
	return pair.value;
}

/* Bytes from the first offset to the last NUL. */
static size_t content_size(const struct table *t)
{
	return offsets_size(t->n, t->is_wide) + table_offset(t, t->n);
}

bool table_equal(const struct table *a, const struct table *b)
{
	if (a == b)
		return true;
	if (table_size(a) == 0 || table_size(a) != table_size(b))
		return table_size(a) == table_size(b);
	return content_size(a) == content_size(b) &&
	       memcmp(a->offsets, b->offsets, content_size(a)) == 0;
}
