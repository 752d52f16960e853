#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd.conf: limits, location, policy. One table in settings.c drives the
 * parser and is checked against devlxdfsd.conf(5) by a test. Immutable after loading.
 */
#include <stdint.h>

#include "base/buf.h"

struct settings {
	char *location;                   /* NULL: the host's name */
	uint32_t threads;                 /* HTTP threads; 0: one per processor, at most 4 */
	uint32_t max_connections;         /* per instance */
	uint32_t max_event_listeners;     /* per instance */
	uint32_t max_header_bytes;        /* per request */
	uint32_t max_body_bytes;          /* per request */
	uint32_t first_header_timeout_ms; /* from accept to the first complete header */
	uint32_t idle_timeout_s;
	uint32_t max_requests_per_s; /* per instance; 0: no limit */
	uint32_t max_refused;        /* refused connections kept open to be drained, all together */
	uint32_t identity_cache;     /* entries */
	uint32_t max_record_bytes;
	uint32_t max_value_bytes;
};

/* The defaults of design section 7. */
void settings_init(struct settings *s);
void settings_finish(struct settings *s);

/*
 * Reads the JSON object @text over the defaults in *s. On failure *s is
 * untouched and @error gets one line: line, column, member and what was
 * expected. Returns 0, -EINVAL or -ENOMEM.
 */
int settings_parse(struct settings *s, const char *text, size_t n, struct buf *error);
