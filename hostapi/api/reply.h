#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a handler answers, and the one table from outcome to HTTP status
 *
 * Encodings of devlxd-api.md 1.4 with section 12's fixes: raw is
 * application/octet-stream; charset=utf-8, JSON ends with one newline, errors
 * are text/plain with nosniff.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct snapshot;

enum outcome {
	OUTCOME_OK,
	OUTCOME_BAD_REQUEST,
	OUTCOME_UNAUTHORIZED,
	OUTCOME_FORBIDDEN,
	OUTCOME_NOT_FOUND,
	OUTCOME_CONFLICT,
	OUTCOME_TOO_LARGE,
	OUTCOME_TOO_MANY,
	OUTCOME_INTERNAL,
	OUTCOME_NOT_IMPLEMENTED,
	OUTCOME_UNAVAILABLE,
	_OUTCOME_N,
};
unsigned outcome_status(enum outcome o);    /* 200, 400, ... */
const char *outcome_phrase(enum outcome o); /* "Not Found", ... */

enum reply_kind {
	REPLY_RAW,
	REPLY_JSON,
	REPLY_TEXT
};

struct reply {
	enum outcome outcome;
	enum reply_kind kind;
	const char *content_type; /* constant; NULL: by kind */
	const char *
		allow; /* for NOT_IMPLEMENTED: "GET, HEAD"; points into the route table; else NULL */
	uint32_t retry_after_s; /* 0: no Retry-After */
	const char *body;
	size_t body_len;
	char *owned;               /* body when the reply owns it (malloc) */
	struct snapshot *borrowed; /* reference that keeps body alive when a snapshot owns it */
};

void reply_finish(struct reply *r);

/* Body is @n bytes inside @s, sent without copying; takes a reference to @s. */
void reply_value(struct reply *r, struct snapshot *s, const char *bytes, size_t n);
/* Takes the buffer's bytes (emptied). Returns 0 or -ENOMEM. */
int reply_bytes(struct reply *r, enum reply_kind kind, struct buf *b);
/* Encodes @value (reference stolen, compact, sorted keys, newline). Returns 0 or -ENOMEM. */
int reply_json(struct reply *r, json_t *value);
/* 200 with an empty raw body. */
void reply_empty(struct reply *r);
/* Error in plain text: @format, or the status' phrase when NULL, plus newline. Never fails: the phrase is constant. */
void reply_error(struct reply *r, enum outcome o, const char *format, ...) _printf_(3, 4);
/* Error in the main API's JSON envelope (devlxd-api.md 1.4 c). */
void reply_error_envelope(struct reply *r, enum outcome o, const char *message);
