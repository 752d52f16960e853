/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Immutable sorted table of string -> bytes
 *
 * Header, entries and bytes are one block: the entries are offsets into the
 * bytes, which hold key NUL value NUL for each entry in order. Nothing else
 * decides the content, so equal tables are equal blocks. Knows nothing of what
 * keys mean.
 */
#include "core/table.h"

#include <assert.h>

/* Offsets from the first byte after the entries. */
struct entry {
	uint32_t key, value, value_len;
};

struct table {
	_Atomic unsigned refs;
	uint32_t n;
	struct entry entries[];
};

static const char *table_bytes(const struct table *t)
{
	return (const char *)&t->entries[t->n];
}

static const char *table_key(const struct table *t, size_t i)
{
	return table_bytes(t) + t->entries[i].key;
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
	char *bytes = (char *)&t->entries[t->n];
	uint32_t at = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct entry *e = &t->entries[i];
		size_t key_len = strlen(order[i]->key);

		*e = (struct entry){at, at + key_len + 1, order[i]->value_len};
		memcpy(bytes + e->key, order[i]->key, key_len + 1);
		if (e->value_len > 0)
			memcpy(bytes + e->value, order[i]->value, e->value_len);
		at = e->value + e->value_len;
		bytes[at++] = '\0';
	}
}

int table_new(const struct table_pair *pairs, size_t n, struct table **ret)
{
	_cleanup_(freep) const struct table_pair **order = NULL;
	struct table *t;
	uint64_t size;

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

	size = sizeof(*t) + (uint64_t)n * sizeof(struct entry);
	for (size_t i = 0; i < n; i++) {
		if (order[i]->value_len > UINT32_MAX)
			return -EFBIG;
		size += strlen(order[i]->key) + 1 + order[i]->value_len + 1;
	}
	if (size > UINT32_MAX)
		return -EFBIG;
	t = malloc(size);
	if (!t)
		return -ENOMEM;
	t->refs = 1;
	t->n = n;
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

const char *table_get(const struct table *t, const char *key, size_t *ret_len)
{
	size_t i = table_after(t, key);

	if (i == 0 || !streq(table_key(t, i - 1), key))
		return NULL;
	if (ret_len)
		*ret_len = t->entries[i - 1].value_len;
	return table_bytes(t) + t->entries[i - 1].value;
}

struct table_pair table_at(const struct table *t, size_t i)
{
	const struct entry *e = &t->entries[i];

	assert(i < table_size(t));
	return (struct table_pair){table_key(t, i), table_bytes(t) + e->value, e->value_len};
}

/* Bytes from the first entry to the last NUL. */
static size_t content_size(const struct table *t)
{
	const struct entry *last = &t->entries[t->n - 1];

	return t->n * sizeof(*last) + last->value + last->value_len + 1;
}

bool table_equal(const struct table *a, const struct table *b)
{
	if (a == b)
		return true;
	if (table_size(a) == 0 || table_size(a) != table_size(b))
		return table_size(a) == table_size(b);
	return content_size(a) == content_size(b) &&
	       memcmp(a->entries, b->entries, content_size(a)) == 0;
}
