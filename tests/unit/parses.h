#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parsing a record that is good, or the test fails
 */
#include "core/settings.h"
#include "store/parse.h"

#define JSON RECORD_JSON
#define YAML RECORD_YAML

static inline struct record *parse(enum record_kind kind, enum record_format format,
				   const char *text, struct buf *warnings)
{
	struct parse_error error = {0};
	struct record *record = NULL;
	struct settings limits;
	int r;

	settings_init(&limits);
	r = parse_record(kind, format, "web1", "web1.file", text, strlen(text), &limits, &record,
			 warnings, &error);
	if (r < 0)
		fail_msg("%s: %s", text, error.text ?: "no memory");
	return record;
}
