#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server's side of a websocket from which nothing but words about the connection is taken
 *
 * Frames to and from a non-blocking socket: pings are answered, a close is answered, and data of whatever kind is
 * refused where its frame begins, without looking at the rest. At most one message is on its way, and of the
 * client's pings the last is answered, so that memory is bounded. Once a close has been sent the writing side is shut, and what still
 * comes is dropped. Knows no clock, no events and no HTTP. Owned by one thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct websocket;

/* Status codes of a close (RFC 6455, 7.4.1). */
enum websocket_code {
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_GOING_AWAY = 1001, /* the daemon stops */
	WEBSOCKET_PROTOCOL = 1002,   /* not what the protocol allows */
	WEBSOCKET_DATA = 1003,       /* data, which there is no use for */
	WEBSOCKET_POLICY = 1008,     /* may not listen any more, or has not kept up */
};

enum {
	_WEBSOCKET_E_SUCCESS,
	WEBSOCKET_E_BLOCKED, /* the socket takes no more now */
};

/* @fd is borrowed. NULL = no memory. */
struct websocket *websocket_new(int fd);
struct websocket *websocket_free(struct websocket *w); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct websocket *, websocket_free);

/* Takes bytes that somebody else has read from the socket. */
void websocket_take(struct websocket *w, const void *bytes, size_t n);

/*
 * Reads some of what has come: others have their turn between two pieces. Returns 0 with *ret_heard when there was something, or a negative errno: -EPIPE
 * when the client has shut its side, else what is wrong with the socket. What it demands is sent by websocket_write().
 */
int websocket_read(struct websocket *w, bool *ret_heard);

/* Sends a ping; one that waits already is enough. */
void websocket_ping(struct websocket *w);

/* Closes for the reason @code, unless it is closing already. No further message is sent. */
void websocket_close(struct websocket *w, enum websocket_code code);

/* Whether a message would be taken: none is on its way, and it is not closing. */
bool websocket_is_ready(const struct websocket *w);
/* Sends a text message; only when ready. The bytes must stay until it is ready again or closed. */
void websocket_send(struct websocket *w, const char *text, size_t n);

/* Writes as much as the socket takes. Returns 0 when nothing is left, WEBSOCKET_E_BLOCKED, or a negative errno: it is broken. */
int websocket_write(struct websocket *w);

/* Bytes written so far; grows while the client reads. */
uint64_t websocket_n_written(const struct websocket *w);

/* A close is on its way, or has been sent. */
bool websocket_is_closing(const struct websocket *w);
/* The close has been sent: what is left to do is to wait for the client's end. */
bool websocket_is_closed(const struct websocket *w);
