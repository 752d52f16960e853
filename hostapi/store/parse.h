#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Record text -> record (design section 5, devlxdfs-record(5))
 *
 * Pure: bytes in, struct or one precise complaint out. Knows both formats and
 * nothing of directories. One const table of members drives checking and the
 * manual's test. Used by the daemon, by `devlxdfs validate` and by the fuzzer.
 */
#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/json.h"
#include "core/record.h"

struct settings;

enum record_format {
	RECORD_JSON,
	RECORD_YAML
};
enum record_kind {
	RECORD_INSTANCE,
	RECORD_PROFILE
};

/* What is wrong and where: `7:14: config."user.x": expected a string, found a list`. Never quotes a value. */
struct parse_error {
	struct json_place place; /* {0,0} when it has none */
	char *text;              /* member and complaint, without the place */
};
void parse_error_finish(struct parse_error *e);
/* "SOURCE:LINE:COLUMN: text", appended to @b. Returns 0 or -ENOMEM. */
int parse_error_format(const struct parse_error *e, const char *source, struct buf *b);

/*
 * Reads the text to a JSON object: jansson for JSON, libyaml for YAML (scalars that YAML 1.1 reads as numbers or
 * booleans keep their spelling as strings; anchors are accepted, tags and merge keys refused; depth and size
 * bounded). Returns 0, -EINVAL with *ret_error, or -ENOMEM. For commands that
 * edit a record; members nobody knows are kept.
 */
int parse_document(enum record_format format, const char *text, size_t n, json_t **ret,
		   struct parse_error *ret_error);

/*
 * The whole way: text -> record. @name is the file's name without suffix; a
 * `name` member that differs is an error. @source is copied into the record.
 * @warnings (may be NULL) gets one line per unknown member or likely typo, no place prefix omitted: the
 * lines are ready to print. @limits bounds value and record size.
 * Returns 0, -EINVAL with *ret_error, or -ENOMEM.
 */
int parse_record(enum record_kind kind, enum record_format format, const char *name,
		 const char *source, const char *text, size_t n, const struct settings *limits,
		 struct record **ret, struct buf *warnings, struct parse_error *ret_error);

/*
 * Member check for commands: whether a guest will ever see @key, and what was
 * likely meant. Appends a warning line to @b when not ("user.", "cloud-init.", known "security."
 * and "volatile." keys are fine). Returns 0 or -ENOMEM.
 */
int parse_warn_key(const char *key, struct buf *b);
