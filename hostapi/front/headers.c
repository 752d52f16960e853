/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See headers.h. */
#include "front/headers.h"

#include <string.h>
#include <strings.h>

#include "api/handshake.h"
#include "base/cleanup.h"

static const char *header(struct MHD_Connection *mhd, const char *name)
{
	return MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, name);
}

/* Of several such headers, which are one list, the one that counts. */
static enum MHD_Result pick_connection(void *ctx, enum MHD_ValueKind kind, const char *name,
				       const char *value)
{
	const char **picked = ctx;

	if (value && strcasecmp(name, "Connection") == 0 && handshake_has_token(value, "upgrade"))
		*picked = value;
	return *picked ? MHD_NO : MHD_YES;
}

static struct request_upgrade upgrade_of(struct MHD_Connection *mhd, bool is_http_1_1)
{
	struct request_upgrade u = {.upgrade = header(mhd, "Upgrade")};

	if (!u.upgrade)
		return u;
	u.is_http_1_1 = is_http_1_1;
	u.version = header(mhd, "Sec-WebSocket-Version");
	u.key = header(mhd, "Sec-WebSocket-Key");
	u.origin = header(mhd, "Origin");
	u.host = header(mhd, "Host");
	MHD_get_connection_values(mhd, MHD_HEADER_KIND, pick_connection, (void *)&u.connection);
	return u;
}

/* The first of each counts. */
static enum MHD_Result take_condition(void *ctx, enum MHD_ValueKind kind, const char *name,
				      const char *value)
{
	struct request_conditions *c = ctx;
	const struct {
		const char *name, **value;
	} known[] = {
		{"If-Match", &c->match},
		{"If-Modified-Since", &c->modified_since},
		{"If-None-Match", &c->none_match},
		{"If-Range", &c->if_range},
		{"If-Unmodified-Since", &c->unmodified_since},
		{"Range", &c->range},
	};

	if (!strchr("IiRr", *name))
		return MHD_YES;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!*known[i].value && strcasecmp(name, known[i].name) == 0)
			*known[i].value = value;
	}
	return MHD_YES;
}

void headers_read(struct MHD_Connection *mhd, bool is_http_1_1, struct request *request)
{
	request->upgrade = upgrade_of(mhd, is_http_1_1);
	MHD_get_connection_values(mhd, MHD_HEADER_KIND, take_condition, &request->conditions);
}
