/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /1.0/config and /1.0/config/{key}
 *
 * Decides which keys a guest sees and when seed data is merged with
 * cloud-init.ssh-keys.*; how it is merged is seed.c's business. A merged text is
 * made for each request: clients read it once per boot.
 *
 * Invariant: a path is in the list if and only if GET on it answers 200; the
 * exception is cloud-init.ssh-keys.*, readable one by one and never listed.
 *  - A key without a value is as good as unset.
 *  - Without ssh keys every text is sent as it was set.
 *  - With ssh keys the four seed keys are merged. An unset one exists then too,
 *    made of the keys alone, but only if its sibling (cloud-init.X for user.X and the
 *    other way round) is unset as well: cloud-init prefers cloud-init.X, which would
 *    hide what the operator wrote in user.X. Such pairs end the list.
 *  - user-data is left alone when it says nothing about users and vendor-data
 *    does: cloud-init takes `users` from user-data first, so merging would hide the others.
 */
#include "api/resources.h"
#include "api/seed.h"
#include "base/json.h"
#include "base/text.h"
#include "core/snapshot.h"

#define PATH_PREFIX     "/1.0/config/"
#define SSH_KEYS_PREFIX "cloud-init.ssh-keys."

struct text {
	const char *bytes;
	size_t len;
};

/* Seed data of one kind: what is in the first key wins over the second. */
struct seed_pair {
	const char *keys[2];
	bool yields_to_vendor;
};

static const struct seed_pair pairs[] = {
	{.keys = {"cloud-init.vendor-data", "user.vendor-data"}},
	{.keys = {"cloud-init.user-data", "user.user-data"}, .yields_to_vendor = true},
};
static const struct seed_pair *const vendor_pair = &pairs[0];

static const struct seed_pair *pair_of(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (streq(key, pairs[i].keys[0]) || streq(key, pairs[i].keys[1]))
			return &pairs[i];
	}
	return NULL;
}

bool config_is_readable(const char *key)
{
	return text_has_prefix(key, "user.") || text_has_prefix(key, "cloud-init.");
}

/* The value of @key; empty when unset. */
static struct text value_of(const struct snapshot *s, const char *key)
{
	struct text value = {0};

	value.bytes = snapshot_config(s, key, &value.len);
	return value.bytes ? value : (struct text){.bytes = ""};
}

static struct text pair_value(const struct snapshot *s, const struct seed_pair *pair)
{
	struct text first = value_of(s, pair->keys[0]);

	return first.len > 0 ? first : value_of(s, pair->keys[1]);
}

/* The ssh keys that can be merged, in key order; *ret (caller frees) points into @s. Returns 0 or -ENOMEM. */
static int collect_keys(const struct snapshot *s, struct seed_key **ret, size_t *ret_n)
{
	_cleanup_(freep) struct seed_key *keys = NULL;
	const char *name = SSH_KEYS_PREFIX, *value;
	size_t n = 0, size = 0, len;

	while (snapshot_config_next(s, &name, &value, &len) &&
	       text_has_prefix(name, SSH_KEYS_PREFIX)) {
		if (n == size) {
			struct seed_key *more;

			size = size ? size * 2 : 8;
			more = reallocarray(keys, size, sizeof(*keys));
			if (!more)
				return -ENOMEM;
			keys = more;
		}
		if (seed_key_parse(value, len, &keys[n]))
			n++;
	}
	*ret = steal_ptr(&keys);
	*ret_n = n;
	return 0;
}

/* Whether ssh keys go into user-data with the text @own: 1, 0 or -ENOMEM. */
static int user_data_takes_keys(const struct snapshot *s, struct text own)
{
	struct text vendor = pair_value(s, vendor_pair);
	int r = seed_users(own.bytes, own.len);

	if (r != SEED_USERS_NONE)
		return r == -EINVAL ? 0 : r < 0 ? r : 1;
	r = seed_users(vendor.bytes, vendor.len);
	if (r < 0 && r != -EINVAL)
		return r;
	return r != SEED_USERS_SOME;
}

/*
 * Appends what the seed key of @pair with the value @own is merged to. Returns
 * 1, 0 when it is sent as set (nothing appended), or -ENOMEM.
 */
static int merge(const struct snapshot *s, const struct seed_pair *pair, struct text own,
		 struct buf *b)
{
	_cleanup_(freep) struct seed_key *keys = NULL;
	size_t n_keys;
	int r;

	if (own.len == 0 && pair_value(s, pair).len > 0)
		return 0;
	r = collect_keys(s, &keys, &n_keys);
	if (r < 0 || n_keys == 0)
		return r;
	if (pair->yields_to_vendor) {
		r = user_data_takes_keys(s, own);
		if (r <= 0)
			return r;
	}
	r = seed_merge(own.bytes, own.len, keys, n_keys, b);
	if (r == -EINVAL)
		return 0;
	return r < 0 ? r : 1;
}

int config_value(struct snapshot *s, const char *key, enum outcome *ret_outcome,
		 const char **ret_bytes, size_t *ret_len, char **ret_owned)
{
	_cleanup_(buf_finish) struct buf merged = {0};
	const struct seed_pair *pair = pair_of(key);
	struct text value = value_of(s, key);
	int r = 0;

	if (!config_is_readable(key)) {
		*ret_outcome = OUTCOME_FORBIDDEN;
		return 0;
	}
	if (pair)
		r = merge(s, pair, value, &merged);
	if (r < 0)
		return r;
	if (r == 0 && value.len == 0) {
		*ret_outcome = OUTCOME_NOT_FOUND;
		return 0;
	}
	*ret_len = r ? merged.len : value.len;
	*ret_owned = r ? buf_steal(&merged, NULL) : NULL;
	*ret_bytes = r ? *ret_owned : value.bytes;
	*ret_outcome = OUTCOME_OK;
	return 0;
}

int config_get(const struct request *request, struct reply *reply)
{
	_cleanup_(freep) char *owned = NULL;
	enum outcome outcome;
	const char *bytes;
	size_t n;
	int r;

	r = config_value(request->snapshot, request->params[0], &outcome, &bytes, &n, &owned);
	if (r < 0)
		return r;
	if (outcome != OUTCOME_OK)
		reply_error(reply, outcome, NULL);
	else if (owned)
		reply_owned(reply, REPLY_RAW, steal_ptr(&owned), n);
	else
		reply_value(reply, request->snapshot, bytes, n);
	return 0;
}

int config_each(struct snapshot *s, int (*each)(void *ctx, const char *key, bool is_listed),
		void *ctx)
{
	const char *key = NULL, *value;
	size_t len;
	int r = 0;

	while (r == 0 && snapshot_config_next(s, &key, &value, &len)) {
		if (len > 0 && config_is_readable(key))
			r = each(ctx, key, !text_has_prefix(key, SSH_KEYS_PREFIX));
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(pairs); i++) {
		_cleanup_(buf_finish) struct buf merged = {0};

		if (pair_value(s, &pairs[i]).len > 0)
			continue;
		r = merge(s, &pairs[i], (struct text){.bytes = ""}, &merged);
		if (r <= 0)
			continue;
		r = each(ctx, pairs[i].keys[0], true);
		if (r == 0)
			r = each(ctx, pairs[i].keys[1], true);
	}
	return r;
}

struct list {
	struct buf json, path;
};

static int append_path(void *ctx, const char *key, bool is_listed)
{
	struct list *list = ctx;
	int r = 0;

	if (!is_listed)
		return 0;
	if (list->json.len > 1)
		r = buf_putc(&list->json, ',');
	buf_finish(&list->path);
	if (r >= 0)
		r = buf_printf(&list->path, PATH_PREFIX "%s", key);
	return r < 0 ? r : json_append_string(&list->json, list->path.data, list->path.len, false);
}

int config_list(const struct request *request, struct reply *reply)
{
	struct list list = {0};
	int r = buf_putc(&list.json, '[');

	if (r >= 0)
		r = config_each(request->snapshot, append_path, &list);
	if (r >= 0)
		r = buf_puts(&list.json, "]\n");
	if (r >= 0)
		r = reply_bytes(reply, REPLY_JSON, &list.json);
	buf_finish(&list.json);
	buf_finish(&list.path);
	return r;
}
