#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Printing: table, JSON, YAML, CSV
 *
 * Rows are JSON objects; columns choose among their members for table and CSV, the other two print
 * the objects whole. Bytes that would move a terminal's cursor are printed as '?' in tables.
 */
#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"

enum format {
	FORMAT_TABLE,
	FORMAT_JSON,
	FORMAT_YAML,
	FORMAT_CSV
};

struct format_column {
	char letter; /* how an option calls it; 0: it cannot be chosen */
	const char *title;
	const char *member;
	const char *part; /* a member of that member; NULL: all of it */
};

/* The word of -f/--format, NULL meaning table. Returns 0 or -EINVAL. */
int format_parse(const char *word, enum format *ret);

/* Prints the array @rows. Returns 0 or -ENOMEM; what the stream says is for main. */
int format_rows(FILE *f, enum format format, const json_t *rows,
		const struct format_column *const *columns, size_t n_columns);

/* Prints one value as indented JSON with a newline. Returns 0 or -ENOMEM. */
int format_json(FILE *f, const json_t *value);

/* Prints one value as a YAML document, members sorted, texts with lines as blocks. Returns 0 or -ENOMEM. */
int format_yaml(FILE *f, const json_t *value);

/* One value as the text of a cell: yes/no, lists with ", ", "" for null. Caller frees; NULL = no memory. */
char *format_cell(const json_t *value);

/* Appends a number of bytes as people read it: "1.5 GiB". Returns 0 or -ENOMEM. */
int format_bytes(struct buf *b, double n);
