#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * YAML events, one after the other, and where a member stands
 *
 * What yaml-json.c reads with. Knows libyaml and nothing of JSON.
 */
#include <stddef.h>
#include <yaml.h>

#include "store/parse-error.h"

struct yaml_reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one; zero before the first */
	const char *text;
	size_t n; /* bytes of text */
	struct parse_error *error;
};

/*
 * Begins to read the @n bytes of @text, which is borrowed; complaints go to @error. Returns 0 or -ENOMEM;
 * yaml_reader_finish() it in both cases.
 */
int yaml_reader_init(struct yaml_reader *y, const char *text, size_t n, struct parse_error *error);
void yaml_reader_finish(struct yaml_reader *y); /* frees what it holds */

/* Fetches the next event. Returns 0, -EINVAL with a complaint, or -ENOMEM. */
int yaml_reader_next(struct yaml_reader *y);

/* Goes to the first node's event. As yaml_reader_next(). */
int yaml_reader_begin(struct yaml_reader *y);

/* Where the current event begins. */
struct json_place yaml_reader_place(const struct yaml_reader *y);

/* Complains about the current event. Returns -EINVAL or -ENOMEM. */
int yaml_reader_complain(struct yaml_reader *y, const char *what);

/*
 * json_locate() for text that yaml_json_read() has accepted. A value that comes from an alias is
 * where the alias is. Columns count characters.
 */
void yaml_reader_locate(const char *text, size_t n, const char *const *path, size_t n_path,
			struct json_place *ret);
