/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See member.h. */
#include "ctl/member.h"

#include "base/cleanup.h"

json_t *member_object(json_t *object, const char *name)
{
	json_t *found = json_object_get(object, name);

	if (!found || json_is_null(found)) {
		if (json_object_set_new(object, name, json_object()) < 0)
			return NULL;
		found = json_object_get(object, name);
	}
	return json_is_object(found) ? found : NULL;
}

json_t *member_text(const json_t *value)
{
	_cleanup_(freep) char *text = NULL;

	if (json_is_string(value))
		return json_incref((json_t *)value);
	if (!json_is_number(value) && !json_is_boolean(value))
		return NULL;
	text = json_dumps(value, JSON_ENCODE_ANY);
	return text ? json_string(text) : NULL;
}

json_t *member_profiles(const json_t *record)
{
	json_t *profiles = json_object_get(record, "profiles");

	return json_is_array(profiles) ? json_copy(profiles) : json_pack("[s]", "default");
}

bool member_contains(const json_t *array, const char *text, size_t *ret_i)
{
	size_t i;
	json_t *item;

	json_array_foreach (array, i, item) {
		if (json_is_string(item) && streq(json_string_value(item), text)) {
			if (ret_i)
				*ret_i = i;
			return true;
		}
	}
	return false;
}

int member_overlay(json_t *base, const json_t *table)
{
	return !json_is_object(table) || json_object_update(base, (json_t *)table) == 0 ? 0
											: -ENOMEM;
}

/* Names in @new that are not the same in @old, and those only @old has, each after @prefix. */
static int diff_table(const char *prefix, const json_t *old, const json_t *new, struct buf *b)
{
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach ((json_t *)new, key, value) {
		const json_t *before = json_object_get(old, key);

		if (r == 0 && !json_equal(before, value))
			r = buf_printf(b, "%s%s: %s\n", prefix, key, before ? "changed" : "added");
	}
	json_object_foreach ((json_t *)old, key, value) {
		if (r == 0 && !json_object_get(new, key))
			r = buf_printf(b, "%s%s: removed\n", prefix, key);
	}
	return r;
}

int member_diff(const json_t *old, const json_t *new, struct buf *b)
{
	static const char *const tables[] = {"config", "devices"};
	json_auto_t *old_rest = old ? json_copy((json_t *)old) : json_object();
	json_auto_t *new_rest = new ? json_copy((json_t *)new) : json_object();
	char prefix[16];
	int r = old_rest && new_rest ? 0 : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(tables) && r == 0; i++) {
		snprintf(prefix, sizeof(prefix), "%s.", tables[i]);
		r = diff_table(prefix, json_object_get(old, tables[i]),
			       json_object_get(new, tables[i]), b);
		json_object_del(old_rest, tables[i]);
		json_object_del(new_rest, tables[i]);
	}
	if (r < 0)
		return r;
	json_object_del(old_rest, "name");
	json_object_del(new_rest, "name");
	return diff_table("", old_rest, new_rest, b);
}
