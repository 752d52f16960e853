/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON text -> JSON object, as records need it
 *
 * jansson's own messages end in the token where it stopped, which may be a
 * value: they are cut before it. A key that stands twice is found by walking
 * back from where jansson stopped, behind the second one.
 */
#include "store/document.h"

#include "base/text.h"

/* Finding a real number's spelling costs a walk through the text. */
#define REALS_MAX 256

static int complain_duplicate(const char *text, size_t end, struct parse_error *ret_error)
{
	_cleanup_(buf_finish) struct buf key = {0};
	size_t start = end - 1; /* the closing quote */
	int r;

	while (start > 0) {
		size_t n_escapes = 0;

		start--;
		while (text[start] == '"' && n_escapes < start &&
		       text[start - 1 - n_escapes] == '\\')
			n_escapes++;
		if (text[start] == '"' && n_escapes % 2 == 0)
			break;
	}
	/* As it is written: jansson has accepted it, so it is printable. */
	r = end - start > 100 ? buf_puts(&key, "this")
			      : buf_append(&key, text + start, end - start);
	if (r < 0)
		return r;
	return parse_error_set(ret_error, parse_error_place(text, start), "duplicate member %s",
			       key.data);
}

static int complain_syntax(json_error_t *e, const char *text, size_t n,
			   struct parse_error *ret_error)
{
	size_t position = e->position > 0 ? (size_t)e->position : 0;
	char *near;

	if (position > n)
		position = n;
	switch (json_error_code(e)) {
	case json_error_out_of_memory:
		return -ENOMEM;
	case json_error_duplicate_key:
		return complain_duplicate(text, position, ret_error);
	default:
		break;
	}
	near = strstr(e->text, " near ");
	if (near)
		*near = '\0';
	near = strstr(e->text, " '\\"); /* a wrong escape is part of a value */
	if (near)
		*near = '\0';
	return parse_error_set(ret_error, parse_error_place(text, position ? position - 1 : 0),
			       "%s", n ? e->text : "the file is empty");
}

struct spelling {
	const char *text;
	size_t n;
	unsigned n_reals;
	struct parse_error *error;
};

/* The real number at @path as the text has it. Returns 0 or -ENOMEM. */
static int spell_real(struct spelling *s, const char *const *path, size_t n_path, json_t **ret)
{
	const char *p = s->text, *end = s->text + s->n;
	struct json_place place;

	json_locate(s->text, s->n, path, n_path, &place);
	/* Not strchr(): behind a number jansson skips a NUL. */
	while (--place.line > 0)
		p = (const char *)memchr(p, '\n', end - p) + 1;
	p += place.column - 1;
	*ret = json_stringn(p, strspn(p, "+-.0123456789eE"));
	return *ret ? 0 : -ENOMEM;
}

static int spell(struct spelling *s, const char *const *path, size_t n_path, const json_t *value,
		 json_t **ret)
{
	if (json_is_boolean(value))
		*ret = json_string(json_is_true(value) ? "true" : "false");
	else if (json_is_integer(value))
		*ret = json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (s->n_reals++ < REALS_MAX)
		return spell_real(s, path, n_path, ret);
	else
		return parse_error_set(s->error, (struct json_place){0},
				       "too many numbers with a fraction; write them as strings");
	return *ret ? 0 : -ENOMEM;
}

/* Makes strings of the numbers and booleans of @object, whose path is @path. */
static int spell_members(struct spelling *s, const char **path, size_t n_path, json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach (object, key, value) {
		json_t *text = NULL;
		int r;

		if (!json_is_number(value) && !json_is_boolean(value))
			continue;
		path[n_path] = key;
		r = spell(s, path, n_path + 1, value, &text);
		if (r < 0)
			return r;
		/* Replacing the value of a member is safe while walking. */
		json_object_iter_set_new(object, json_object_key_to_iter(key), text);
	}
	return 0;
}

static int spell_all(struct spelling *s, json_t *root)
{
	const char *path[3] = {"config"};
	const char *name;
	json_t *device;
	int r = spell_members(s, path, 1, json_object_get(root, "config"));

	path[0] = "devices";
	json_object_foreach (json_object_get(root, "devices"), name, device) {
		path[1] = name;
		if (r == 0)
			r = spell_members(s, path, 2, device);
	}
	return r;
}

int document_from_json(const char *text, size_t n, json_t **ret, struct parse_error *ret_error)
{
	struct spelling s = {text, n, 0, ret_error};
	json_auto_t *root = NULL;
	json_error_t e;
	int r;

	root = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
	if (!root)
		return complain_syntax(&e, text, n, ret_error);
	if (!json_is_object(root))
		return parse_error_set(ret_error, (struct json_place){1, 1}, "expected an object");
	r = spell_all(&s, root);
	if (r == 0)
		*ret = steal_ptr(&root);
	return r;
}
