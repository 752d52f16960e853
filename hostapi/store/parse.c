/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Record text -> record
 *
 * The table below is the format: a member is checked by its row's function, or
 * is one that LXD prints and nobody here reads, or is unknown. A member that is
 * null counts as not given, as templates leave them.
 */
#include "store/parse.h"

#include "base/text.h"
#include "core/cgroup.h"
#include "core/settings.h"
#include "core/table.h"
#include "store/check.h"
#include "store/document.h"
#include "store/keys.h"
#include "store/rules.h"
#include "store/yaml-json.h"

#define HOSTNAME_SIZE_MAX 253 /* of a domain name in DNS */

/* Goes into meta-data as it is: nothing that YAML could misread. */
static bool is_plain_word(const char *text, size_t n, size_t max)
{
	return n > 0 && n <= max &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n &&
	       *text != '-' && *text != '.';
}

static int check_name(struct check *c, const json_t *value)
{
	if (!streq(json_string_value(value), c->record->name) ||
	    strlen(c->record->name) != json_string_length(value))
		return check_complain(c, "expected \"%s\", as the file is called", c->record->name);
	return 0;
}

static int check_type(struct check *c, const json_t *value)
{
	for (enum instance_type t = INSTANCE_CONTAINER; t <= INSTANCE_VM; t++) {
		if (!streq(json_string_value(value), instance_type_name(t)))
			continue;
		c->record->type = t;
		return 0;
	}
	return check_complain(c, "expected \"container\" or \"virtual-machine\"");
}

static int check_hostname(struct check *c, const json_t *value)
{
	if (!is_plain_word(json_string_value(value), json_string_length(value), HOSTNAME_SIZE_MAX))
		return check_complain(c, "expected a host name: letters, digits, '-', '_' and '.'");
	c->record->hostname = strdup(json_string_value(value));
	return c->record->hostname ? 0 : -ENOMEM;
}

static bool array_contains(const json_t *array, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (streq(json_string_value(json_array_get(array, i)), text))
			return true;
	return false;
}

/* Checks and copies one name of `profiles`. */
static int add_profile(struct check *c, const json_t *list, size_t i)
{
	const json_t *value = json_array_get(list, i);

	if (!json_is_string(value))
		return check_complain_type(c, "a string", value);
	if (strlen(json_string_value(value)) != json_string_length(value) ||
	    !text_is_name(json_string_value(value)))
		return check_complain(c, "expected a profile's name");
	if (array_contains(list, i, json_string_value(value)))
		return check_complain(c, "this profile stands twice");
	c->record->profiles[i] = strdup(json_string_value(value));
	if (!c->record->profiles[i])
		return -ENOMEM;
	c->record->n_profiles = i + 1;
	return 0;
}

static int check_profiles(struct check *c, const json_t *value)
{
	size_t n = json_array_size(value);

	if (n > PARSE_PROFILES_MAX)
		return check_complain(c, "more than %d profiles", PARSE_PROFILES_MAX);
	c->record->profiles = calloc(n ? n : 1, sizeof(*c->record->profiles));
	if (!c->record->profiles)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		char index[24];
		int r;

		snprintf(index, sizeof(index), "%zu", i);
		c->path[c->n_path++] = index;
		r = add_profile(c, value, i);
		c->n_path--;
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_value(struct check *c, const json_t *value)
{
	if (!json_is_string(value))
		return check_complain_type(c, "a string", value);
	if (json_string_length(value) > c->limits->max_value_bytes)
		return check_complain(c, "larger than %u bytes", c->limits->max_value_bytes);
	return 0;
}

/* Checks the members of @object, whose path is the current one, and copies them. */
static int make_table(struct check *c, json_t *object, struct table **ret)
{
	_cleanup_(freep) struct table_pair *pairs =
		calloc(json_object_size(object) + 1, sizeof(*pairs));
	const char *key;
	json_t *value;
	size_t n = 0;

	if (!pairs)
		return -ENOMEM;
	json_object_foreach (object, key, value) {
		int r;

		c->path[c->n_path++] = key;
		r = *key ? check_value(c, value) : check_complain(c, "a key cannot be empty");
		c->n_path--;
		if (r < 0)
			return r;
		pairs[n++] = (struct table_pair){key, json_string_value(value),
						 json_string_length(value)};
	}
	return table_new(pairs, n, ret);
}

static int warn_key(struct check *c, const char *key)
{
	const char *meant;
	int r = 0;

	if (!c->warnings || !keys_is_typo(key, &meant))
		return 0;
	c->path[c->n_path++] = key;
	if (meant)
		r = check_warn(c, "nobody reads this key; did you mean \"%s\"?", meant);
	else
		r = check_warn(c, "no guest will see this key; they see user.* and cloud-init.*");
	c->n_path--;
	return r;
}

/* A misspelt "false" must not leave a guest with what it was to lose. */
static int check_boolean(struct check *c, const char *key, const json_t *value)
{
	const char *text = json_string_value(value);

	if (!keys_is_boolean(key) || !text || !*text || text_to_bool(text) >= 0)
		return 0;
	c->path[c->n_path++] = key;
	return check_complain(c, "expected true or false");
}

static int check_config(struct check *c, const json_t *value)
{
	json_t *object = (json_t *)value; /* jansson's iterators want it so; nothing is changed */
	json_t *id = json_object_get(object, "volatile.cloud-init.instance-id");
	const char *key;
	int r = make_table(c, object, &c->record->config);

	if (r < 0)
		return r;
	if (json_string_length(id) > 0 &&
	    !is_plain_word(json_string_value(id), json_string_length(id), PARSE_ID_MAX)) {
		c->path[c->n_path++] = "volatile.cloud-init.instance-id";
		return check_complain(c, "expected at most %d letters, digits, '-', '_' and '.'",
				      PARSE_ID_MAX);
	}
	json_object_foreach (object, key, id) {
		r = check_boolean(c, key, id);
		if (r == 0)
			r = warn_key(c, key);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_device(struct check *c, const char *name, json_t *value)
{
	struct device *d = &c->record->devices[c->record->n_devices];

	if (!*name)
		return check_complain(c, "a device's name cannot be empty");
	if (!json_is_object(value))
		return check_complain_type(c, "an object", value);
	d->name = strdup(name);
	if (!d->name)
		return -ENOMEM;
	c->record->n_devices++;
	if (!json_object_get(value, "type") &&
	    check_warn(c, "no type; cloud-init fails on such a device") < 0)
		return -ENOMEM;
	return make_table(c, value, &d->config);
}

static int compare_devices(const void *a, const void *b)
{
	return strcmp(((const struct device *)a)->name, ((const struct device *)b)->name);
}

static int check_devices(struct check *c, const json_t *value)
{
	const char *name;
	json_t *device;

	c->record->devices = calloc(json_object_size(value) + 1, sizeof(*c->record->devices));
	if (!c->record->devices)
		return -ENOMEM;
	json_object_foreach ((json_t *)value, name, device) {
		int r;

		c->path[c->n_path++] = name;
		r = add_device(c, name, device);
		c->n_path--;
		if (r < 0)
			return r;
	}
	qsort(c->record->devices, c->record->n_devices, sizeof(*c->record->devices),
	      compare_devices);
	return 0;
}

enum {
	OF_INSTANCE = 1 << RECORD_INSTANCE,
	OF_PROFILE = 1 << RECORD_PROFILE
};

static const struct member {
	const char *name;
	unsigned kinds; /* where it means something; elsewhere a warning */
	json_type type;
	bool wants_text; /* a YAML scalar below it stays as it is spelled */
	const char *wanted;
	int (*check)(struct check *c, const json_t *value);
} members[] = {
	{"name", OF_INSTANCE | OF_PROFILE, JSON_STRING, true, "a string", check_name},
	{"type", OF_INSTANCE, JSON_STRING, true, "a string", check_type},
	{"profiles", OF_INSTANCE, JSON_ARRAY, true, "a list", check_profiles},
	{"config", OF_INSTANCE | OF_PROFILE, JSON_OBJECT, true, "an object", check_config},
	{"devices", OF_INSTANCE | OF_PROFILE, JSON_OBJECT, true, "an object", check_devices},
	{"match", OF_INSTANCE, JSON_OBJECT, false, "an object", rules_check_match},
	{"root", OF_INSTANCE, JSON_OBJECT, false, "an object", rules_check_root},
	{"hostname", OF_INSTANCE, JSON_STRING, true, "a string", check_hostname},
	{"files", OF_INSTANCE, JSON_ARRAY, true, "a list", rules_check_files},
};

/* What LXD and Incus print of an instance or a profile and nobody here reads. */
static const char *const printed_by_lxd[] = {
	"architecture",    "backups",          "created_at",    "description",  "ephemeral",
	"expanded_config", "expanded_devices", "instance_type", "last_used_at", "location",
	"project",         "restore",          "snapshots",     "source",       "state",
	"stateful",        "status",           "status_code",   "used_by",
};

static const struct member *find_member(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (streq(members[i].name, name))
			return &members[i];
	return NULL;
}

const char *parse_member(enum record_kind kind, size_t i)
{
	for (size_t m = 0; m < ARRAY_SIZE(members); m++)
		if (members[m].kinds & 1u << kind && i-- == 0)
			return members[m].name;
	return NULL;
}

static bool wants_text(const char *member)
{
	const struct member *m = find_member(member);

	return (m && m->wants_text) || streq(member, "description");
}

static int warn_unknown(struct check *c, const char *name)
{
	const char *known[ARRAY_SIZE(members)];

	for (size_t i = 0; i < ARRAY_SIZE(printed_by_lxd); i++)
		if (streq(printed_by_lxd[i], name))
			return 0;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		known[i] = members[i].name;
	return check_warn_unknown(c, known, ARRAY_SIZE(known));
}

static int check_member(struct check *c, const char *name, const json_t *value)
{
	const struct member *m = find_member(name);

	if (!m)
		return warn_unknown(c, name);
	if (json_is_null(value))
		return 0;
	if (!(m->kinds & 1u << c->kind))
		return check_warn(c, "means nothing in a profile, ignored");
	if (json_typeof(value) != m->type)
		return check_complain_type(c, m->wanted, value);
	return m->check(c, value);
}

static int check_all(struct check *c, json_t *root)
{
	const char *name;
	json_t *value;

	json_object_foreach (root, name, value) {
		int r;

		c->path[0] = name;
		c->n_path = 1;
		r = check_member(c, name, value);
		if (r < 0)
			return r;
	}
	return 0;
}

/* An instance that names no profiles has the one named default. */
static int add_default_profile(struct record *r)
{
	r->profiles = calloc(1, sizeof(*r->profiles));
	if (!r->profiles)
		return -ENOMEM;
	r->profiles[0] = strdup("default");
	if (!r->profiles[0])
		return -ENOMEM;
	r->n_profiles = 1;
	return 0;
}

int parse_document(enum record_format format, const char *text, size_t n, json_t **ret,
		   struct parse_error *ret_error)
{
	if (format == RECORD_YAML)
		return yaml_json_read(text, n, wants_text, ret, ret_error);
	return document_from_json(text, n, ret, ret_error);
}

int parse_record(enum record_kind kind, enum record_format format, const char *name,
		 const char *source, const char *text, size_t n, const struct settings *limits,
		 struct record **ret, struct buf *warnings, struct parse_error *ret_error)
{
	_cleanup_(record_unrefp) struct record *record = NULL;
	json_auto_t *root = NULL;
	struct check c = {kind, format, source, text, n, limits, warnings, ret_error};
	int r;

	if (!text_is_name(name))
		return parse_error_set(ret_error, (struct json_place){0},
				       "the file's name is not that of a record: 1 to 63 letters, "
				       "digits, '-', '_' and '.', not beginning with '-' or '.'");
	if (n > limits->max_record_bytes)
		return parse_error_set(ret_error, (struct json_place){0},
				       "the record is larger than %u bytes",
				       limits->max_record_bytes);
	r = parse_document(format, text, n, &root, ret_error);
	if (r < 0)
		return r;
	c.record = record = record_new();
	if (!record)
		return -ENOMEM;
	record->name = strdup(name);
	record->source = strdup(source);
	if (!record->name || !record->source)
		return -ENOMEM;
	r = check_all(&c, root);
	if (r == 0 && kind == RECORD_INSTANCE && !record->profiles)
		r = add_default_profile(record);
	if (r == 0)
		r = record_pack(record);
	if (r == 0)
		*ret = steal_ptr(&record);
	return r;
}

int parse_warn_key(const char *key, struct buf *b)
{
	const char *meant;
	bool is_typo = keys_is_typo(key, &meant);

	if (!is_typo && keys_matters(key))
		return 0;
	if (parse_error_put_key(b, key, strlen(key)) < 0)
		return -ENOMEM;
	if (meant)
		return buf_printf(b, ": nobody reads this key; did you mean \"%s\"?\n", meant);
	return buf_puts(b, ": no guest will see this key; they see user.* and cloud-init.*\n");
}
