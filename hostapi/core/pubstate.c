/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The form in which published states are kept
 *
 * A table is the number of its pairs, then for each both lengths, the key with its NUL, and the value. A content is the table of the
 * configuration, the number of devices, and for each the length of its name, that with its NUL, and its table.
 */
#include "core/pubstate.h"

#include <assert.h>
#include <xxhash.h>

#include "core/diff.h"
#include "core/event.h"
#include "core/record.h"
#include "core/table.h"

struct head {
	uint32_t size; /* of the whole entry */
	uint16_t type, name_len;
	uint32_t n_profiles, content_len;
	struct pubstate_id id;
	uint64_t first_n, n_lines;
	int64_t seconds, nanoseconds;
};
static_assert(sizeof(struct head) == 64, "no padding");

/* What is left to read. */
struct rest {
	const char *at;
	size_t n;
};

struct pubstate_id pubstate_hash(const void *bytes, size_t n)
{
	XXH128_hash_t hash = XXH3_128bits(bytes, n);

	return (struct pubstate_id){hash.low64, hash.high64};
}

static int put_number(struct buf *b, size_t n)
{
	uint32_t number = (uint32_t)n;

	return n > UINT32_MAX ? -EFBIG : buf_append(b, &number, sizeof(number));
}

static int put_pair(struct buf *b, const struct table_pair *p)
{
	size_t key_len = strlen(p->key);
	int r = put_number(b, key_len);

	if (r == 0)
		r = put_number(b, p->value_len);
	if (r == 0)
		r = buf_append(b, p->key, key_len + 1);
	return r < 0 ? r : buf_append(b, p->value, p->value_len);
}

static int put_table(struct buf *b, const struct table *t)
{
	int r = put_number(b, table_size(t));

	for (size_t i = 0; r == 0 && i < table_size(t); i++) {
		struct table_pair p = table_at(t, i);

		r = put_pair(b, &p);
	}
	return r;
}

static bool is_wanted(const char *key)
{
	return streq(key, "security.devlxd") ||
	       event_is_for_guest(&(struct change){.kind = CHANGE_CONFIG, .name = key});
}

/* The pairs that events are made of, as put_table(). */
static int put_config(struct buf *b, const struct table *t)
{
	size_t at = b->len;
	uint32_t n = 0;
	int r = put_number(b, 0);

	for (size_t i = 0; r == 0 && i < table_size(t); i++) {
		struct table_pair p = table_at(t, i);

		if (!is_wanted(p.key))
			continue;
		r = put_pair(b, &p);
		n++;
	}
	if (r == 0)
		memcpy(b->data + at, &n, sizeof(n));
	return r;
}

int pubstate_put_content(struct buf *b, const struct record *record)
{
	int r = put_config(b, record->config);

	if (r == 0)
		r = put_number(b, record->n_devices);
	for (size_t i = 0; r == 0 && i < record->n_devices; i++) {
		size_t n = strlen(record->devices[i].name);

		r = put_number(b, n);
		if (r == 0)
			r = buf_append(b, record->devices[i].name, n + 1);
		if (r == 0)
			r = put_table(b, record->devices[i].config);
	}
	return r;
}

static int read_number(struct rest *in, uint32_t *ret)
{
	if (in->n < sizeof(*ret))
		return -EINVAL;
	memcpy(ret, in->at, sizeof(*ret));
	in->at += sizeof(*ret);
	in->n -= sizeof(*ret);
	return 0;
}

/* @len bytes. */
static int read_bytes(struct rest *in, size_t len, const char **ret)
{
	if (len > in->n)
		return -EINVAL;
	*ret = in->at;
	in->at += len;
	in->n -= len;
	return 0;
}

/* A text of @len bytes with its NUL. */
static int read_text(struct rest *in, size_t len, const char **ret)
{
	const char *text;
	int r = read_bytes(in, len + 1, &text);

	if (r == 0 && strnlen(text, len + 1) != len)
		r = -EINVAL;
	if (r == 0)
		*ret = text;
	return r;
}

static int read_pair(struct rest *in, struct table_pair *ret)
{
	uint32_t key_len = 0, value_len = 0;
	int r = read_number(in, &key_len);

	if (r == 0)
		r = read_number(in, &value_len);
	if (r == 0)
		r = read_text(in, key_len, &ret->key);
	if (r < 0)
		return r;
	ret->value_len = value_len;
	return read_bytes(in, value_len, &ret->value);
}

static int read_table(struct rest *in, struct table **ret)
{
	_cleanup_(freep) struct table_pair *pairs = NULL;
	uint32_t n;
	int r = read_number(in, &n);

	/* No pair has fewer bytes than its two lengths and a NUL. */
	if (r < 0 || n > in->n / (2 * sizeof(n) + 1))
		return -EINVAL;
	pairs = calloc(n + 1, sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = read_pair(in, &pairs[i]);
	return r < 0 ? r : table_new(pairs, n, ret);
}

static int read_device(struct rest *in, struct device *ret)
{
	const char *name;
	uint32_t len;
	int r = read_number(in, &len);

	if (r == 0)
		r = read_text(in, len, &name);
	if (r < 0)
		return r;
	ret->name = strdup(name);
	return ret->name ? read_table(in, &ret->config) : -ENOMEM;
}

static int read_devices(struct rest *in, struct record *record)
{
	uint32_t n;
	int r = read_number(in, &n);

	if (r < 0 || n > in->n / (2 * sizeof(n) + 1))
		return -EINVAL;
	record->devices = calloc(n + 1, sizeof(*record->devices));
	if (!record->devices)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct device *devices = record->devices;

		/* The record's to free, whole or not. */
		record->n_devices++;
		r = read_device(in, &devices[i]);
		if (r == 0 && i > 0 && strcmp(devices[i - 1].name, devices[i].name) >= 0)
			r = -EINVAL;
	}
	return r;
}

int pubstate_read_content(const char *bytes, size_t n, const char *name, struct record **ret)
{
	_cleanup_(record_unrefp) struct record *record = record_new();
	struct rest in = {bytes, n};
	int r;

	if (!record)
		return -ENOMEM;
	record->name = strdup(name);
	if (!record->name)
		return -ENOMEM;
	r = read_table(&in, &record->config);
	if (r == 0)
		r = read_devices(&in, record);
	if (r == 0 && in.n > 0)
		r = -EINVAL;
	if (r == 0)
		*ret = steal_ptr(&record);
	return r;
}

int pubstate_put(struct buf *b, const struct pubstate_entry *e)
{
	size_t ids = e->n_profiles * sizeof(struct pubstate_id);
	size_t size = sizeof(struct head) + e->name_len + ids + e->content_len;
	const struct head head = {
		.size = (uint32_t)size,
		.type = (uint16_t)e->type,
		.name_len = (uint16_t)e->name_len,
		.n_profiles = (uint32_t)e->n_profiles,
		.content_len = (uint32_t)e->content_len,
		.id = e->id,
		.first_n = e->step.first_n,
		.n_lines = e->step.n_lines,
		.seconds = e->step.time.tv_sec,
		.nanoseconds = e->step.time.tv_nsec,
	};

	if (e->name_len > UINT16_MAX || size > UINT32_MAX)
		return -EFBIG;
	if (buf_reserve(b, size) < 0)
		return -ENOMEM;
	(void)buf_append(b, &head, sizeof(head));
	(void)buf_append(b, e->name, e->name_len);
	(void)buf_append(b, e->profiles, ids);
	(void)buf_append(b, e->content, e->content_len);
	return 0;
}

static bool is_entry(const struct head *h, size_t n)
{
	return h->size <= n && h->type > 0 && h->type < _KEPT_TYPE_N &&
	       (h->type == PUBSTATE_PROFILE) == (h->name_len == 0) && h->nanoseconds >= 0 &&
	       h->nanoseconds < 1000000000 &&
	       sizeof(*h) + h->name_len + (uint64_t)h->n_profiles * sizeof(struct pubstate_id) +
			       h->content_len ==
		       h->size;
}

ssize_t pubstate_read(const char *bytes, size_t n, struct pubstate_entry *ret)
{
	struct head h;

	if (n < sizeof(h))
		return -EINVAL;
	memcpy(&h, bytes, sizeof(h));
	if (!is_entry(&h, n))
		return -EINVAL;
	*ret = (struct pubstate_entry){
		.type = (enum pubstate_type)h.type,
		.id = h.id,
		.step = {h.first_n, h.n_lines, {h.seconds, h.nanoseconds}},
		.name = bytes + sizeof(h),
		.name_len = h.name_len,
		.n_profiles = h.n_profiles,
		.content_len = h.content_len,
	};
	ret->profiles = ret->name + h.name_len;
	ret->content = ret->profiles + h.n_profiles * sizeof(struct pubstate_id);
	return (ssize_t)h.size;
}

struct pubstate_id pubstate_profile(const struct pubstate_entry *e, size_t i)
{
	struct pubstate_id id;

	assert(i < e->n_profiles);
	memcpy(&id, e->profiles + i * sizeof(id), sizeof(id));
	return id;
}
