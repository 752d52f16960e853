/* SPDX-License-Identifier: GPL-2.0-or-later */
/* settings_parse(): either everything is within bounds, or nothing changed and one line says why. */
#include <assert.h>

#include "core/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_defaults(const struct settings *s)
{
	struct settings initial;

	settings_init(&initial);
	assert(!s->location);
	assert(memcmp(s, &initial, sizeof(*s)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(settings_finish) struct settings s = {0};
	_cleanup_(buf_finish) struct buf error = {0};
	int r;

	settings_init(&s);
	r = settings_parse(&s, (const char *)data, size, &error);
	if (r < 0) {
		assert(error.len > 0 && !memchr(error.data, '\n', error.len));
		assert_defaults(&s);
	} else {
		assert(error.len == 0);
		assert(!s.location || strlen(s.location) <= 255);
		assert(s.threads <= 64 && s.max_connections >= 1 && s.max_refused >= 1);
		assert(s.max_record_bytes <= 1 << 30 && s.identity_cache >= 16);
	}
	return 0;
}
