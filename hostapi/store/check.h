#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Complaining about a member of a record
 *
 * What the checks in parse.c and rules.c share: where they are in the document,
 * and how a complaint or warning about that place is written.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "store/parse.h"

#define CHECK_PATH_MAX 4

struct check {
	enum record_kind kind;
	enum record_format format;
	const char *source, *text;
	size_t n;
	const struct settings *limits;
	struct buf *warnings; /* may be NULL */
	struct parse_error *error;
	struct record *record; /* being filled */

	/* The way to the value being checked: names, list indices as decimal numbers. */
	const char *path[CHECK_PATH_MAX];
	size_t n_path;
};

/* Writes the complaint about the value at the current path. Returns -EINVAL or -ENOMEM. */
int check_complain(struct check *c, const char *format, ...) _printf_(2, 3);

/* "expected WANTED, found a list" about @value. Returns -EINVAL or -ENOMEM. */
int check_complain_type(struct check *c, const char *wanted, const json_t *value);

/* Appends a warning line about the current path, when warnings are wanted. Returns 0 or -ENOMEM. */
int check_warn(struct check *c, const char *format, ...) _printf_(2, 3);

/* Warns about a member nobody knows at the current path, naming the nearest of @known. Returns 0 or -ENOMEM. */
int check_warn_unknown(struct check *c, const char *const *known, size_t n_known);
