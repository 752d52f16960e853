/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See format.h. Widths are counted in characters, not bytes; nothing here is interpreted. */
#include "ctl/format.h"

#include <assert.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"

int format_parse(const char *word, enum format *ret)
{
	static const char *const words[] = {"table", "json", "yaml", "csv"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (streq(word ? word : "table", words[i])) {
			*ret = (enum format)i;
			return 0;
		}
	}
	return -EINVAL;
}

int format_json(FILE *f, const json_t *value)
{
	if (json_dumpf(value, f, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY) < 0)
		return ferror(f) ? 0 : -ENOMEM;
	fputc('\n', f);
	return 0;
}

static int append_cell(struct buf *b, const json_t *value)
{
	size_t i;
	json_t *item;
	int r = 0;

	switch (json_typeof(value)) {
	case JSON_STRING:
		return buf_puts(b, json_string_value(value));
	case JSON_INTEGER:
		return buf_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	case JSON_REAL:
		return buf_printf(b, "%g", json_real_value(value));
	case JSON_TRUE:
		return buf_puts(b, "yes");
	case JSON_FALSE:
		return buf_puts(b, "no");
	case JSON_ARRAY:
		json_array_foreach (value, i, item) {
			if (r == 0 && i > 0)
				r = buf_puts(b, ", ");
			if (r == 0)
				r = append_cell(b, item);
		}
		return r;
	default:
		return 0;
	}
}

char *format_cell(const json_t *value)
{
	_cleanup_(buf_finish) struct buf b = {0};

	if (value && append_cell(&b, value) < 0)
		return NULL;
	return buf_steal(&b, NULL);
}

/* Makes @text harmless for a terminal, in place, and returns its width. */
static size_t tame(char *text)
{
	size_t width = 0, n, step;

	assert(text); /* a missing one would have ended it */
	n = strlen(text);
	for (char *p = text; n > 0; p += step, n -= step, width++) {
		step = text_utf8_length(p, n);
		if (step == 0)
			step = 1;
		if (step == 1 && ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f))
			*p = '?';
		else if (step == 2 && (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0)
			p[0] = p[1] = '?';
	}
	return width;
}

static void print_csv_cell(FILE *f, const char *text)
{
	if (!text[strcspn(text, ",\"\r\n")]) {
		fputs(text, f);
		return;
	}
	fputc('"', f);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', f);
		fputc(*text, f);
	}
	fputc('"', f);
}

static void print_csv(FILE *f, char **cells, size_t n_rows, size_t n_columns)
{
	for (size_t i = 0; i < n_rows * n_columns; i++) {
		print_csv_cell(f, cells[i]);
		fputc((i + 1) % n_columns ? ',' : '\n', f);
	}
}

static void print_rule(FILE *f, const size_t *widths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fputs("+-", f);
		for (size_t w = 0; w <= widths[i]; w++)
			fputc('-', f);
	}
	fputs("+\n", f);
}

static void print_line(FILE *f, const char *const *cells, const size_t *widths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t width = 0;

		/* Continuation bytes have no width of their own. */
		for (const char *p = cells[i]; *p; p++)
			width += ((unsigned char)*p & 0xc0) != 0x80;
		fprintf(f, "| %s%*s", cells[i], (int)(widths[i] - width) + 1, "");
	}
	fputs("|\n", f);
}

static int print_table(FILE *f, char **cells, size_t n_rows,
		       const struct format_column *const *columns, size_t n)
{
	_cleanup_(freep) const char **titles = calloc(n, sizeof(*titles));
	_cleanup_(freep) size_t *widths = calloc(n, sizeof(*widths));

	if (!titles || !widths)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		titles[i] = columns[i]->title;
		widths[i] = strlen(titles[i]);
	}
	for (size_t i = 0; i < n_rows * n; i++) {
		size_t width = tame(cells[i]);

		if (width > widths[i % n])
			widths[i % n] = width;
	}
	print_rule(f, widths, n);
	print_line(f, titles, widths, n);
	print_rule(f, widths, n);
	for (size_t i = 0; i < n_rows; i++)
		print_line(f, (const char *const *)cells + i * n, widths, n);
	print_rule(f, widths, n);
	return 0;
}

static const json_t *value_at(const json_t *row, const struct format_column *c)
{
	const json_t *value = json_object_get(row, c->member);

	return c->part ? json_object_get(value, c->part) : value;
}

int format_rows(FILE *f, enum format format, const json_t *rows,
		const struct format_column *const *columns, size_t n_columns)
{
	_cleanup_(freep) char **cells = NULL;
	size_t n_rows = json_array_size(rows), n = n_rows * n_columns;
	int r = 0;

	if (format == FORMAT_JSON)
		return format_json(f, rows);
	if (format == FORMAT_YAML)
		return format_yaml(f, rows);
	cells = calloc(n + 1, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		cells[i] = format_cell(
			value_at(json_array_get(rows, i / n_columns), columns[i % n_columns]));
		if (!cells[i])
			r = -ENOMEM;
	}
	if (r == 0 && format == FORMAT_CSV)
		print_csv(f, cells, n_rows, n_columns);
	else if (r == 0)
		r = print_table(f, cells, n_rows, columns, n_columns);
	for (size_t i = 0; i < n; i++)
		free(cells[i]);
	return r;
}

int format_bytes(struct buf *b, double n)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	for (; n >= 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
		n /= 1024;
	return buf_printf(b, "%.*f %s", unit && n < 100 ? 1 : 0, n, units[unit]);
}
