/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * YAML events, one after the other, and where a member stands
 *
 * libyaml's own words about what is wrong are fixed texts: they never hold a
 * piece of the document.
 */
#include "store/yaml-reader.h"

#include "base/text.h"

int yaml_reader_init(struct yaml_reader *y, const char *text, size_t n, struct parse_error *error)
{
	*y = (struct yaml_reader){.text = text, .n = n, .error = error};
	if (!yaml_parser_initialize(&y->parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y->parser, (const unsigned char *)text, n);
	return 0;
}

void yaml_reader_finish(struct yaml_reader *y)
{
	yaml_event_delete(&y->event);
	yaml_parser_delete(&y->parser);
}

static struct json_place place_of(yaml_mark_t mark)
{
	return (struct json_place){mark.line + 1, mark.column + 1};
}

struct json_place yaml_reader_place(const struct yaml_reader *y)
{
	return place_of(y->event.start_mark);
}

int yaml_reader_complain(struct yaml_reader *y, const char *what)
{
	return parse_error_set(y->error, yaml_reader_place(y), "%s", what);
}

/* The slip that everybody makes once, and that libyaml does not name. */
static bool is_tab(const struct yaml_reader *y, struct json_place place)
{
	const char *line = y->text, *end = y->text + y->n;

	for (unsigned i = 1; line && i < place.line; i++) {
		line = memchr(line, '\n', (size_t)(end - line));
		line = line ? line + 1 : NULL;
	}
	return line && place.column > 0 && (size_t)(end - line) >= place.column &&
	       line[place.column - 1] == '\t';
}

int yaml_reader_next(struct yaml_reader *y)
{
	struct json_place place;

	yaml_event_delete(&y->event);
	if (yaml_parser_parse(&y->parser, &y->event))
		return 0;
	if (y->parser.error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	place = y->parser.error == YAML_READER_ERROR
			? parse_error_place(y->text, y->parser.problem_offset)
			: place_of(y->parser.problem_mark);
	return parse_error_set(y->error, place, "%s%s", y->parser.problem ?: "not YAML",
			       is_tab(y, place) ? "; it is a tab, indent with spaces" : "");
}

int yaml_reader_begin(struct yaml_reader *y)
{
	int r = yaml_reader_next(y); /* the stream */

	if (r == 0)
		r = yaml_reader_next(y); /* the document */
	if (r == 0 && y->event.type == YAML_STREAM_END_EVENT)
		return yaml_reader_complain(y, "the file is empty");
	return r < 0 ? r : yaml_reader_next(y);
}

/* From a node's first event to its last. */
static int skip(struct yaml_reader *y)
{
	size_t depth = 0;

	for (;;) {
		switch (y->event.type) {
		case YAML_SEQUENCE_START_EVENT:
		case YAML_MAPPING_START_EVENT:
			depth++;
			break;
		case YAML_SEQUENCE_END_EVENT:
		case YAML_MAPPING_END_EVENT:
			depth--;
			break;
		default:
			break;
		}
		if (depth == 0)
			return 0;
		if (yaml_reader_next(y) < 0)
			return -ENOMEM;
	}
}

/* Steps from a mapping's or sequence's first event to the node of its member @name. */
static bool enter(struct yaml_reader *y, const char *name)
{
	bool is_mapping = y->event.type == YAML_MAPPING_START_EVENT;
	uint64_t wanted = UINT64_MAX;

	if (!is_mapping && text_to_u64(name, 0, UINT32_MAX, &wanted) < 0)
		return false;
	for (uint64_t i = 0; yaml_reader_next(y) == 0; i++) {
		bool matches = i == wanted;

		if (y->event.type == YAML_MAPPING_END_EVENT ||
		    y->event.type == YAML_SEQUENCE_END_EVENT)
			return false;
		if (is_mapping) {
			matches = streq((const char *)y->event.data.scalar.value, name);
			if (yaml_reader_next(y) < 0)
				return false;
		}
		if (matches)
			return true;
		if (skip(y) < 0)
			return false;
	}
	return false;
}

void yaml_reader_locate(const char *text, size_t n, const char *const *path, size_t n_path,
			struct json_place *ret)
{
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	_cleanup_(yaml_reader_finish) struct yaml_reader y;

	*ret = (struct json_place){0};
	if (yaml_reader_init(&y, text, n, &error) < 0 || yaml_reader_begin(&y) < 0)
		return;
	for (size_t i = 0; i < n_path && y.event.type != YAML_ALIAS_EVENT; i++)
		if (y.event.type == YAML_SCALAR_EVENT || !enter(&y, path[i]))
			return;
	*ret = yaml_reader_place(&y);
}
