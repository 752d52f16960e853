/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handshake of a websocket, with the header's texts in a line each: Connection, Sec-WebSocket-Version,
 * Sec-WebSocket-Key, Origin, Host. What passes has a key of the right form, and an origin that ends as the host does.
 */
#include <stdint.h>
#include <strings.h>

#include "api/handshake.h"
#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	char accept[REPLY_ACCEPT_SIZE], *rest = text;
	struct request_upgrade u = {.is_http_1_1 = true, .upgrade = "websocket"};
	enum outcome outcome;

	check(text);
	u.connection = strsep(&rest, "\n");
	u.version = strsep(&rest, "\n");
	u.key = strsep(&rest, "\n");
	u.origin = strsep(&rest, "\n");
	u.host = strsep(&rest, "\n");
	outcome = handshake_check(&u, accept);
	check(outcome == OUTCOME_OK || outcome == OUTCOME_BAD_REQUEST ||
	      outcome == OUTCOME_FORBIDDEN);
	if (outcome == OUTCOME_BAD_REQUEST)
		return 0;
	check(handshake_has_token(u.connection, "upgrade") && streq(u.version, "13"));
	check(strlen(u.key) == 24);
	if (outcome == OUTCOME_FORBIDDEN) {
		check(u.origin);
		return 0;
	}
	check(strlen(accept) == REPLY_ACCEPT_SIZE - 1);
	if (u.origin)
		check(u.host && strcasestr(u.origin, u.host));
	return 0;
}
