/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cloud-init.ssh-keys.* merged into user-data and vendor-data
 *
 * The rules are LXD's (devlxd-api(7)): a key that holds a space is a public
 * key, else an import id; it goes under both spellings of the member, and each
 * added item carries a comment that tells where it came from. The order is that of
 * the keys given, so the same input gives the same bytes.
 *
 * Nothing is changed in place that was loaded: an aliased user or list may also
 * stand elsewhere, and one user's key must not reach another.
 */
#include "api/seed.h"

#include <assert.h>

#include "api/cloudcfg.h"
#include "api/cloudout.h"
#include "base/text.h"

#define COMMENT "#lxd:cloud-init.ssh-keys"

static const char *const public_key_members[] = {"ssh-authorized-keys", "ssh_authorized_keys"};
static const char *const import_id_members[] = {"ssh-import-id", "ssh_import_id"};

static void trim(const char **text, size_t *n)
{
	while (*n > 0 && memchr(" \t\r\n", (*text)[*n - 1], 4))
		(*n)--;
	while (*n > 0 && memchr(" \t\r\n", **text, 4)) {
		(*text)++;
		(*n)--;
	}
}

bool seed_key_parse(const char *value, size_t n, struct seed_key *ret)
{
	const char *colon = memchr(value, ':', n);
	struct seed_key key = {0};

	if (!colon || memchr(value, '\0', n) || !text_is_utf8(value, n))
		return false;
	key.user = value;
	key.user_len = (size_t)(colon - value);
	key.key = colon + 1;
	key.key_len = n - key.user_len - 1;
	trim(&key.user, &key.user_len);
	trim(&key.key, &key.key_len);
	if (key.user_len == 0 || key.key_len == 0)
		return false;
	*ret = key;
	return true;
}

/*
 * The member @name of mapping @owner as a list that may be changed: a text
 * becomes its only item, nothing becomes an empty one. Returns its id, -EINVAL
 * for what cannot be a list, or -ENOMEM.
 */
static int own_list(struct cloudcfg *c, int owner, const char *name)
{
	int old = cloudcfg_member(c, owner, name);
	int list, r;

	if (old && cloudcfg_node(c, old)->type == YAML_MAPPING_NODE)
		return -EINVAL;
	if (old && cloudcfg_node(c, old)->type == YAML_SEQUENCE_NODE)
		list = cloudcfg_own(c, old);
	else
		list = cloudcfg_add_sequence(c);
	if (list < 0)
		return list;
	if (old && cloudcfg_node(c, old)->type == YAML_SCALAR_NODE && !cloudcfg_is_blank(c, old)) {
		r = cloudcfg_append(c, list, old);
		if (r < 0)
			return r;
	}
	r = cloudcfg_set_member(c, owner, name, list);
	return r < 0 ? r : list;
}

/* Adds @key under the member @name of the user @user. */
static int add_key(struct cloudcfg *c, int user, const char *name, const struct seed_key *key)
{
	int list = own_list(c, user, name);
	const yaml_node_t *node;
	int item;

	if (list < 0)
		return list;
	node = cloudcfg_node(c, list);
	for (const int *p = node->data.sequence.items.start; p < node->data.sequence.items.top;
	     p++) {
		if (cloudcfg_is_scalar(c, *p, key->key, key->key_len))
			return 0;
	}
	item = cloudcfg_add_scalar(c, key->key, key->key_len, true);
	return item < 0 ? item : cloudcfg_append(c, list, item);
}

/* A new user whose name is the scalar @name. */
static int new_user(struct cloudcfg *c, int name)
{
	int user = name < 0 ? name : cloudcfg_add_mapping(c);
	int r;

	if (user < 0)
		return user;
	r = cloudcfg_set_member(c, user, "name", name);
	return r < 0 ? r : user;
}

/* Whether entry @id of `users` is the user of @key, written as a text or as a mapping. */
static bool is_user(struct cloudcfg *c, int id, const struct seed_key *key)
{
	int name = id;

	if (cloudcfg_node(c, id)->type == YAML_MAPPING_NODE)
		name = cloudcfg_member(c, id, "name");
	return name && cloudcfg_is_scalar(c, name, key->user, key->user_len);
}

/*
 * The entry for the user of @key in the list @users, as a mapping that may be
 * changed; made if there is none. Returns its id, -EINVAL when a merge key decides what
 * is in it, or -ENOMEM.
 */
static int own_user(struct cloudcfg *c, int users, const struct seed_key *key)
{
	const yaml_node_t *list = cloudcfg_node(c, users);
	size_t n = (size_t)(list->data.sequence.items.top - list->data.sequence.items.start), i = 0;
	int user, r;

	while (i < n && !is_user(c, list->data.sequence.items.start[i], key))
		i++;
	if (i == n) {
		user = new_user(c, cloudcfg_add_scalar(c, key->user, key->user_len, false));
		r = user < 0 ? user : cloudcfg_append(c, users, user);
		return r < 0 ? r : user;
	}
	user = list->data.sequence.items.start[i];
	if (cloudcfg_node(c, user)->type == YAML_SCALAR_NODE)
		user = new_user(c, user);
	else if (cloudcfg_member(c, user, "<<"))
		return -EINVAL;
	else
		user = cloudcfg_own(c, user);
	if (user >= 0)
		cloudcfg_node(c, users)->data.sequence.items.start[i] = user;
	return user;
}

int seed_merge(const char *text, size_t n, const struct seed_key *keys, size_t n_keys,
	       struct buf *b)
{
	_cleanup_(cloudcfg_finish) struct cloudcfg c = {0};
	int users, r;

	if (n_keys > SEED_KEYS_MAX)
		return -EINVAL;
	r = cloudcfg_load(text, n, &c);
	if (r < 0)
		return r;
	users = own_list(&c, 1, "users");
	if (users < 0)
		return users;
	for (size_t i = 0; i < n_keys; i++) {
		bool is_public = memchr(keys[i].key, ' ', keys[i].key_len);
		const char *const *names = is_public ? public_key_members : import_id_members;
		int user = own_user(&c, users, &keys[i]);

		if (user < 0)
			return user;
		r = add_key(&c, user, names[0], &keys[i]);
		if (r >= 0)
			r = add_key(&c, user, names[1], &keys[i]);
		if (r < 0)
			return r;
	}
	return cloudout_emit(&c, COMMENT, b);
}

int seed_users(const char *text, size_t n)
{
	_cleanup_(cloudcfg_finish) struct cloudcfg c = {0};
	const yaml_node_t *node;
	bool is_empty;
	int r = cloudcfg_load(text, n, &c);
	int users;

	if (r < 0)
		return r;
	users = cloudcfg_member(&c, 1, "users");
	if (!users)
		return SEED_USERS_NONE;
	node = cloudcfg_node(&c, users);
	if (node->type == YAML_SEQUENCE_NODE)
		is_empty = node->data.sequence.items.start == node->data.sequence.items.top;
	else if (node->type == YAML_MAPPING_NODE)
		is_empty = node->data.mapping.pairs.start == node->data.mapping.pairs.top;
	else
		is_empty = cloudcfg_is_blank(&c, users);
	return is_empty ? SEED_USERS_EMPTY : SEED_USERS_SOME;
}
