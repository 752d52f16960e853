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

/* Whether it can be the path of something below a directory: not up from it, and not that itself. */
static bool is_below(const char *text)
{
	if (!*text || *text == '/')
		return false;
	while (*text) {
		size_t n = strcspn(text, "/");

		if (n > 0 && n <= 2 && strspn(text, ".") == n)
			return false;
		text += n + (text[n] == '/');
	}
	return true;
}

static int set_path(struct check *c, const char *text, struct file_rule *rule)
{
	if (strlen(text) > RULES_PATTERN_MAX)
		return check_complain(c, "larger than %d bytes", RULES_PATTERN_MAX);
	if (!is_below(text))
		return check_complain(c, "expected a path below the instance's directory, without "
					 "\".\" and \"..\", as in config/user.*");
	rule->path = strdup(text);
	return rule->path ? 0 : -ENOMEM;
}

static int set_mode(struct check *c, const char *text, struct file_rule *rule)
{
	size_t n = strlen(text);
	/* These digits have no bit to execute; other bits stand in a fourth one. */
	bool is_good = (n == 3 || (n == 4 && *text == '0')) && strspn(text, "0246") == n;

	if (!is_good)
		return check_complain(c, "expected an octal mode of read and write bits as a "
					 "string, as in \"0440\"");
	rule->mode = 0;
	for (; *text; text++)
		rule->mode = rule->mode << 3 | (uint32_t)(*text - '0');
	return 0;
}

static int set_owner(struct check *c, const char *text, struct file_rule *rule)
{
	size_t n = strcspn(text, ":");
	uint64_t uid, gid;
	char word[16];

	snprintf(word, sizeof(word), "%.*s", (int)n, text);
	if (n >= sizeof(word) || text_to_u64(word, 0, ID_MAX, &uid) < 0 ||
	    text_to_u64(text[n] ? text + n + 1 : word, 0, ID_MAX, &gid) < 0)
		return check_complain(c, "expected \"UID\" or \"UID:GID\"");
	rule->uid = (uint32_t)uid;
	rule->gid = (uint32_t)gid;
	return 0;
}

static const struct {
	const char *name;
	int (*set)(struct check *c, const char *text, struct file_rule *rule);
} rule_members[] = {
	{"path", set_path},
	{"mode", set_mode},
	{"owner", set_owner},
};

static int check_rule(struct check *c, json_t *object, struct file_rule *rule)
{
	const char *known[ARRAY_SIZE(rule_members)];

	if (!json_is_object(object))
		return check_complain_type(c, "an object", object);
	if (!json_is_string(json_object_get(object, "path")))
		return check_complain(c, "expected a member path that is a string");
	rule->mode = FILE_RULE_MODE;
	for (size_t i = 0; i < ARRAY_SIZE(rule_members); i++) {
		json_t *value = enter(c, object, rule_members[i].name);
		int r;

		known[i] = rule_members[i].name;
		if (!value)
			continue;
		if (!json_is_string(value))
			return check_complain_type(c, "a string", value);
		if (strlen(json_string_value(value)) != json_string_length(value))
			return check_complain(c, "expected text without a NUL");
		r = rule_members[i].set(c, json_string_value(value), rule);
		if (r < 0)
			return r;
		c->n_path--;
	}
	return warn_others(c, object, known, ARRAY_SIZE(known));
}

int rules_check_files(struct check *c, const json_t *value)
{
	struct record *record = c->record;
	size_t n = json_array_size(value), i;
	json_t *rule;

	if (n > RULES_FILES_MAX)
		return check_complain(c, "more than %d rules", RULES_FILES_MAX);
	record->files = calloc(n ? n : 1, sizeof(*record->files));
	if (!record->files)
		return -ENOMEM;
	json_array_foreach (value, i, rule) {
		char index[24];
		int r;

		snprintf(index, sizeof(index), "%zu", i);
		c->path[c->n_path++] = index;
		r = check_rule(c, rule, &record->files[record->n_files++]);
		if (r < 0)
			return r;
		c->n_path--;
	}
	return 0;
}
