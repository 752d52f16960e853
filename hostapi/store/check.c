/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Complaining about a member of a record
 *
 * The place is looked for in the text again when there is something to say, so
 * that a good record pays nothing for it.
 */
#include "store/check.h"

#include "base/text.h"
#include "store/yaml-reader.h"

/* Keys that people choose are quoted, members of the format are not. */
static bool is_free_key(const struct check *c, size_t i)
{
	return i > 0 && (streq(c->path[0], "config") || streq(c->path[0], "devices"));
}

static int put_path(const struct check *c, struct buf *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_path; i++) {
		const char *name = c->path[i];
		size_t n = strlen(name);

		if (i > 0 && !is_free_key(c, i) && strspn(name, "0123456789") == n) {
			r = buf_printf(b, "[%s]", name);
			continue;
		}
		if (i > 0)
			r = buf_putc(b, '.');
		if (r == 0 &&
		    (is_free_key(c, i) || strspn(name, "abcdefghijklmnopqrstuvwxyz_") != n))
			r = parse_error_put_key(b, name, n);
		else if (r == 0)
			r = buf_puts(b, name);
	}
	return r;
}

static struct json_place locate(const struct check *c)
{
	struct json_place place;

	if (c->format == RECORD_YAML)
		yaml_reader_locate(c->text, c->n, c->path, c->n_path, &place);
	else
		json_locate(c->text, c->n, c->path, c->n_path, &place);
	return place;
}

static int put_text(const struct check *c, struct buf *b, const char *format, va_list args)
{
	if (put_path(c, b) < 0 || buf_puts(b, ": ") < 0)
		return -ENOMEM;
	return buf_vprintf(b, format, args);
}

int check_complain(struct check *c, const char *format, ...)
{
	_cleanup_(buf_finish) struct buf b = {0};
	va_list args;
	int r;

	va_start(args, format);
	r = put_text(c, &b, format, args);
	va_end(args);
	return r < 0 ? r : parse_error_set(c->error, locate(c), "%s", b.data);
}

int check_complain_type(struct check *c, const char *wanted, const json_t *value)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "a string",
		[JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "a boolean",
		[JSON_FALSE] = "a boolean",  [JSON_NULL] = "null",
	};

	return check_complain(c, "expected %s, found %s", wanted, names[json_typeof(value)]);
}

int check_warn(struct check *c, const char *format, ...)
{
	_cleanup_(buf_finish) struct buf b = {0};
	struct parse_error warning = {0};
	va_list args;
	int r;

	if (!c->warnings)
		return 0;
	va_start(args, format);
	r = put_text(c, &b, format, args);
	va_end(args);
	if (r < 0)
		return r;
	warning = (struct parse_error){locate(c), b.data};
	if (parse_error_format(&warning, c->source, c->warnings) < 0)
		return -ENOMEM;
	return buf_putc(c->warnings, '\n');
}

int check_warn_unknown(struct check *c, const char *const *known, size_t n_known)
{
	const char *meant = text_nearest(c->path[c->n_path - 1], known, n_known);

	if (meant)
		return check_warn(c, "no such member, ignored; did you mean \"%s\"?", meant);
	return check_warn(c, "no such member, ignored");
}
