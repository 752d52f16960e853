/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handshake of a websocket
 *
 * The origin is compared because a browser in a guest sends it and lets any page connect anywhere;
 * nobody else has one. The host part means nothing to us, so it is the client's own words that are compared.
 */
#include "api/handshake.h"

#include <ctype.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <strings.h>

#include "base/text.h"

#define GUID        "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_BYTES   16
#define KEY_LENGTH  24 /* of that in base64 */
#define VERSION     "13"
#define LIST_BLANKS " \t"

_Static_assert(REPLY_ACCEPT_SIZE == BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) + 1,
	       "as long as a digest in base64");

bool handshake_is_wanted(const struct request_upgrade *u)
{
	return u->upgrade && streq(u->upgrade, "websocket");
}

bool handshake_has_token(const char *list, const char *token)
{
	size_t len = strlen(token);

	while (list && *list) {
		size_t n;

		list += strspn(list, LIST_BLANKS ",");
		n = strcspn(list, LIST_BLANKS ",");
		if (n == len && strncasecmp(list, token, n) == 0)
			return true;
		list += n;
		/* What is not followed by a comma is no token alone. */
		list += strcspn(list, ",");
	}
	return false;
}

static bool is_key(const char *key)
{
	struct base64_decode_ctx ctx;
	uint8_t bytes[BASE64_DECODE_LENGTH(KEY_LENGTH)];
	size_t n = sizeof(bytes);

	/* The decoder skips blanks. */
	if (!key || strlen(key) != KEY_LENGTH || strcspn(key, " \t\r\n\v\f") != KEY_LENGTH)
		return false;
	base64_decode_init(&ctx);
	return base64_decode_update(&ctx, &n, bytes, KEY_LENGTH, key) &&
	       base64_decode_final(&ctx) && n == KEY_BYTES;
}

/* The length of a host's name without the ":port" at its end; an IPv6 address is in brackets. */
static size_t name_length(const char *host)
{
	size_t len = strlen(host), n = len;

	while (n > 0 && isdigit((unsigned char)host[n - 1]))
		n--;
	return n > 0 && host[n - 1] == ':' ? n - 1 : len;
}

/* The host in an origin, or NULL when it is none of a page. */
static const char *host_of(const char *origin)
{
	static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i]);

		if (strncasecmp(origin, schemes[i], len) == 0)
			return origin + len;
	}
	return NULL;
}

static bool is_own_origin(const struct request_upgrade *u)
{
	const char *host = u->host ?: "", *theirs = u->origin ? host_of(u->origin) : "";
	size_t len = strlen(host);

	if (!u->origin)
		return true;
	if (!theirs || len == 0)
		return false;
	if (name_length(host) < len)
		return strcasecmp(theirs, host) == 0;
	return name_length(theirs) == len && strncasecmp(theirs, host, len) == 0;
}

static void put_accept(const char *key, char ret[REPLY_ACCEPT_SIZE])
{
	uint8_t digest[SHA1_DIGEST_SIZE];
	struct sha1_ctx ctx;

	sha1_init(&ctx);
	sha1_update(&ctx, strlen(key), (const uint8_t *)key);
	sha1_update(&ctx, strlen(GUID), (const uint8_t *)GUID);
	sha1_digest(&ctx, sizeof(digest), digest);
	base64_encode_raw(ret, sizeof(digest), digest);
	ret[REPLY_ACCEPT_SIZE - 1] = '\0';
}

enum outcome handshake_check(const struct request_upgrade *u, char ret_accept[REPLY_ACCEPT_SIZE])
{
	if (!u->is_http_1_1 || !handshake_has_token(u->connection, "upgrade") || !u->version ||
	    !streq(u->version, VERSION) || !is_key(u->key))
		return OUTCOME_BAD_REQUEST;
	if (!is_own_origin(u))
		return OUTCOME_FORBIDDEN;
	put_accept(u->key, ret_accept);
	return OUTCOME_OK;
}
