/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See httplines.h. A state says what the next byte belongs to. Invariant: of what is not a whole line, no more is
 * held than a line may be long.
 */
#include "base/httplines.h"

#include "base/cleanup.h"

#define FRAME_LINE_MAX (64 * 1024)

enum {
	STATE_STATUS,
	STATE_HEADERS,
	STATE_CHUNK_SIZE,
	STATE_CHUNK,
	STATE_CHUNK_END, /* the empty line behind it */
	STATE_LENGTH,
	STATE_UNTIL_CLOSE,
	STATE_DONE,
};

void httplines_init(struct httplines *h, size_t line_max)
{
	*h = (struct httplines){.line_max = line_max};
}

void httplines_finish(struct httplines *h)
{
	free(h->head.content_type);
	buf_finish(&h->line);
	buf_finish(&h->body);
	*h = (struct httplines){0};
}

unsigned httplines_status(const struct httplines *h)
{
	return h->state > STATE_HEADERS ? h->head.status : 0;
}

bool httplines_is_done(const struct httplines *h)
{
	return h->state == STATE_DONE;
}

/* The head is whole. One of 1xx is followed by another. */
static void begin_body(struct httplines *h)
{
	const struct httphead *head = &h->head;

	h->left = head->length;
	if (head->status < 200) {
		free(h->head.content_type);
		h->head = (struct httphead){0};
		h->n_headers = 0;
		h->state = STATE_STATUS;
	} else if (head->status == 204 || head->status == 304) {
		h->state = STATE_DONE;
	} else if (head->is_chunked) {
		h->state = STATE_CHUNK_SIZE;
	} else if (head->has_length) {
		h->state = h->left > 0 ? STATE_LENGTH : STATE_DONE;
	} else {
		h->state = STATE_UNTIL_CLOSE;
	}
}

/* A whole line of the head or of a chunk's frame. */
static int frame_line(struct httplines *h, char *line)
{
	int r;

	switch (h->state) {
	case STATE_STATUS:
		h->state = STATE_HEADERS;
		return httphead_parse_status(line, &h->head.status);
	case STATE_HEADERS:
		if (*line)
			return h->n_headers++ < HTTPHEAD_LINES_MAX
				       ? httphead_parse_header(line, &h->head)
				       : -EPROTO;
		begin_body(h);
		return 0;
	case STATE_CHUNK_SIZE:
		r = httphead_parse_chunk_size(line, &h->left);
		if (r == 0)
			h->state = h->left > 0 ? STATE_CHUNK : STATE_DONE;
		return r;
	default:
		h->state = STATE_CHUNK_SIZE;
		return *line ? -EPROTO : 0;
	}
}

/* Takes bytes up to the end of a line of the frame. Returns how many, or -errno. */
static ssize_t feed_frame(struct httplines *h, const char *bytes, size_t n)
{
	const char *end = memchr(bytes, '\n', n);
	size_t part = end ? (size_t)(end - bytes) : n;
	int r;

	if (h->line.len + part > FRAME_LINE_MAX)
		return -EPROTO;
	r = buf_append(&h->line, bytes, part);
	if (r < 0 || !end)
		return r < 0 ? r : (ssize_t)part;
	if (h->line.len > 0 && h->line.data[h->line.len - 1] == '\r')
		h->line.data[h->line.len - 1] = '\0';
	r = frame_line(h, h->line.data);
	h->line.len = 0;
	return r < 0 ? r : (ssize_t)part + 1;
}

/* Takes bytes of the body. Returns how many, or -errno. */
static ssize_t feed_body(struct httplines *h, const char *bytes, size_t n)
{
	size_t part = h->state != STATE_UNTIL_CLOSE && h->left < n ? (size_t)h->left : n;
	const char *last = memrchr(bytes, '\n', part), *first = memchr(bytes, '\n', part);
	size_t unfinished =
		last ? part - (size_t)(last + 1 - bytes) : h->body.len - h->taken + part;
	int r;

	/* Neither the one that ends here nor the one that goes on. */
	if (unfinished > h->line_max ||
	    (first && h->body.len - h->taken + (size_t)(first - bytes) > h->line_max))
		return -EPROTO;
	r = buf_append(&h->body, bytes, part);
	if (r < 0)
		return r;
	if (h->state == STATE_UNTIL_CLOSE)
		return (ssize_t)part;
	h->left -= part;
	if (h->left == 0)
		h->state = h->state == STATE_CHUNK ? STATE_CHUNK_END : STATE_DONE;
	return (ssize_t)part;
}

static int feed_end(struct httplines *h)
{
	if (h->state != STATE_UNTIL_CLOSE)
		return h->state == STATE_DONE ? 0 : -ECONNRESET;
	h->state = STATE_DONE;
	return 0;
}

int httplines_feed(struct httplines *h, const char *bytes, size_t n)
{
	if (n == 0)
		return feed_end(h);
	/* The lines were taken: what is left is the beginning of one. */
	if (h->taken > 0) {
		h->body.len -= h->taken;
		memmove(h->body.data, h->body.data + h->taken, h->body.len);
		h->scanned -= h->taken;
		h->taken = 0;
	}
	/* What comes behind the reply is nobody's. */
	while (n > 0 && h->state != STATE_DONE) {
		bool is_body = h->state == STATE_CHUNK || h->state == STATE_LENGTH ||
			       h->state == STATE_UNTIL_CLOSE;
		ssize_t k = is_body ? feed_body(h, bytes, n) : feed_frame(h, bytes, n);

		if (k < 0)
			return (int)k;
		bytes += k;
		n -= (size_t)k;
	}
	return 0;
}

char *httplines_next(struct httplines *h, size_t *ret_n)
{
	size_t left = h->body.len - h->taken;
	char *start, *end;

	if (left == 0)
		return NULL;
	start = h->body.data + h->taken;
	end = memchr(h->body.data + h->scanned, '\n', h->body.len - h->scanned);
	if (!end && h->state != STATE_DONE) {
		h->scanned = h->body.len;
		return NULL;
	}
	if (!end)
		end = start + left;
	h->taken = (size_t)(end - h->body.data) + (end < h->body.data + h->body.len);
	h->scanned = h->taken;
	*end = '\0'; /* a newline, or the buffer's own NUL */
	*ret_n = (size_t)(end - start);
	return start;
}
