#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An HTTP reply whose body is lines, as it arrives
 *
 * Bytes in, lines out, however both are cut: chunked, with a length, or until the connection ends. Pure. Bounded: a
 * line longer than the limit is refused before it is held.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/httphead.h"

/* Embedded; httplines_init(). */
struct httplines {
	struct httphead head;
	struct buf line;       /* of the head or of a chunk's frame, as far as it has come */
	struct buf body;       /* lines that were not taken yet are in data[taken, len) */
	size_t taken, scanned; /* up to scanned there is no end of a line */
	size_t line_max;
	unsigned n_headers;
	uint64_t left; /* of the chunk or of the body */
	int state;
};

/* Lines of at most @line_max bytes; httplines_finish() frees what is held, and zeroes it. */
void httplines_init(struct httplines *h, size_t line_max);
/* @h may be zeroed. */
void httplines_finish(struct httplines *h);

/*
 * Takes @n bytes as they came; 0: the connection has ended. Take all lines before the next bytes. Returns 0,
 * -EPROTO for what is not HTTP or a line over the limit, -ECONNRESET for an end in the middle, -EFBIG or -ENOMEM; the reply is
 * then over.
 */
int httplines_feed(struct httplines *h, const char *bytes, size_t n);

/* The status once the head is whole, else 0. */
unsigned httplines_status(const struct httplines *h);
/* Whether the body is whole. */
bool httplines_is_done(const struct httplines *h);

/*
 * The next line without its newline, NUL-terminated and valid until the next call of any of these; what a whole
 * body ends with needs none. NULL: there is no whole one.
 */
char *httplines_next(struct httplines *h, size_t *ret_n);
