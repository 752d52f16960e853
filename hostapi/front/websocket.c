/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server's side of a websocket
 *
 * The library's frame layer does the framing; its event layer is not used, because it waits for the
 * first byte of a frame's payload, and says of a bad frame neither which nor why. The first two bytes of a
 * frame are judged here before the library sees them, which leaves control frames for it: they have 131 bytes at
 * most, and it is given no more than one byte at a time, so that it never reads beyond a frame.
 */
#include "front/websocket.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <sys/socket.h>

#include <wslay/wslay.h>

#define CONTROL_MAX 125

/* What is to be written beside messages. */
struct control {
	bool is_due;
	size_t len;
	uint8_t bytes[CONTROL_MAX];
};

struct websocket {
	int fd;
	wslay_frame_context_ptr frames;
	uint64_t n_written;

	/* The frame that is being read. */
	uint8_t head[2];
	size_t n_head;
	const uint8_t *input; /* what the library may read now */
	size_t n_input;
	uint8_t payload[CONTROL_MAX];
	size_t n_payload;

	/* The frame that is being written; the library knows how far its header is. */
	bool is_writing;
	struct wslay_frame_iocb output;
	uint8_t output_control[CONTROL_MAX];
	int error; /* -errno of the last write */

	struct control pong, close;
	bool is_ping_due;
	bool is_closed;
	struct {
		const char *bytes;
		size_t len;
	} message; /* bytes NULL: none */
};

static ssize_t give_input(uint8_t *bytes, size_t size, int flags, void *ctx)
{
	struct websocket *w = ctx;

	if (w->n_input == 0 || size == 0)
		return -1;
	*bytes = *w->input++;
	w->n_input--;
	return 1;
}

static ssize_t take_output(const uint8_t *bytes, size_t n, int flags, void *ctx)
{
	struct websocket *w = ctx;
	int more = flags & WSLAY_MSG_MORE ? MSG_MORE : 0;
	ssize_t done = send(w->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL | more);

	w->error = done < 0 ? -errno : 0;
	if (done > 0)
		w->n_written += (uint64_t)done;
	return done;
}

struct websocket *websocket_new(int fd)
{
	static const struct wslay_frame_callbacks callbacks = {
		.send_callback = take_output,
		.recv_callback = give_input,
	};
	_cleanup_(websocket_freep) struct websocket *w = calloc(1, sizeof(*w));

	if (!w || wslay_frame_context_init(&w->frames, &callbacks, w) != 0)
		return NULL;
	w->fd = fd;
	return steal_ptr(&w);
}

struct websocket *websocket_free(struct websocket *w)
{
	if (!w)
		return NULL;
	if (w->frames)
		wslay_frame_context_free(w->frames);
	free(w);
	return NULL;
}

static void set_control(struct control *c, const uint8_t *bytes, size_t n)
{
	c->is_due = true;
	c->len = n;
	memcpy(c->bytes, bytes, n);
}

void websocket_close(struct websocket *w, enum websocket_code code)
{
	const uint16_t bytes = htobe16((uint16_t)code);

	if (!websocket_is_closing(w))
		set_control(&w->close, (const uint8_t *)&bytes, sizeof(bytes));
	w->message.bytes = NULL;
}

/* Judges the first two bytes of a frame: 0, or why the connection is to be closed. */
static enum websocket_code judge_head(const uint8_t head[2])
{
	const uint8_t opcode = head[0] & 0x0f, reserved = head[0] & 0x70, mask = head[1] & 0x80;

	if (reserved || !mask)
		return WEBSOCKET_PROTOCOL;
	switch (opcode) {
	case WSLAY_CONTINUATION_FRAME:
	case WSLAY_TEXT_FRAME:
	case WSLAY_BINARY_FRAME:
		return WEBSOCKET_DATA;
	case WSLAY_CONNECTION_CLOSE:
	case WSLAY_PING:
	case WSLAY_PONG:
		return 0;
	default:
		return WEBSOCKET_PROTOCOL;
	}
}

/* A client's close is answered with its own code; what makes no sense is an error (RFC 6455, 7.4). */
static void answer_close(struct websocket *w)
{
	uint16_t bytes, code;

	if (websocket_is_closing(w))
		return;
	w->message.bytes = NULL;
	if (w->n_payload == 0) {
		set_control(&w->close, w->payload, 0);
		return;
	}
	memcpy(&bytes, w->payload, sizeof(bytes));
	code = be16toh(bytes);
	if (w->n_payload < sizeof(bytes) || code < WEBSOCKET_NORMAL || code > 4999 ||
	    (code >= 1004 && code <= 1006) || (code >= 1015 && code < 3000))
		websocket_close(w, WEBSOCKET_PROTOCOL);
	else
		set_control(&w->close, w->payload, sizeof(bytes));
}

static void take_frame(struct websocket *w, uint8_t opcode)
{
	if (opcode == WSLAY_PING)
		set_control(&w->pong, w->payload, w->n_payload);
	else if (opcode == WSLAY_CONNECTION_CLOSE)
		answer_close(w);
	w->n_payload = 0;
	w->n_head = 0;
}

/* Has the library look at @bytes, all of one control frame. */
static void parse(struct websocket *w, const uint8_t *bytes, size_t n)
{
	w->input = bytes;
	w->n_input = n;
	do {
		struct wslay_frame_iocb frame = {0};
		ssize_t r = wslay_frame_recv(w->frames, &frame);

		if (r == WSLAY_ERR_WANT_READ)
			continue;
		if (r < 0 || frame.data_length > sizeof(w->payload) - w->n_payload) {
			websocket_close(w, WEBSOCKET_PROTOCOL);
			return;
		}
		/* Nothing to copy comes with a pointer that must not be looked at. */
		if (frame.data_length > 0)
			memcpy(w->payload + w->n_payload, frame.data, frame.data_length);
		w->n_payload += frame.data_length;
		if (w->n_payload == frame.payload_length) {
			take_frame(w, frame.opcode);
			return;
		}
	} while (w->n_input > 0);
}

static void take_byte(struct websocket *w, uint8_t byte)
{
	enum websocket_code why;

	if (w->n_head == sizeof(w->head)) {
		parse(w, &byte, 1);
		return;
	}
	w->head[w->n_head++] = byte;
	if (w->n_head < sizeof(w->head))
		return;
	why = judge_head(w->head);
	if (why)
		websocket_close(w, why);
	else
		parse(w, w->head, sizeof(w->head));
}

void websocket_take(struct websocket *w, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n && !websocket_is_closing(w); i++)
		take_byte(w, p[i]);
}

int websocket_read(struct websocket *w, bool *ret_heard)
{
	uint8_t bytes[4096];
	ssize_t n = recv(w->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	*ret_heard = true;
	websocket_take(w, bytes, (size_t)n);
	return 0;
}

void websocket_ping(struct websocket *w)
{
	w->is_ping_due = true;
}

bool websocket_is_ready(const struct websocket *w)
{
	return !w->message.bytes && !w->is_writing && !websocket_is_closing(w);
}

void websocket_send(struct websocket *w, const char *text, size_t n)
{
	assert(websocket_is_ready(w));
	w->message.bytes = text;
	w->message.len = n;
}

static void begin(struct websocket *w, uint8_t opcode, const void *bytes, size_t n)
{
	w->is_writing = true;
	w->output = (struct wslay_frame_iocb){
		.fin = 1,
		.opcode = opcode,
		.payload_length = n,
		.data = bytes,
		.data_length = n,
	};
}

/* The bytes are copied: others may take their place while these are written. */
static void begin_control(struct websocket *w, uint8_t opcode, struct control *c)
{
	memcpy(w->output_control, c->bytes, c->len);
	c->is_due = false;
	begin(w, opcode, w->output_control, c->len);
}

/* The next frame to be written, if there is one. */
static bool begin_next(struct websocket *w)
{
	if (w->is_closed)
		return false;
	if (w->close.is_due) {
		begin_control(w, WSLAY_CONNECTION_CLOSE, &w->close);
		w->is_closed = true;
	} else if (w->pong.is_due) {
		begin_control(w, WSLAY_PONG, &w->pong);
	} else if (w->is_ping_due) {
		w->is_ping_due = false;
		begin(w, WSLAY_PING, w->output_control, 0);
	} else if (w->message.bytes) {
		begin(w, WSLAY_TEXT_FRAME, w->message.bytes, w->message.len);
	} else {
		return false;
	}
	return true;
}

int websocket_write(struct websocket *w)
{
	while (w->is_writing || begin_next(w)) {
		ssize_t n;

		w->error = 0;
		n = wslay_frame_send(w->frames, &w->output);
		if (n == WSLAY_ERR_WANT_WRITE && w->error == 0)
			continue; /* a part of the header */
		if (n < 0)
			return w->error == -EAGAIN || w->error == -EINTR ? WEBSOCKET_E_BLOCKED
			       : w->error < 0                            ? w->error
									 : -EIO;
		w->output.data += n;
		w->output.data_length -= (size_t)n;
		if (w->output.data_length > 0)
			continue;
		w->is_writing = false;
		if (w->output.opcode == WSLAY_TEXT_FRAME)
			w->message.bytes = NULL;
		if (w->is_closed)
			shutdown(w->fd, SHUT_WR);
	}
	return 0;
}

uint64_t websocket_n_written(const struct websocket *w)
{
	return w->n_written;
}

bool websocket_is_closing(const struct websocket *w)
{
	return w->close.is_due || w->is_closed;
}

bool websocket_is_closed(const struct websocket *w)
{
	return w->is_closed && !w->is_writing;
}
