/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP client for the admin socket
 *
 * One request, one reply, one connection. Knows no route. Invariant: a reply
 * that was cut short is never taken for a whole one, except where HTTP/1.0
 * gives no way to tell.
 */
#include "base/httpc.h"

#include <stdbool.h>
#include <stdint.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/sock.h"
#include "base/text.h"

enum {
	LINE_BYTES_MAX = 64 * 1024,
	HEADERS_MAX = 256,
	BODY_BYTES_MAX = 64 * 1024 * 1024,
};

/* What was received and not yet looked at is in.data[pos, in.len). */
struct stream {
	int fd;
	struct buf in;
	size_t pos;
};

struct head {
	unsigned status;
	bool is_chunked;
	bool has_length;
	uint64_t length;
	char *content_type;
};

void httpc_reply_finish(struct httpc_reply *reply)
{
	free(reply->content_type);
	free(reply->body);
	*reply = (struct httpc_reply){0};
}

/* Receives more. Returns the number of bytes, 0 at the end of the stream, or -errno. */
static ssize_t stream_fill(struct stream *s)
{
	ssize_t n;
	int r;

	if (s->pos > 0) {
		s->in.len -= s->pos;
		memmove(s->in.data, s->in.data + s->pos, s->in.len);
		s->pos = 0;
	}
	r = buf_reserve(&s->in, 16 * 1024);
	if (r < 0)
		return r;
	do {
		n = recv(s->fd, s->in.data + s->in.len, s->in.size - s->in.len - 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	s->in.len += (size_t)n;
	s->in.data[s->in.len] = '\0';
	return n;
}

/* The next line without its end, valid until the next call. Returns 0 or -errno. */
static int stream_line(struct stream *s, char **ret_line)
{
	for (;;) {
		size_t left = s->in.len - s->pos;
		char *start = left ? s->in.data + s->pos : NULL;
		char *end = start ? memchr(start, '\n', left) : NULL;
		ssize_t n;

		if (end) {
			s->pos += (size_t)(end - start) + 1;
			if (end > start && end[-1] == '\r')
				end--;
			*end = '\0';
			*ret_line = start;
			return 0;
		}
		if (left > LINE_BYTES_MAX)
			return -EPROTO;
		n = stream_fill(s);
		if (n <= 0)
			return n < 0 ? (int)n : -ECONNRESET;
	}
}

/* Moves @n bytes to @out. Returns 0 or -errno. */
static int stream_take(struct stream *s, struct buf *out, uint64_t n)
{
	if (n > BODY_BYTES_MAX - out->len)
		return -EFBIG;
	while (n > 0) {
		size_t left = s->in.len - s->pos;
		size_t part = left < n ? left : (size_t)n;
		ssize_t k;
		int r;

		if (part > 0) {
			r = buf_append(out, s->in.data + s->pos, part);
			if (r < 0)
				return r;
			s->pos += part;
			n -= part;
			continue;
		}
		k = stream_fill(s);
		if (k <= 0)
			return k < 0 ? (int)k : -ECONNRESET;
	}
	return 0;
}

static int stream_take_until_end(struct stream *s, struct buf *out)
{
	for (;;) {
		ssize_t n;
		int r = stream_take(s, out, s->in.len - s->pos);

		if (r < 0)
			return r;
		n = stream_fill(s);
		if (n <= 0)
			return (int)n;
	}
}

/* Chunk sizes are the one hexadecimal number we read. Extensions behind ';' are ignored. */
static int parse_chunk_size(const char *line, uint64_t *ret)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	uint64_t value = 0;
	const char *p = line;

	for (; *p && *p != ';' && *p != ' '; p++) {
		const char *digit = strchr(digits, *p);
		size_t i = digit ? (size_t)(digit - digits) : 0;

		if (!digit)
			return -EPROTO;
		value = value << 4 | (i < 16 ? i : i - 6);
		if (value > BODY_BYTES_MAX)
			return -EFBIG;
	}
	if (p == line)
		return -EPROTO;
	*ret = value;
	return 0;
}

static int stream_take_chunks(struct stream *s, struct buf *out)
{
	for (;;) {
		uint64_t size;
		char *line;
		int r = stream_line(s, &line);

		if (r >= 0)
			r = parse_chunk_size(line, &size);
		if (r < 0)
			return r;
		if (size == 0)
			return 0; /* trailers are of no interest, the connection ends here */
		r = stream_take(s, out, size);
		if (r >= 0)
			r = stream_line(s, &line);
		if (r < 0)
			return r;
		if (*line)
			return -EPROTO;
	}
}

/* "HTTP/1.1 200 OK" */
static int parse_status(const char *line, unsigned *ret)
{
	char digits[4];
	uint64_t status;

	if (!text_has_prefix(line, "HTTP/1.") || strlen(line) < strlen("HTTP/1.1 200") ||
	    line[8] != ' ' || (line[12] && line[12] != ' '))
		return -EPROTO;
	memcpy(digits, line + 9, 3);
	digits[3] = '\0';
	if (text_to_u64(digits, 100, 599, &status) < 0)
		return -EPROTO;
	*ret = (unsigned)status;
	return 0;
}

static int parse_header(char *line, struct head *head)
{
	char *value = strchr(line, ':');

	if (!value)
		return -EPROTO;
	*value++ = '\0';
	value += strspn(value, " \t");
	for (size_t n = strlen(value); n > 0 && strchr(" \t", value[n - 1]); n--)
		value[n - 1] = '\0';
	if (strcasecmp(line, "Content-Length") == 0) {
		head->has_length = true;
		return text_to_u64(value, 0, UINT64_MAX, &head->length) < 0 ? -EPROTO : 0;
	}
	if (strcasecmp(line, "Transfer-Encoding") == 0) {
		head->is_chunked = strcasecmp(value, "chunked") == 0;
		return head->is_chunked ? 0 : -EPROTO;
	}
	if (strcasecmp(line, "Content-Type") == 0) {
		free(head->content_type);
		head->content_type = strdup(value);
		return head->content_type ? 0 : -ENOMEM;
	}
	return 0;
}

static int read_head(struct stream *s, struct head *head)
{
	char *line;
	int r = stream_line(s, &line);

	if (r >= 0)
		r = parse_status(line, &head->status);
	for (unsigned i = 0; r >= 0 && i < HEADERS_MAX; i++) {
		r = stream_line(s, &line);
		if (r >= 0 && !*line)
			return 0;
		if (r >= 0)
			r = parse_header(line, head);
	}
	return r < 0 ? r : -EPROTO;
}

static int read_body(struct stream *s, const struct head *head, struct buf *out)
{
	if (head->status == 204 || head->status == 304)
		return 0;
	if (head->is_chunked)
		return stream_take_chunks(s, out);
	if (head->has_length)
		return stream_take(s, out, head->length);
	return stream_take_until_end(s, out);
}

static int read_reply(int fd, bool is_head, struct httpc_reply *ret)
{
	_cleanup_(buf_finish) struct buf body = {0};
	struct httpc_reply reply = {0};
	struct stream s = {.fd = fd};
	struct head head;
	int r;

	do { /* until it is not 1xx */
		free(reply.content_type);
		head = (struct head){0};
		r = read_head(&s, &head);
		reply.content_type = head.content_type;
	} while (r >= 0 && head.status < 200);
	if (r >= 0 && !is_head)
		r = read_body(&s, &head, &body);
	buf_finish(&s.in);
	if (r >= 0) {
		reply.status = head.status;
		reply.body = buf_steal(&body, &reply.body_len);
		r = reply.body ? 0 : -ENOMEM;
	}
	if (r < 0) {
		httpc_reply_finish(&reply);
		return r;
	}
	*ret = reply;
	return 0;
}

static int send_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, bytes, n, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		bytes += k;
		n -= (size_t)k;
	}
	return 0;
}

int httpc_request(const char *path, const char *method, const char *target, const void *body,
		  size_t body_len, struct httpc_reply *ret)
{
	_cleanup_(buf_finish) struct buf request = {0};
	_cleanup_(closep) int fd = -1;
	int r;

	r = buf_printf(&request, "%s %s HTTP/1.1\r\nHost: lxd\r\nConnection: close\r\n", method,
		       target);
	if (r >= 0 && body)
		r = buf_printf(&request, "Content-Length: %zu\r\n", body_len);
	if (r >= 0)
		r = buf_puts(&request, "\r\n");
	if (r >= 0 && body)
		r = buf_append(&request, body, body_len);
	if (r < 0)
		return r;
	fd = sock_connect(path);
	if (fd < 0)
		return fd;
	r = send_all(fd, request.data, request.len);
	/* A server that refuses the body answers and closes before it has read all. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return r;
	return read_reply(fd, streq(method, "HEAD"), ret);
}
