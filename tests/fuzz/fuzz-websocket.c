/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a websocket's client may send: whatever it is, what comes back are whole frames that a server may send, a
 * close is the last, and that it was cut into pieces elsewhere changes nothing of how it ends. The first byte says where it is cut.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "front/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

/* Takes what was sent so far; returns the code of the close that ends it, 1 for one without, or 0. */
static unsigned take_frames(int fd)
{
	uint8_t bytes[65536];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	size_t at = 0;

	check(n >= 0 || errno == EAGAIN);
	while (n > 0 && at < (size_t)n) {
		uint8_t opcode = bytes[at] & 0x0f;
		size_t len;

		check((size_t)n - at >= 2);
		len = bytes[at + 1];
		check(bytes[at] >> 4 == 8 && len <= 125 && (size_t)n - at >= 2 + len);
		check(opcode == 1 || (opcode >= 8 && opcode <= 10));
		at += 2 + len;
		if (opcode != 8)
			continue;
		check(at == (size_t)n && len != 1);
		return len ? (unsigned)bytes[at - len] << 8 | bytes[at - len + 1] : 1;
	}
	return 0;
}

/* How it ends when it comes in pieces of @piece bytes. */
static unsigned converse(const uint8_t *data, size_t size, size_t piece)
{
	static const char line[] = "{}\n";
	int pair[2];
	struct websocket *w;
	unsigned end = 0;

	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	w = websocket_new(pair[0]);
	check(w);
	websocket_ping(w);
	for (size_t at = 0; at < size && !end; at += piece) {
		websocket_take(w, data + at, size - at < piece ? size - at : piece);
		if (websocket_is_ready(w))
			websocket_send(w, line, sizeof(line) - 1);
		check(websocket_write(w) == 0);
		end = take_frames(pair[1]);
		check(!!end == websocket_is_closed(w));
	}
	websocket_free(w);
	close(pair[0]);
	close(pair[1]);
	return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 4096)
		return 0;
	check(converse(data + 1, size - 1, data[0] % 16 + 1) == converse(data + 1, size - 1, size));
	return 0;
}
