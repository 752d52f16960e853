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

#include "base/text.h"
#include "store/yaml-reader.h"

struct size {
	size_t n_nodes, n_bytes;
};

struct anchor {
	char *name;
	json_t *value; /* a reference */
	struct size size;
	unsigned height;     /* of collections within it */
	struct anchor *next; /* converter::anchors, newest first: the latest of a name counts */
};

struct converter {
	struct yaml_reader reader;
	struct anchor *anchors;
	struct size used, max;
	unsigned deepest; /* level reached since this was last set */
	bool (*wants_text)(const char *member);
};

static void converter_finish(struct converter *y)
{
	struct anchor *a, *next;

	LL_FOREACH_SAFE (y->anchors, a, next) {
		json_decref(a->value);
		free(a->name);
		free(a);
	}
	yaml_reader_finish(&y->reader);
}

static int complain(struct converter *y, const char *what)
{
	return yaml_reader_complain(&y->reader, what);
}

static int next_event(struct converter *y)
{
	return yaml_reader_next(&y->reader);
}

static int charge(struct converter *y, struct size size)
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

static int scalar(struct converter *y, bool text, json_t **ret)
{
	const char *value = (const char *)y->reader.event.data.scalar.value;
	size_t n = y->reader.event.data.scalar.length;
	json_t *plain = NULL;
	int r;

	if (y->reader.event.data.scalar.tag)
		return complain(y, "tags are not supported");
	r = charge(y, (struct size){1, n});
	if (r < 0)
		return r;
	if (y->reader.event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		if (is_null(value))
			plain = json_null();
		else if (!text)
			plain = resolve(value);
	}
	*ret = plain ?: json_stringn(value, n);
	return *ret ? 0 : -ENOMEM;
}

static int alias(struct converter *y, unsigned depth, json_t **ret)
{
	const char *name = (const char *)y->reader.event.data.alias.anchor;
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
static int key(struct converter *y, const json_t *object, char **ret)
{
	const char *name = (const char *)y->reader.event.data.scalar.value;
	size_t n = y->reader.event.data.scalar.length;
	_cleanup_(buf_finish) struct buf shown = {0};

	if (y->reader.event.type != YAML_SCALAR_EVENT)
		return complain(y, "expected a key that is text");
	if (y->reader.event.data.scalar.tag)
		return complain(y, "tags are not supported");
	if (memchr(name, '\0', n))
		return complain(y, "NUL in a key");
	if (y->reader.event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && streq(name, "<<"))
		return complain(y, "merge keys (<<) are not supported");
	if (json_object_get(object, name)) {
		if (parse_error_put_key(&shown, name, n) < 0)
			return -ENOMEM;
		return parse_error_set(y->reader.error, yaml_reader_place(&y->reader),
				       "duplicate member %s", shown.data);
	}
	*ret = strdup(name);
	return *ret ? charge(y, (struct size){1, n}) : -ENOMEM;
}

static int node(struct converter *y, unsigned depth, bool text, json_t **ret);

static int mapping(struct converter *y, unsigned depth, bool text, json_t **ret)
{
	json_auto_t *object = json_object();

	if (!object)
		return -ENOMEM;
	for (;;) {
		_cleanup_(freep) char *name = NULL;
		json_t *value = NULL;
		int r = next_event(y);

		if (r == 0 && y->reader.event.type == YAML_MAPPING_END_EVENT)
			break;
		if (r == 0)
			r = key(y, object, &name);
		if (r == 0)
			r = next_event(y);
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

static int sequence(struct converter *y, unsigned depth, bool text, json_t **ret)
{
	json_auto_t *array = json_array();

	if (!array)
		return -ENOMEM;
	for (;;) {
		json_t *value = NULL;
		int r = next_event(y);

		if (r == 0 && y->reader.event.type == YAML_SEQUENCE_END_EVENT)
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
static int collection(struct converter *y, unsigned depth, bool text, json_t **ret)
{
	bool is_mapping = y->reader.event.type == YAML_MAPPING_START_EVENT;
	int r;

	if (is_mapping ? !!y->reader.event.data.mapping_start.tag
		       : !!y->reader.event.data.sequence_start.tag)
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
static int keep_anchor(struct converter *y, char **name, json_t *value, struct size before,
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
static int node(struct converter *y, unsigned depth, bool text, json_t **ret)
{
	const char *anchor = anchor_name(&y->reader.event);
	_cleanup_(freep) char *name = anchor ? strdup(anchor) : NULL;
	json_auto_t *value = NULL;
	struct size before = y->used;
	unsigned deepest = y->deepest;
	int r;

	if (anchor && !name)
		return -ENOMEM;
	y->deepest = depth;
	if (y->reader.event.type == YAML_SCALAR_EVENT)
		r = scalar(y, text, &value);
	else if (y->reader.event.type == YAML_ALIAS_EVENT)
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

static int document(struct converter *y, json_t **ret)
{
	json_auto_t *root = NULL;
	int r = yaml_reader_begin(&y->reader);

	if (r == 0 && y->reader.event.type != YAML_MAPPING_START_EVENT)
		return complain(y, "expected members, as in `name: value`");
	if (r == 0)
		r = node(y, 0, false, &root);
	if (r == 0)
		r = next_event(y); /* the document's end */
	if (r == 0)
		r = next_event(y);
	if (r == 0 && y->reader.event.type != YAML_STREAM_END_EVENT)
		return complain(y, "more than one document");
	if (r == 0)
		*ret = steal_ptr(&root);
	return r;
}

int yaml_json_read(const char *text, size_t n, bool (*wants_text)(const char *member), json_t **ret,
		   struct parse_error *ret_error)
{
	_cleanup_(converter_finish) struct converter y = {.wants_text = wants_text};
	int r = yaml_reader_init(&y.reader, text, n, ret_error);

	if (r < 0)
		return r;
	/* What is written out costs at least a byte a node. */
	y.max = (struct size){4 * n + 4096, 4 * n + (1 << 20)};
	return document(&y, ret);
}
