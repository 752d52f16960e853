/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See image-metadata.h. Other members, templates above all, are for who makes guests of the image. */
#include "images/image-metadata.h"

#include "base/cleanup.h"
#include "store/yaml-json.h"

#define FILE_NAME "metadata.yaml"

static bool wants_text(const char *member)
{
	return !streq(member, "creation_date") && !streq(member, "expiry_date");
}

static int complain(struct buf *error, const char *what)
{
	return buf_printf(error, FILE_NAME ": %s", what) ?: -EINVAL;
}

static bool are_texts(const json_t *properties)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)properties, key, value)
		if (!json_is_string(value) && !json_is_null(value))
			return false;
	return true;
}

static int check(const json_t *json, struct buf *error)
{
	const json_t *properties = json_object_get(json, "properties");
	const char *architecture = json_string_value(json_object_get(json, "architecture"));

	if (!architecture || !*architecture)
		return complain(error, "architecture: expected a text");
	if (json_integer_value(json_object_get(json, "creation_date")) <= 0)
		return complain(error, "creation_date: expected seconds since 1970");
	if (properties && !json_is_null(properties) &&
	    (!json_is_object(properties) || !are_texts(properties)))
		return complain(error, "properties: expected texts by name");
	return 0;
}

/* A new object; what says nothing is left out. NULL = no memory. */
static json_t *properties_of(const json_t *json)
{
	json_t *properties = json_object_get(json, "properties"), *value;
	json_auto_t *result = json_object();
	const char *key;

	json_object_foreach (properties, key, value)
		if (json_is_string(value) && json_object_set(result, key, value) < 0)
			return NULL;
	return steal_ptr(&result);
}

int image_metadata_parse(const char *text, size_t n, json_t **ret, struct buf *error)
{
	_cleanup_(parse_error_finish) struct parse_error complaint = {0};
	json_auto_t *json = NULL;
	json_t *result;
	int r = yaml_json_read(text, n, wants_text, &json, &complaint);

	if (r == -EINVAL)
		return parse_error_format(&complaint, FILE_NAME, error) ?: -EINVAL;
	if (r == 0)
		r = check(json, error);
	if (r < 0)
		return r;
	result = json_pack("{s:O, s:O, s:o}", "architecture", json_object_get(json, "architecture"),
			   "creation_date", json_object_get(json, "creation_date"), "properties",
			   properties_of(json));
	if (!result)
		return -ENOMEM;
	*ret = result;
	return 0;
}
