/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a handler answers
 *
 * The only place with HTTP status numbers. Bodies that live in a snapshot or
 * in the program are pointed to, never copied; an error always has a body,
 * because the phrase needs no memory.
 */
#include "api/reply.h"

#include <assert.h>

#include "base/json.h"
#include "core/hub.h"
#include "core/limits.h"
#include "core/snapshot.h"

#define OUTCOME(code, text)                                                                        \
	{                                                                                          \
		code, text, text "\n"                                                              \
	}

static const struct {
	unsigned status;
	const char *phrase, *line;
} outcomes[_OUTCOME_N] = {
	[OUTCOME_OK] = OUTCOME(200, "OK"),
	[OUTCOME_PARTIAL] = OUTCOME(206, "Partial Content"),
	[OUTCOME_NOT_MODIFIED] = OUTCOME(304, "Not Modified"),
	[OUTCOME_BAD_REQUEST] = OUTCOME(400, "Bad Request"),
	[OUTCOME_UNAUTHORIZED] = OUTCOME(401, "Unauthorized"),
	[OUTCOME_FORBIDDEN] = OUTCOME(403, "Forbidden"),
	[OUTCOME_NOT_FOUND] = OUTCOME(404, "Not Found"),
	[OUTCOME_CONFLICT] = OUTCOME(409, "Conflict"),
	[OUTCOME_FAILED_CONDITION] = OUTCOME(412, "Precondition Failed"),
	[OUTCOME_TOO_LARGE] = OUTCOME(413, "Request Entity Too Large"),
	[OUTCOME_BAD_RANGE] = OUTCOME(416, "Range Not Satisfiable"),
	[OUTCOME_TOO_MANY] = OUTCOME(429, "Too Many Requests"),
	[OUTCOME_INTERNAL] = OUTCOME(500, "Internal Server Error"),
	[OUTCOME_NOT_IMPLEMENTED] = OUTCOME(501, "Not Implemented"),
	[OUTCOME_UNAVAILABLE] = OUTCOME(503, "Service Unavailable"),
};

unsigned outcome_status(enum outcome o)
{
	assert(o < _OUTCOME_N);
	return outcomes[o].status;
}

const char *outcome_phrase(enum outcome o)
{
	assert(o < _OUTCOME_N);
	return outcomes[o].phrase;
}

void reply_files_finish(struct reply_files *f)
{
	for (size_t i = 0; i < f->n_pieces; i++)
		closep(&f->pieces[i].fd);
	free(f->text);
	*f = (struct reply_files){0};
}

void reply_finish(struct reply *r)
{
	free(r->owned);
	free(r->trouble);
	reply_files_finish(&r->files);
	for (size_t i = 0; i < r->n_headers; i++)
		free(r->headers[i].value);
	snapshot_unref(r->borrowed);
	hub_log_unref(r->events.log);
	if (r->events.account)
		account_unlisten(r->events.account);
	*r = (struct reply){0};
}

const char *reply_content_type(const struct reply *r)
{
	static const char *const types[] = {
		[REPLY_RAW] = "application/octet-stream; charset=utf-8",
		[REPLY_JSON] = "application/json",
		[REPLY_TEXT] = "text/plain; charset=utf-8",
	};

	return r->content_type ?: types[r->kind];
}

void reply_value(struct reply *r, struct snapshot *s, const char *bytes, size_t n)
{
	reply_finish(r);
	r->borrowed = snapshot_ref(s);
	r->body = bytes;
	r->body_len = n;
}

void reply_owned(struct reply *r, enum reply_kind kind, char *bytes, size_t n)
{
	reply_finish(r);
	r->kind = kind;
	r->body = r->owned = bytes;
	r->body_len = n;
}

int reply_bytes(struct reply *r, enum reply_kind kind, struct buf *b)
{
	size_t n;
	char *bytes = buf_steal(b, &n);

	if (!bytes)
		return -ENOMEM;
	reply_owned(r, kind, bytes, n);
	return 0;
}

int reply_json(struct reply *r, json_t *value)
{
	json_auto_t *owned_value = value;
	_cleanup_(freep) char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
	_cleanup_(buf_finish) struct buf b = {0};

	if (!text || buf_puts(&b, text) < 0 || buf_putc(&b, '\n') < 0)
		return -ENOMEM;
	return reply_bytes(r, REPLY_JSON, &b);
}

void reply_constant(struct reply *r, enum reply_kind kind, const char *text)
{
	reply_finish(r);
	r->kind = kind;
	r->body = text;
	r->body_len = strlen(text);
}

void reply_events(struct reply *r, struct hub_log *log, unsigned types)
{
	reply_finish(r);
	r->kind = REPLY_JSON;
	r->stream = REPLY_LINES;
	r->events.log = log;
	r->events.types = types;
	if (log)
		hub_end(log, &r->events.cursor);
}

void reply_files(struct reply *r, struct reply_files *files, const char *content_type, char *owned)
{
	reply_finish(r);
	r->stream = REPLY_FILES;
	r->files = *files;
	*files = (struct reply_files){0};
	r->content_type = content_type;
	r->owned = owned;
	for (size_t i = 0; i < r->files.n_pieces; i++)
		r->body_len += r->files.pieces[i].n;
}

int reply_header(struct reply *r, const char *name, const char *format, ...)
{
	char *value;
	va_list args;
	int n;

	assert(r->n_headers < REPLY_HEADERS_MAX);
	va_start(args, format);
	n = vasprintf(&value, format, args);
	va_end(args);
	if (n < 0)
		return -ENOMEM;
	r->headers[r->n_headers++] = (struct reply_header){name, value};
	return 0;
}

void reply_empty(struct reply *r)
{
	reply_finish(r);
}

/* The error @o with the text in @b, or with the phrase when @b is empty or cannot be taken. */
static void set_error(struct reply *r, enum outcome o, enum reply_kind kind, struct buf *b)
{
	assert(outcome_is_error(o) && o < _OUTCOME_N);
	if (b->len == 0 || reply_bytes(r, kind, b) < 0)
		reply_constant(r, REPLY_TEXT, outcomes[o].line);
	r->outcome = o;
	r->retry_after_s = o == OUTCOME_TOO_MANY ? 1 : 0;
}

void reply_error(struct reply *r, enum outcome o, const char *format, ...)
{
	_cleanup_(buf_finish) struct buf b = {0};
	va_list args;
	int done;

	if (format) {
		va_start(args, format);
		done = buf_vprintf(&b, format, args);
		va_end(args);
		if (done < 0 || buf_putc(&b, '\n') < 0)
			buf_finish(&b);
	}
	set_error(r, o, REPLY_TEXT, &b);
}

void reply_error_envelope(struct reply *r, enum outcome o, const char *message)
{
	_cleanup_(buf_finish) struct buf b = {0};
	const char *text = message ?: outcome_phrase(o);

	if (buf_printf(&b,
		       "{\"type\":\"error\",\"status\":\"\",\"status_code\":0,"
		       "\"operation\":\"\",\"error_code\":%u,\"error\":",
		       outcome_status(o)) < 0 ||
	    json_append_string(&b, text, strlen(text), false) < 0 ||
	    buf_puts(&b, ",\"metadata\":null}\n\n") < 0)
		buf_finish(&b);
	set_error(r, o, REPLY_JSON, &b);
}
