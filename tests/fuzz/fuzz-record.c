/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parse_record() on any bytes, in both formats. What is accepted, written as
 * JSON as the command writes it, must be accepted again and be the same
 * record; what is refused gets one line. Input: 'y' (YAML) or anything else (JSON), 'p' (profile) or anything
 * else (instance), the text.
 */
#include <stdint.h>

#include "core/settings.h"
#include "store/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(enum record_kind kind, enum record_format format, const char *text,
			     size_t n, const struct settings *limits, const struct record *first)
{
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	_cleanup_(record_unrefp) struct record *second = NULL;
	_cleanup_(freep) char *json = NULL;
	json_auto_t *root = NULL;

	if (parse_document(format, text, n, &root, &error) < 0)
		abort();
	json = json_dumps(root, JSON_SORT_KEYS | JSON_INDENT(2));
	if (!json || parse_record(kind, RECORD_JSON, "web1", "again", json, strlen(json), limits,
				  &second, NULL, &error) < 0)
		abort();
	if (!record_equal(first, second))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum record_format format = size > 0 && data[0] == 'y' ? RECORD_YAML : RECORD_JSON;
	enum record_kind kind = size > 1 && data[1] == 'p' ? RECORD_PROFILE : RECORD_INSTANCE;
	size_t n = size > 2 ? size - 2 : 0;
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	_cleanup_(record_unrefp) struct record *record = NULL;
	_cleanup_(buf_finish) struct buf warnings = {0};
	_cleanup_(freep) char *text = malloc(n + 1);
	struct settings limits;

	settings_init(&limits);
	if (!text)
		return 0;
	memcpy(text, data + (size - n), n);
	text[n] = '\0'; /* as file_read() leaves it */
	if (parse_record(kind, format, "web1", "f", text, n, &limits, &record, &warnings, &error) ==
	    0)
		check_round_trip(kind, format, text, n, &limits, record);
	else if (error.text && strpbrk(error.text, "\n\r\t\033"))
		abort();
	return 0;
}
