/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What jansson leaves to its callers
 *
 * json_locate() walks text that jansson has already accepted, so it decides
 * nothing about validity; but it stays inside the bytes, makes progress and
 * does not recurse for any bytes at all.
 */
#include "base/json.h"

#include <stdint.h>

#include "base/text.h"

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* From an opening quote to behind the closing one. */
static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
	}
	return p < end ? p + 1 : end;
}

/* To the ',', '}' or ']' behind the value. */
static const char *skip_value(const char *p, const char *end)
{
	size_t depth = 0;

	while (p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
			continue;
		}
		if (depth == 0 && (*p == ',' || *p == '}' || *p == ']'))
			break;
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		p++;
	}
	return p;
}

/* Whether the JSON string in [@p, @end), quotes included, is @name. */
static bool key_is(const char *p, const char *end, const char *name)
{
	size_t n = (size_t)(end - p);
	json_auto_t *key = NULL;

	if (!memchr(p, '\\', n))
		return n >= 2 && strlen(name) == n - 2 && memcmp(p + 1, name, n - 2) == 0;
	key = json_loadb(p, n, JSON_DECODE_ANY, NULL);
	return json_is_string(key) && streq(json_string_value(key), name);
}

/* The value of member @name of the object or array at @p; NULL when there is none. */
static const char *find_member(const char *p, const char *end, const char *name)
{
	bool is_object = *p == '{';
	const char *found = NULL;
	uint64_t wanted = UINT64_MAX;

	if (!is_object && (*p != '[' || text_to_u64(name, 0, UINT32_MAX, &wanted) < 0))
		return NULL;
	p = skip_space(p + 1, end);
	for (uint64_t i = 0; p < end && *p != '}' && *p != ']'; i++) {
		bool matches = i == wanted;

		if (is_object) {
			const char *key = p;

			p = skip_string(p, end);
			matches = key_is(key, p, name);
			p = skip_space(p, end);
			p = skip_space(p < end ? p + 1 : p, end); /* the colon */
		}
		if (matches)
			found = p;
		p = skip_value(p, end);
		p = skip_space(p < end && *p == ',' ? p + 1 : p, end);
	}
	return found;
}

void json_locate(const char *text, size_t n, const char *const *path, size_t n_path,
		 struct json_place *ret)
{
	const char *end = text + n;
	const char *value = skip_space(text, end);
	const char *line = text;

	*ret = (struct json_place){0};
	for (size_t i = 0; value && i < n_path; i++)
		value = value < end ? find_member(value, end, path[i]) : NULL;
	if (!value || value >= end)
		return;
	ret->line = 1;
	for (const char *p = text; p < value; p++) {
		if (*p == '\n') {
			ret->line++;
			line = p + 1;
		}
	}
	ret->column = (unsigned)(value - line) + 1;
}

static int append_escaped(struct buf *b, const char *p, size_t len)
{
	unsigned char c = (unsigned char)*p;

	if (len == 0)
		return buf_puts(b, "\\ufffd");
	if (len == 3)
		return buf_puts(b, (unsigned char)p[2] == 0xa8 ? "\\u2028" : "\\u2029");
	switch (c) {
	case '"':
	case '\\':
		return buf_printf(b, "\\%c", c);
	case '\n':
		return buf_puts(b, "\\n");
	case '\r':
		return buf_puts(b, "\\r");
	case '\t':
		return buf_puts(b, "\\t");
	default:
		return buf_printf(b, "\\u%04x", c);
	}
}

/* Whether the character of @len bytes (0: not UTF-8) at @p cannot stand for itself. */
static bool must_escape(const char *p, size_t len, bool escape_html)
{
	unsigned char c = (unsigned char)*p;

	if (len == 0)
		return true;
	if (len == 1)
		return c < 0x20 || c == '"' || c == '\\' ||
		       (escape_html && (c == '<' || c == '>' || c == '&'));
	return escape_html && len == 3 &&
	       (memcmp(p, "\u2028", 3) == 0 || memcmp(p, "\u2029", 3) == 0);
}

int json_append_string(struct buf *b, const char *bytes, size_t n, bool escape_html)
{
	size_t old_len = b->len, plain = 0;
	int r = buf_putc(b, '"');

	for (size_t i = 0; r >= 0 && i < n;) {
		size_t len = text_utf8_length(bytes + i, n - i);
		bool escape = must_escape(bytes + i, len, escape_html);

		if (escape) {
			r = buf_append(b, bytes + plain, i - plain);
			if (r >= 0)
				r = append_escaped(b, bytes + i, len);
		}
		i += len ? len : 1;
		if (escape)
			plain = i;
	}
	if (r >= 0)
		r = buf_append(b, bytes + plain, n - plain);
	if (r >= 0)
		r = buf_putc(b, '"');
	if (r < 0 && b->data) {
		b->len = old_len;
		b->data[old_len] = '\0';
	}
	return r;
}
