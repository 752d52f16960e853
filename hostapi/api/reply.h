#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a handler answers, and the one table from outcome to HTTP status
 *
 * Raw values are application/octet-stream; charset=utf-8 (without the charset cloud-init before 24.2
 * guesses one), JSON ends with one newline, errors are text/plain with nosniff: devlxd-api(7).
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/eventlog.h"

struct account;
struct hub_log;
struct snapshot;

enum outcome {
	OUTCOME_OK,
	OUTCOME_PARTIAL,
	OUTCOME_NOT_MODIFIED,
	OUTCOME_BAD_REQUEST, /* from here on they are errors */
	OUTCOME_UNAUTHORIZED,
	OUTCOME_FORBIDDEN,
	OUTCOME_NOT_FOUND,
	OUTCOME_CONFLICT,
	OUTCOME_FAILED_CONDITION,
	OUTCOME_TOO_LARGE,
	OUTCOME_BAD_RANGE,
	OUTCOME_TOO_MANY,
	OUTCOME_INTERNAL,
	OUTCOME_NOT_IMPLEMENTED,
	OUTCOME_UNAVAILABLE,
	_OUTCOME_N,
};
static inline bool outcome_is_error(enum outcome o)
{
	return o >= OUTCOME_BAD_REQUEST;
}
/* 200, 400, ... */
unsigned outcome_status(enum outcome o);
/* "Not Found", ...; constant. */
const char *outcome_phrase(enum outcome o);

enum reply_kind {
	REPLY_RAW,
	REPLY_JSON,
	REPLY_TEXT
};

/* How the body is sent. */
enum reply_stream {
	REPLY_WHOLE,
	REPLY_FILES,     /* from files, see struct reply_files */
	REPLY_LINES,     /* never ends: events, a line each */
	REPLY_WEBSOCKET, /* the same as a websocket; no status says that, so the outcome is OK */
};

#define REPLY_ACCEPT_SIZE 29

/* The events of a stream. */
struct reply_events {
	struct hub_log *log; /* a reference; NULL: the header is all (HEAD) */
	struct eventlog_cursor cursor;
	unsigned types;
	struct account
		*account; /* charged with a listener; of the request's instance; NULL: the host's */
	char accept[REPLY_ACCEPT_SIZE]; /* Sec-WebSocket-Accept */
};

/* A piece of a body: bytes of a file, or of a text. */
struct reply_piece {
	int fd;          /* of the file; -1: of reply_files::text */
	uint64_t offset; /* there */
	uint64_t n;
	/* The file is what it shall be as long as it has these. */
	uint64_t size;
	int64_t mtime_ns;
};

#define REPLY_PIECES_MAX 5

/* A body that is never in memory as a whole: pieces, one after the other. */
struct reply_files {
	size_t n_pieces;
	struct reply_piece pieces[REPLY_PIECES_MAX]; /* with their descriptors */
	char *text;                                  /* malloc; NULL: none */
};

/* Closes and frees what it holds, and zeroes it. */
void reply_files_finish(struct reply_files *f);

#define REPLY_HEADERS_MAX 4

/* A header that only some replies have. */
struct reply_header {
	const char *name; /* constant */
	char *value;      /* malloc */
};

struct reply {
	enum outcome outcome;
	enum reply_kind kind;
	const char *content_type; /* constant; NULL: by kind; see reply_content_type() */
	const char *allow;        /* for NOT_IMPLEMENTED: "GET, HEAD"; else NULL */
	uint32_t retry_after_s;   /* 0: no Retry-After */
	const char *
		limit; /* with TOO_MANY, what there is too much of; constant; NULL: not to be logged */
	int error;     /* -errno behind OUTCOME_INTERNAL, for the front to log; 0: none */
	char *trouble;    /* what to log instead of the error's own text (malloc); NULL: nothing */
	const char *body; /* may be NULL when body_len is 0 */
	uint64_t body_len;
	char *owned; /* what body, content_type or allow points to when the reply owns it (malloc) */
	struct snapshot *borrowed; /* reference that keeps body alive when a snapshot owns it */
	enum reply_stream stream;
	struct reply_events events;
	struct reply_files files;
	struct reply_header headers[REPLY_HEADERS_MAX];
	size_t n_headers;
};

/*
 * A reply starts zeroed, which is 200 with an empty raw body. Each function
 * below replaces what was there; the last one before sending counts.
 */

/* Frees what it holds and zeroes it. */
void reply_finish(struct reply *r);

/* The Content-Type to send; constant, never NULL. */
const char *reply_content_type(const struct reply *r);

/* 200, raw: @n bytes inside @s, sent without copying; takes a reference to @s. */
void reply_value(struct reply *r, struct snapshot *s, const char *bytes, size_t n);
/* 200 with @n @bytes, which the reply frees. */
void reply_owned(struct reply *r, enum reply_kind kind, char *bytes, size_t n);
/* 200 with the buffer's bytes, taken out of it. Returns 0 or -ENOMEM. */
int reply_bytes(struct reply *r, enum reply_kind kind, struct buf *b);
/* 200 with @value encoded (reference stolen, compact, sorted keys, newline). Returns 0 or -ENOMEM. */
int reply_json(struct reply *r, json_t *value);
/* 200 with the constant @text, sent without copying. */
void reply_constant(struct reply *r, enum reply_kind kind, const char *text);
/* 200 with the events of @types that will be in @log (a reference that is taken over; NULL: never any) from now on. */
void reply_events(struct reply *r, struct hub_log *log, unsigned types);
/*
 * 200 with the contents of *files, which is taken over and zeroed. @content_type: constant, or in @owned (malloc; NULL:
 * none), which the reply frees.
 */
void reply_files(struct reply *r, struct reply_files *files, const char *content_type, char *owned);
/* Adds a header, REPLY_HEADERS_MAX at most. Returns 0 or -ENOMEM. */
int reply_header(struct reply *r, const char *name, const char *format, ...) _printf_(3, 4);
/* 200 with an empty raw body. */
void reply_empty(struct reply *r);
/*
 * Error in plain text: @format, or the status' phrase when NULL, plus newline. Never fails: without
 * memory it is the phrase. TOO_MANY gets a Retry-After of one second; the caller may raise it.
 */
void reply_error(struct reply *r, enum outcome o, const char *format, ...) _printf_(3, 4);
/* Error in the main API's JSON envelope, @message or the phrase when NULL; plain text without memory. */
void reply_error_envelope(struct reply *r, enum outcome o, const char *message);
