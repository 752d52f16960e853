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
#include "core/record.h"
#include "store/parse-error.h"

struct settings;

enum record_format {
	RECORD_JSON,
	RECORD_YAML
};
enum record_kind {
	RECORD_INSTANCE,
	RECORD_PROFILE
};

/*
 * Reads the text to a JSON object: jansson for JSON, libyaml for YAML. In `config` and `devices`
 * numbers and booleans become strings as they are spelled in the text; anchors are accepted, tags,
 * merge keys and duplicate members refused; depth and size bounded. Returns 0, -EINVAL with
 * *ret_error, or -ENOMEM. For commands that edit a record; members nobody knows are kept.
 */
int parse_document(enum record_format format, const char *text, size_t n, json_t **ret,
		   struct parse_error *ret_error);

/*
 * The whole way: text -> record. @name is the file's name without suffix; a
 * `name` member that differs is an error. @source is copied into the record.
 * @warnings (may be NULL) gets one line "SOURCE:LINE:COLUMN: ..." per unknown member or likely typo.
 * @limits bounds value and record size.
 * Returns 0, -EINVAL with *ret_error, or -ENOMEM.
 */
int parse_record(enum record_kind kind, enum record_format format, const char *name,
		 const char *source, const char *text, size_t n, const struct settings *limits,
		 struct record **ret, struct buf *warnings, struct parse_error *ret_error);

/*
 * Member check for commands: whether a guest will ever see @key or the daemon act on it, and what
 * was likely meant. Appends a warning line to @b when not ("user.", "cloud-init.", known "security."
 * and "volatile." keys are fine). Returns 0 or -ENOMEM.
 */
int parse_warn_key(const char *key, struct buf *b);

/* Most profiles an instance may name, and bytes of a pinned instance-id. */
#define PARSE_PROFILES_MAX 256
#define PARSE_ID_MAX       64

/* The @i-th member that means something in a record of @kind, for the manual's test; NULL past the last. */
const char *parse_member(enum record_kind kind, size_t i);
