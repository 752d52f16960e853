/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks of the members that are devlxdfs's own: match, root, files
 *
 * These decide who a guest is and what it may read, so nothing in them is
 * guessed or taken approximately.
 */
#include "store/rules.h"

#include "base/text.h"
#include "core/cgroup.h"

#define ID_MAX (UINT32_MAX - 1) /* (uid_t)-1 is nobody */

/* Warns about members of @object that are not among @known. */
static int warn_others(struct check *c, json_t *object, const char *const *known, size_t n_known)
{
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		bool is_known = false;
		int r = 0;

		for (size_t i = 0; i < n_known; i++)
			is_known = is_known || streq(name, known[i]);
		c->path[c->n_path++] = name;
		if (!is_known)
			r = check_warn_unknown(c, known, n_known);
		c->n_path--;
		if (r < 0)
			return r;
	}
	return 0;
}

/* The member @name, unless null or absent; the path then leads to it until the caller cuts it. */
static json_t *enter(struct check *c, const json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	if (!value || json_is_null(value))
		return NULL;
	c->path[c->n_path++] = name;
	return value;
}

static int set_cgroup(struct check *c, const json_t *value)
{
	_cleanup_(freep) char *path = malloc(CGROUP_PATH_MAX);

	if (!path)
		return -ENOMEM;
	if (!json_is_string(value))
		return check_complain_type(c, "a string", value);
	if (strlen(json_string_value(value)) != json_string_length(value) ||
	    cgroup_normalise(json_string_value(value), path) < 0)
		return check_complain(c, "expected the path of a cgroup below the root of the "
					 "cgroup2 hierarchy, as in /lxc.payload.web1");
	c->record->match_cgroup = strdup(path);
	return c->record->match_cgroup ? 0 : -ENOMEM;
}

int rules_check_match(struct check *c, const json_t *value)
{
	static const char *const known[] = {"cgroup", "mount"};
	json_t *member = enter(c, value, "cgroup");
	int r;

	if (member) {
		r = set_cgroup(c, member);
		c->n_path--;
		if (r < 0)
			return r;
	}
	member = enter(c, value, "mount");
	if (member) {
		if (!json_is_boolean(member))
			return check_complain_type(c, "true or false", member);
		c->record->match_mount = json_is_true(member);
		c->n_path--;
	}
	if (c->record->match_cgroup && c->record->match_mount)
		return check_complain(c, "expected cgroup or mount, found both");
	return warn_others(c, (json_t *)value, known, ARRAY_SIZE(known));
}

static int get_id(struct check *c, const json_t *object, const char *name, uint32_t *ret)
{
	json_t *value = enter(c, object, name);

	if (!value)
		return 0;
	if (!json_is_integer(value))
		return check_complain_type(c, "a whole number", value);
	if (json_integer_value(value) < 0 || json_integer_value(value) > ID_MAX)
		return check_complain(c, "expected a number from 0 to %u", ID_MAX);
	*ret = json_integer_value(value);
	c->n_path--;
	return 1;
}

int rules_check_root(struct check *c, const json_t *value)
{
	static const char *const known[] = {"uid", "gid"};
	int r = get_id(c, value, "uid", &c->record->root_uid);

	if (r == 0)
		return check_complain(c, "expected a member uid");
	c->record->root_gid = c->record->root_uid;
	if (r > 0)
		r = get_id(c, value, "gid", &c->record->root_gid);
	if (r < 0)
		return r;
	c->record->has_root = true;
	return warn_others(c, (json_t *)value, known, ARRAY_SIZE(known));
}

static bool is_mode(const char *text)
{
	size_t n = strlen(text);

	return n >= 3 && n <= 4 && strspn(text, "01234567") == n && (n == 3 || *text == '0');
}

/* UID or UID:GID, ids inside the guest. */
static bool is_owner(const char *text)
{
	char uid[16];
	size_t n = strcspn(text, ":");
	uint64_t id;

	if (n >= sizeof(uid))
		return false;
	memcpy(uid, text, n);
	uid[n] = '\0';
	return text_to_u64(uid, 0, ID_MAX, &id) == 0 &&
	       (!text[n] || text_to_u64(text + n + 1, 0, ID_MAX, &id) == 0);
}

static bool is_path(const char *text)
{
	return *text && *text != '/';
}

static const struct {
	const char *name;
	bool (*is_good)(const char *text);
	const char *wanted;
} rule_members[] = {
	{"path", is_path, "expected a path below the instance's directory, as in config/user.*"},
	{"mode", is_mode, "expected an octal mode as a string, as in \"0440\""},
	{"owner", is_owner, "expected \"UID\" or \"UID:GID\""},
};

static int check_rule(struct check *c, json_t *rule)
{
	const char *known[ARRAY_SIZE(rule_members)];

	if (!json_is_object(rule))
		return check_complain_type(c, "an object", rule);
	if (!json_is_string(json_object_get(rule, "path")))
		return check_complain(c, "expected a member path that is a string");
	for (size_t i = 0; i < ARRAY_SIZE(rule_members); i++) {
		json_t *value = enter(c, rule, rule_members[i].name);

		known[i] = rule_members[i].name;
		if (!value)
			continue;
		if (!json_is_string(value))
			return check_complain_type(c, "a string", value);
		if (strlen(json_string_value(value)) != json_string_length(value) ||
		    !rule_members[i].is_good(json_string_value(value)))
			return check_complain(c, "%s", rule_members[i].wanted);
		c->n_path--;
	}
	return warn_others(c, rule, known, ARRAY_SIZE(known));
}

int rules_check_files(struct check *c, const json_t *value)
{
	json_t *rule;
	size_t i;

	json_array_foreach (value, i, rule) {
		char index[24];
		int r;

		snprintf(index, sizeof(index), "%zu", i);
		c->path[c->n_path++] = index;
		r = check_rule(c, rule);
		if (r < 0)
			return r;
		c->n_path--;
	}
	return 0;
}
