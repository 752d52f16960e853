#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handshake of a websocket (RFC 6455, 4.2), of which the header's texts are enough
 *
 * Pure. Which texts there are, request.h says; sending the reply is the front's business.
 */
#include <stdbool.h>

#include "api/reply.h"
#include "api/request.h"

/* Whether the client asks for a websocket: as LXD, only by exactly "websocket". */
bool handshake_is_wanted(const struct request_upgrade *u);

/*
 * Judges the rest of it. Returns OUTCOME_OK with the text of Sec-WebSocket-Accept in @ret_accept,
 * OUTCOME_BAD_REQUEST, or OUTCOME_FORBIDDEN: the page that asks is not from here.
 */
enum outcome handshake_check(const struct request_upgrade *u, char ret_accept[REPLY_ACCEPT_SIZE]);

/* Whether the comma list @list (NULL: empty) has @token, in whatever case. */
bool handshake_has_token(const char *list, const char *token);
