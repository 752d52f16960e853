#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The head of an HTTP reply, line by line, and the sizes of chunks. Pure; lines come without their ends.
 */
#include <stdbool.h>
#include <stdint.h>

/* Headers that a reply may have. */
#define HTTPHEAD_LINES_MAX 256
/* The largest chunk, and the largest body of a whole reply. */
#define HTTPHEAD_BODY_MAX (64 * 1024 * 1024)

struct httphead {
	unsigned status;
	bool is_chunked;
	bool has_length;
	uint64_t length;
	char *content_type; /* the caller frees it; may be NULL */
};

/* "HTTP/1.1 200 OK". Returns 0 or -EPROTO. */
int httphead_parse_status(const char *line, unsigned *ret);

/* "Name: value"; the line is cut up. Headers of no interest are nothing. Returns 0, -EPROTO or -ENOMEM. */
int httphead_parse_header(char *line, struct httphead *head);

/* What stands before a chunk; extensions are ignored. Returns 0, -EPROTO or -EFBIG. */
int httphead_parse_chunk_size(const char *line, uint64_t *ret);
