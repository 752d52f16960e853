#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd.conf: limits, location, policy. One table in settings.c drives the
 * parser and is checked against devlxdfsd.conf(5) by a test. Immutable after loading.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct settings {
	char *location;                   /* NULL: the host's name */
	uint32_t threads;                 /* HTTP threads; 0: one per processor, at most 4 */
	uint32_t max_connections;         /* per instance */
	uint32_t max_event_listeners;     /* per instance, over HTTP */
	uint32_t max_event_readers;       /* per instance, that wait for the file of events */
	uint32_t event_window_bytes;      /* of events kept per instance */
	uint32_t max_header_bytes;        /* per request */
	uint32_t max_body_bytes;          /* per request */
	uint32_t first_header_timeout_ms; /* from accept to the first complete header */
	uint32_t idle_timeout_s;
	uint32_t max_requests_per_s; /* per instance; 0: no limit */
	uint32_t max_refused;        /* refused connections kept open to be drained, all together */
	uint32_t identity_cache;     /* entries */
	uint32_t max_record_bytes;
	uint32_t max_value_bytes;
	uint32_t offer_dev_incus; /* whether guests are attached at /dev/incus, too */
	uint32_t
		create_lxc_records; /* whether an LXC container without a record gets one when it starts */
};

/* The defaults of design section 7. */
void settings_init(struct settings *s);
/* Frees what *s holds; zeroed settings are fine, and they are zeroed afterwards. */
void settings_finish(struct settings *s);

/*
 * Reads the JSON object @text over the defaults in *s. On failure *s is
 * untouched and @error gets one line: line, column, member and what was
 * expected. Returns 0, -EINVAL or -ENOMEM.
 */
int settings_parse(struct settings *s, const char *text, size_t n, struct buf *error);

/* One member of the file, for the manual's test and for help. */
struct settings_member {
	const char *name;
	bool is_text;      /* a string, else a whole number */
	uint64_t min, max; /* of the number, or of the string's bytes */
	uint64_t initial;  /* the number's default; a string has none */
	const char *help;
};

/* The member at @i, in the order of the table; its texts are static. False past the last one. */
bool settings_describe(size_t i, struct settings_member *ret);
