/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Six headers, a line each, and any file: what is sent lies in it, a part is a part, and a date that is understood is the same when it
 * is written and read again.
 */
#include <stdint.h>

#include "api/conditions.h"
#include "api/httpdate.h"
#include "base/cleanup.h"

#define MTIME 784111777

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_date(const char *text)
{
	char again[HTTPDATE_SIZE];
	int64_t date, date2;

	if (!text || httpdate_parse(text, &date) < 0)
		return;
	if (!httpdate_format(date, again) || httpdate_parse(again, &date2) < 0 || date != date2)
		abort();
}

static void check_range(const struct request_conditions *c, uint64_t size)
{
	struct conditions_range range;
	enum conditions_verdict verdict = conditions_judge(c, size, MTIME, &range);
	bool is_whole = verdict == CONDITIONS_WHOLE, is_part = verdict == CONDITIONS_PART;

	if (is_whole && (range.first != 0 || range.n != size))
		abort();
	if (is_part && (range.n == 0 || range.first >= size || range.n > size - range.first))
		abort();
	if (!is_whole && !is_part && range.n != 0)
		abort();
	if (is_part && !c->range)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	struct request_conditions c = {0};
	const char **const all[] = {&c.range, &c.if_range,  &c.modified_since, &c.unmodified_since,
				    &c.match, &c.none_match};
	char *rest = text;

	if (!text)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		const char *line = strsep(&rest, "\n");

		*all[i] = line && *line ? line : NULL;
	}
	check_date(c.if_range);
	check_date(c.modified_since);
	check_date(c.unmodified_since);
	check_range(&c, 1000);
	check_range(&c, 1);
	check_range(&c, INT64_MAX);
	return 0;
}
