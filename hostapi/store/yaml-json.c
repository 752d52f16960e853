/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * YAML text -> JSON object
 *
 * libyaml's events, turned into jansson's values as they come. An alias is a
 * copy, charged against the same budget as what is written out, so that a few
 * lines cannot grow into gigabytes. Knows nothing of what members mean.
 */
#include "store/yaml-json.h"

#include <utlist.h>
#include <yaml.h>

#include "base/text.h"

struct size {
	size_t n_nodes, n_bytes;
};

struct anchor {
	char *name;
	json_t *value; /* a reference */
	struct size size;
	unsigned height;     /* of collections within it */
	struct anchor *next; /* reader::anchors, newest first: the latest of a name counts */
};

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one; zero before the first */
	const char *text;
	struct anchor *anchors;
	struct size used, max;
	unsigned deepest; /* level reached since this was last set */
	bool (*wants_text)(const char *member);
	struct parse_error *error;
};

/* Returns 0 or -ENOMEM. */
static int reader_init(struct reader *y, const char *text, size_t n)
{
	*y = (struct reader){.text = text};
	if (!yaml_parser_initialize(&y->parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y->parser, (const unsigned char *)text, n);
	return 0;
}

static void reader_finish(struct reader *y)
{
	struct anchor *a, *next;

	LL_FOREACH_SAFE (y->anchors, a, next) {
		json_decref(a->value);
		free(a->name);
		free(a);
	}
	yaml_event_delete(&y->event);
	yaml_parser_delete(&y->parser);
}

static struct json_place place_of(yaml_mark_t mark)
{
	return (struct json_place){mark.line + 1, mark.column + 1};
}

static int complain(struct reader *y, const char *what)
{
	return parse_error_set(y->error, place_of(y->event.start_mark), "%s", what);
}

/* Fetches the next event. Returns 0, -EINVAL with a complaint, or -ENOMEM. */
static int reader_next(struct reader *y)
{
	struct json_place place;

	yaml_event_delete(&y->event);
	if (yaml_parser_parse(&y->parser, &y->event))
		return 0;
	if (y->parser.error == YAML_MEMORY_ERROR || !y->error)
		return -ENOMEM;
	place = y->parser.error == YAML_READER_ERROR
			? parse_error_place(y->text, y->parser.problem_offset)
			: place_of(y->parser.problem_mark);
	return parse_error_set(y->error, place, "%s", y->parser.problem ?: "not YAML");
}

static int charge(struct reader *y, struct size size)
{
	y->used.n_nodes += size.n_nodes;
	y->used.n_bytes += size.n_bytes;
	if (y->used.n_nodes > y->max.n_nodes || y->used.n_bytes > y->max.n_bytes)
		return complain(y, "aliases make the document too large");
	return 0;
}

static bool is_null(const char *word)
{
	return !*word || streq(word, "~") || streq(word, "null") || streq(word, "Null") ||
	       streq(word, "NULL");
}

/* What a plain scalar means where text is not wanted; NULL: text. */
static json_t *resolve(const char *word)
{
	bool is_negative = *word == '-';
	const char *digits = word + is_negative;
	uint64_t number;

	if (*word != '1' && *word != '0' && text_to_bool(word) >= 0)
		return json_boolean(text_to_bool(word));
	/* A leading zero is octal in YAML 1.1 and decimal in 1.2: neither guess is taken. */
	if ((*digits == '0' && digits[1]) || text_to_u64(digits, 0, INT64_MAX, &number) < 0)
		return NULL;
	return json_integer(is_negative ? -(json_int_t)number : (json_int_t)number);
}

static int scalar(struct reader *y, bool text, json_t **ret)
{
	const char *value = (const char *)y->event.data.scalar.value;
	size_t n = y->event.data.scalar.length;
	json_t *plain = NULL;
	int r;

	if (y->event.data.scalar.tag)
		return complain(y, "tags are not supported");
	r = charge(y, (struct size){1, n});
	if (r < 0)
		return r;
	if (y->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		if (is_null(value))
			plain = json_null();
		else if (!text)
			plain = resolve(value);
	}
	*ret = plain ?: json_stringn(value, n);
	return *ret ? 0 : -ENOMEM;
}

static int alias(struct reader *y, unsigned depth, json_t **ret)
{
	const char *name = (const char *)y->event.data.alias.anchor;
	struct anchor *a;
	int r;

	LL_FOREACH (y->anchors, a) {
		if (!streq(a->name, name))
			continue;
		if (depth + a->height > YAML_DEPTH_MAX)
			return complain(y, "nested too deeply");
		r = charge(y, a->size);
		if (r < 0)
			return r;
		y->deepest = depth + a->height;
		*ret = json_deep_copy(a->value);
		return *ret ? 0 : -ENOMEM;
	}
	return complain(y, "this alias has no anchor before it");
}

/* Takes the key of a mapping entry. */
static int key(struct reader *y, const json_t *object, char **ret)
{
	const char *name = (const char *)y->event.data.scalar.value;
	size_t n = y->event.data.scalar.length;
	_cleanup_(buf_finish) struct buf shown = {0};

	if (y->event.type != YAML_SCALAR_EVENT)
		return complain(y, "expected a key that is text");
	if (y->event.data.scalar.tag)
		return complain(y, "tags are not supported");
	if (memchr(name, '\0', n))
		return complain(y, "NUL in a key");
	if (y->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && streq(name, "<<"))
		return complain(y, "merge keys (<<) are not supported");
	if (json_object_get(object, name)) {
		if (parse_error_put_key(&shown, name, n) < 0)
			return -ENOMEM;
		return parse_error_set(y->error, place_of(y->event.start_mark),
				       "duplicate member %s", shown.data);
	}
	*ret = strdup(name);
	return *ret ? charge(y, (struct size){1, n}) : -ENOMEM;
}

static int node(struct reader *y, unsigned depth, bool text, json_t **ret);

static int mapping(struct reader *y, unsigned depth, bool text, json_t **ret)
{
	json_auto_t *object = json_object();

	if (!object)
		return -ENOMEM;
	for (;;) {
		_cleanup_(freep) char *name = NULL;
		json_t *value = NULL;
		int r = reader_next(y);

		if (r == 0 && y->event.type == YAML_MAPPING_END_EVENT)
			break;
		if (r == 0)
			r = key(y, object, &name);
		if (r == 0)
			r = reader_next(y);
		if (r == 0)
			r = node(y, depth + 1, depth == 0 ? y->wants_text(name) : text, &value);
		if (r == 0 && json_object_set_new(object, name, value) < 0)
			r = -ENOMEM;
		if (r < 0)
			return r;
	}
	*ret = steal_ptr(&object);
	return 0;
}

static int sequence(struct reader *y, unsigned depth, bool text, json_t **ret)
{
	json_auto_t *array = json_array();

	if (!array)
		return -ENOMEM;
	for (;;) {
		json_t *value = NULL;
		int r = reader_next(y);

		if (r == 0 && y->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (r == 0)
			r = node(y, depth + 1, text, &value);
		if (r == 0 && json_array_append_new(array, value) < 0)
			r = -ENOMEM;
		if (r < 0)
			return r;
	}
	*ret = steal_ptr(&array);
	return 0;
}

/* Mappings and sequences. */
static int collection(struct reader *y, unsigned depth, bool text, json_t **ret)
{
	bool is_mapping = y->event.type == YAML_MAPPING_START_EVENT;
	int r;

	if (is_mapping ? !!y->event.data.mapping_start.tag : !!y->event.data.sequence_start.tag)
		return complain(y, "tags are not supported");
	if (depth >= YAML_DEPTH_MAX)
		return complain(y, "nested too deeply");
	r = charge(y, (struct size){1, 0});
	if (r < 0)
		return r;
	return is_mapping ? mapping(y, depth, text, ret) : sequence(y, depth, text, ret);
}

static const char *anchor_name(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return (const char *)e->data.scalar.anchor;
	case YAML_SEQUENCE_START_EVENT:
		return (const char *)e->data.sequence_start.anchor;
	case YAML_MAPPING_START_EVENT:
		return (const char *)e->data.mapping_start.anchor;
	default:
		return NULL;
	}
}

/* Remembers @value under @name, which it takes. */
static int keep_anchor(struct reader *y, char **name, json_t *value, struct size before,
		       unsigned height)
{
	struct anchor *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->name = steal_ptr(name);
	a->value = json_incref(value);
	a->size = (struct size){y->used.n_nodes - before.n_nodes, y->used.n_bytes - before.n_bytes};
	a->height = height;
	LL_PREPEND(y->anchors, a);
	return 0;
}

/* Reads the node that begins with the current event. */
static int node(struct reader *y, unsigned depth, bool text, json_t **ret)
{
	const char *anchor = anchor_name(&y->event);
	_cleanup_(freep) char *name = anchor ? strdup(anchor) : NULL;
	json_auto_t *value = NULL;
	struct size before = y->used;
	unsigned deepest = y->deepest;
	int r;

	if (anchor && !name)
		return -ENOMEM;
	y->deepest = depth;
	if (y->event.type == YAML_SCALAR_EVENT)
		r = scalar(y, text, &value);
	else if (y->event.type == YAML_ALIAS_EVENT)
		r = alias(y, depth, &value);
	else
		r = collection(y, depth, text, &value);
	if (r == 0 && name)
		r = keep_anchor(y, &name, value, before, y->deepest - depth);
	if (deepest > y->deepest)
		y->deepest = deepest;
	if (r == 0)
		*ret = steal_ptr(&value);
	return r;
}

/* To the first node. */
static int begin(struct reader *y)
{
	int r = reader_next(y); /* the stream */

	if (r == 0)
		r = reader_next(y); /* the document */
	if (r == 0 && y->event.type == YAML_STREAM_END_EVENT)
		return complain(y, "the file is empty");
	return r < 0 ? r : reader_next(y);
}

static int document(struct reader *y, json_t **ret)
{
	json_auto_t *root = NULL;
	int r = begin(y);

	if (r == 0 && y->event.type != YAML_MAPPING_START_EVENT)
		return complain(y, "expected members, as in `name: value`");
	if (r == 0)
		r = node(y, 0, false, &root);
	if (r == 0)
		r = reader_next(y); /* the document's end */
	if (r == 0)
		r = reader_next(y);
	if (r == 0 && y->event.type != YAML_STREAM_END_EVENT)
		return complain(y, "more than one document");
	if (r == 0)
		*ret = steal_ptr(&root);
	return r;
}

int yaml_to_json(const char *text, size_t n, bool (*wants_text)(const char *member), json_t **ret,
		 struct parse_error *ret_error)
{
	_cleanup_(reader_finish) struct reader y;
	int r = reader_init(&y, text, n);

	if (r < 0)
		return r;
	/* What is written out costs at least a byte a node. */
	y.max = (struct size){4 * n + 4096, 4 * n + (1 << 20)};
	y.wants_text = wants_text;
	y.error = ret_error;
	return document(&y, ret);
}

/* From a node's first event to its last. */
static int skip(struct reader *y)
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
		if (reader_next(y) < 0)
			return -ENOMEM;
	}
}

/* Steps from a mapping's or sequence's first event to the node of its member @name. */
static bool enter(struct reader *y, const char *name)
{
	bool is_mapping = y->event.type == YAML_MAPPING_START_EVENT;
	uint64_t wanted = UINT64_MAX;

	if (!is_mapping && text_to_u64(name, 0, UINT32_MAX, &wanted) < 0)
		return false;
	for (uint64_t i = 0; reader_next(y) == 0; i++) {
		bool matches = i == wanted;

		if (y->event.type == YAML_MAPPING_END_EVENT ||
		    y->event.type == YAML_SEQUENCE_END_EVENT)
			return false;
		if (is_mapping) {
			matches = streq((const char *)y->event.data.scalar.value, name);
			if (reader_next(y) < 0)
				return false;
		}
		if (matches)
			return true;
		if (skip(y) < 0)
			return false;
	}
	return false;
}

void yaml_locate(const char *text, size_t n, const char *const *path, size_t n_path,
		 struct json_place *ret)
{
	_cleanup_(reader_finish) struct reader y;

	*ret = (struct json_place){0};
	if (reader_init(&y, text, n) < 0 || begin(&y) < 0)
		return;
	for (size_t i = 0; i < n_path && y.event.type != YAML_ALIAS_EVENT; i++)
		if (y.event.type == YAML_SCALAR_EVENT || !enter(&y, path[i]))
			return;
	*ret = place_of(y.event.start_mark);
}
