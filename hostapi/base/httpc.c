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
#include <sys/socket.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/httphead.h"
#include "base/httplines.h"
#include "base/sock.h"

enum {
	LINE_BYTES_MAX = 64 * 1024,
};

/* What was received and not yet looked at is in.data[pos, in.len). */
struct stream {
	int fd;
	struct buf in;
	size_t pos;
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
	if (n > HTTPHEAD_BODY_MAX - out->len)
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

static int stream_take_chunks(struct stream *s, struct buf *out)
{
	for (;;) {
		uint64_t size;
		char *line;
		int r = stream_line(s, &line);

		if (r >= 0)
			r = httphead_parse_chunk_size(line, &size);
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

static int read_head(struct stream *s, struct httphead *head)
{
	char *line;
	int r = stream_line(s, &line);

	if (r >= 0)
		r = httphead_parse_status(line, &head->status);
	for (unsigned i = 0; r >= 0 && i < HTTPHEAD_LINES_MAX; i++) {
		r = stream_line(s, &line);
		if (r >= 0 && !*line)
			return 0;
		if (r >= 0)
			r = httphead_parse_header(line, head);
	}
	return r < 0 ? r : -EPROTO;
}

static int read_body(struct stream *s, const struct httphead *head, struct buf *out)
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
	struct httphead head;
	int r;

	do { /* until it is not 1xx */
		free(reply.content_type);
		head = (struct httphead){0};
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

/* The connection, to which the request was sent. Returns it or -errno. */
static int connect_and_send(const char *path, const char *method, const char *target,
			    const void *body, size_t body_len)
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
	return steal_fd(&fd);
}

int httpc_request(const char *path, const char *method, const char *target, const void *body,
		  size_t body_len, struct httpc_reply *ret)
{
	_cleanup_(closep) int fd = connect_and_send(path, method, target, body, body_len);

	return fd < 0 ? fd : read_reply(fd, streq(method, "HEAD"), ret);
}

struct httpc_stream {
	int fd;
	struct httplines lines;
};

int httpc_open(const char *path, const char *target, size_t line_max, struct httpc_stream **ret)
{
	_cleanup_(httpc_stream_freep) struct httpc_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	httplines_init(&s->lines, line_max);
	s->fd = connect_and_send(path, "GET", target, NULL, 0);
	if (s->fd < 0)
		return s->fd;
	*ret = steal_ptr(&s);
	return 0;
}

struct httpc_stream *httpc_stream_free(struct httpc_stream *s)
{
	if (!s)
		return NULL;
	closep(&s->fd);
	httplines_finish(&s->lines);
	free(s);
	return NULL;
}

int httpc_stream_fd(const struct httpc_stream *s)
{
	return s->fd;
}

int httpc_stream_read(struct httpc_stream *s)
{
	char bytes[16 * 1024];
	ssize_t n = recv(s->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return httplines_feed(&s->lines, bytes, (size_t)n);
}

unsigned httpc_stream_status(const struct httpc_stream *s)
{
	return httplines_status(&s->lines);
}

bool httpc_stream_is_done(const struct httpc_stream *s)
{
	return httplines_is_done(&s->lines);
}

char *httpc_stream_next(struct httpc_stream *s, size_t *ret_n)
{
	return httplines_next(&s->lines, ret_n);
}
