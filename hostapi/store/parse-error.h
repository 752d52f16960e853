#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One complaint about a record's text
 *
 * Shared by the readers of both formats and the checks on what they read. It
 * names places and members and never quotes a value; names of keys are quoted
 * so that whatever is in them, the complaint is one printable line.
 */
#include <stdarg.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/json.h"

/* What is wrong and where: `7:14: config."user.x": expected a string, found a list`. Never quotes a value. */
struct parse_error {
	struct json_place place; /* {0,0} when it has none */
	char *text;              /* member and complaint, without the place */
};

/* Frees the text and zeroes @e, which may be zeroed. */
void parse_error_finish(struct parse_error *e);

/* Sets *@e, which holds nothing yet. Returns -EINVAL, for the caller to pass on, or -ENOMEM. */
int parse_error_set(struct parse_error *e, struct json_place place, const char *format, ...)
	_printf_(3, 4);

/* "SOURCE:LINE:COLUMN: text", appended to @b. Returns 0 or -ENOMEM. */
int parse_error_format(const struct parse_error *e, const char *source, struct buf *b);

/* Appends a key as an error may show it: quoted, escaped, cut when it is long. Returns 0 or -ENOMEM. */
int parse_error_put_key(struct buf *b, const char *key, size_t n);

/* The place of the byte at @offset of @text. */
struct json_place parse_error_place(const char *text, size_t offset);
