/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One complaint about a record's text
 *
 * Knows nothing of formats or members. Keeps a complaint to one line.
 */
#include "store/parse-error.h"

#define KEY_SHOWN_MAX 100 /* bytes; enough to find any key a person wrote */

void parse_error_finish(struct parse_error *e)
{
	free(e->text);
	*e = (struct parse_error){0};
}

int parse_error_set(struct parse_error *e, struct json_place place, const char *format, ...)
{
	_cleanup_(buf_finish) struct buf b = {0};
	va_list args;
	int r;

	va_start(args, format);
	r = buf_vprintf(&b, format, args);
	va_end(args);
	if (r < 0)
		return r;
	*e = (struct parse_error){place, buf_steal(&b, NULL)};
	return -EINVAL;
}

int parse_error_format(const struct parse_error *e, const char *source, struct buf *b)
{
	if (e->place.line == 0)
		return buf_printf(b, "%s: %s", source, e->text);
	return buf_printf(b, "%s:%u:%u: %s", source, e->place.line, e->place.column, e->text);
}

int parse_error_put_key(struct buf *b, const char *key, size_t n)
{
	if (n <= KEY_SHOWN_MAX)
		return json_append_string(b, key, n, false);
	if (json_append_string(b, key, KEY_SHOWN_MAX, false) < 0)
		return -ENOMEM;
	return buf_puts(b, "...");
}

struct json_place parse_error_place(const char *text, size_t offset)
{
	struct json_place place = {1, 1};

	for (size_t i = 0; i < offset; i++) {
		place.column++;
		if (text[i] == '\n')
			place = (struct json_place){place.line + 1, 1};
	}
	return place;
}
