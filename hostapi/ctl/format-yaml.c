/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON to YAML through libyaml's emitter, for format.h
 *
 * What is printed reads back as the same value, also by readers that know YAML 1.1 types: a string
 * that could be taken for something else is quoted.
 */
#include "ctl/format.h"

#include <strings.h>
#include <yaml.h>

#include "base/cleanup.h"

static bool looks_like_another_type(const char *text)
{
	static const char *const words[] = {"",   "~",  "null", "true", "false", "yes",
					    "no", "on", "off",  "y",    "n",     "="};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i]) == 0)
			return true;
	}
	return strchr("0123456789+-.", *text) || streq(text, "<<");
}

static int emit_scalar(yaml_emitter_t *e, const char *text, size_t n, yaml_scalar_style_t style)
{
	yaml_event_t event;

	if (!yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)n, 1,
					  1, style))
		return -ENOMEM;
	return yaml_emitter_emit(e, &event) ? 0 : -EIO;
}

static int emit_string(yaml_emitter_t *e, const char *text, size_t n)
{
	yaml_scalar_style_t style = YAML_ANY_SCALAR_STYLE;

	if (memchr(text, '\n', n))
		style = YAML_LITERAL_SCALAR_STYLE;
	else if (looks_like_another_type(text))
		style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	return emit_scalar(e, text, n, style);
}

static int emit_value(yaml_emitter_t *e, const json_t *value);

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int emit_object(yaml_emitter_t *e, const json_t *object)
{
	_cleanup_(freep) const char **keys = calloc(json_object_size(object) + 1, sizeof(*keys));
	yaml_event_t event;
	const char *key;
	json_t *value;
	size_t n = 0;
	int r = 0;

	if (!keys ||
	    !yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE))
		return -ENOMEM;
	if (!yaml_emitter_emit(e, &event))
		return -EIO;
	json_object_foreach ((json_t *)object, key, value)
		keys[n++] = key;
	qsort(keys, n, sizeof(*keys), compare);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = emit_string(e, keys[i], strlen(keys[i]));
		if (r == 0)
			r = emit_value(e, json_object_get(object, keys[i]));
	}
	if (r < 0)
		return r;
	yaml_mapping_end_event_initialize(&event);
	return yaml_emitter_emit(e, &event) ? 0 : -EIO;
}

static int emit_array(yaml_emitter_t *e, const json_t *array)
{
	yaml_event_t event;
	size_t i;
	json_t *value;
	int r = 0;

	if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE))
		return -ENOMEM;
	if (!yaml_emitter_emit(e, &event))
		return -EIO;
	json_array_foreach (array, i, value) {
		r = emit_value(e, value);
		if (r < 0)
			return r;
	}
	yaml_sequence_end_event_initialize(&event);
	return yaml_emitter_emit(e, &event) ? 0 : -EIO;
}

static int emit_value(yaml_emitter_t *e, const json_t *value)
{
	_cleanup_(freep) char *text = NULL;

	if (json_is_object(value))
		return emit_object(e, value);
	if (json_is_array(value))
		return emit_array(e, value);
	if (json_is_string(value))
		return emit_string(e, json_string_value(value), json_string_length(value));
	text = json_dumps(value, JSON_ENCODE_ANY);
	return text ? emit_scalar(e, text, strlen(text), YAML_PLAIN_SCALAR_STYLE) : -ENOMEM;
}

static int emit_stream(yaml_emitter_t *e, const json_t *value)
{
	yaml_event_t event;
	int r;

	if (!yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING))
		return -ENOMEM;
	if (!yaml_emitter_emit(e, &event) ||
	    !yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) ||
	    !yaml_emitter_emit(e, &event))
		return -EIO;
	r = emit_value(e, value);
	if (r < 0)
		return r;
	yaml_document_end_event_initialize(&event, 1);
	if (!yaml_emitter_emit(e, &event))
		return -EIO;
	yaml_stream_end_event_initialize(&event);
	return yaml_emitter_emit(e, &event) ? 0 : -EIO;
}

int format_yaml(FILE *f, const json_t *value)
{
	yaml_emitter_t e;
	bool is_memory;
	int r;

	if (!yaml_emitter_initialize(&e))
		return -ENOMEM;
	yaml_emitter_set_output_file(&e, f);
	yaml_emitter_set_unicode(&e, 1);
	yaml_emitter_set_width(&e, -1);
	r = emit_stream(&e, value);
	is_memory = r == -ENOMEM || e.error == YAML_MEMORY_ERROR;
	yaml_emitter_delete(&e);
	return is_memory ? -ENOMEM : 0;
}
