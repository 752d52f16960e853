/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json_locate() on any bytes; and where jansson accepts them, the place found
 * must hold the value that jansson has for the same member. Input: names of
 * the path separated by '/', a newline, the text.
 */
#include "base/json.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *member(json_t *value, const char *name)
{
	uint64_t i;

	if (json_is_object(value))
		return json_object_get(value, name);
	if (json_is_array(value) && text_to_u64(name, 0, UINT32_MAX, &i) == 0)
		return json_array_get(value, i);
	return NULL;
}

static const char *at(const char *text, struct json_place place)
{
	while (--place.line > 0)
		text = strchr(text, '\n') + 1;
	return text + place.column - 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t n_names = newline ? (size_t)(newline - data) : 0;
	size_t n = newline ? size - n_names - 1 : 0, n_path = 0;
	_cleanup_(freep) char *names = strndup((const char *)data, n_names);
	_cleanup_(freep) char *text = malloc(n ? n : 1); /* exact, so that ASan guards its end */
	json_auto_t *root = NULL, *found = NULL;
	struct json_place place;
	char *path[8], *rest = names;
	json_t *expected;

	if (!newline || !names || !text)
		return 0;
	memcpy(text, newline + 1, n);
	while (rest && *rest && n_path < ARRAY_SIZE(path))
		path[n_path++] = strsep(&rest, "/");
	json_locate(text, n, (const char *const *)path, n_path, &place);
	root = expected = json_loadb(text, n, JSON_DECODE_ANY, NULL);
	for (size_t i = 0; expected && i < n_path; i++)
		expected = member(expected, path[i]);
	if (root && !expected != !place.line)
		abort();
	if (expected)
		found = json_loadb(at(text, place), n - (size_t)(at(text, place) - text),
				   JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
	if (expected && !json_equal(found, expected))
		abort();
	return 0;
}
