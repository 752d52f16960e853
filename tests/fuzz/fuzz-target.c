/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Request targets and queries: whatever the bytes, a parsed target holds no
 * way up, no more than the text had, and its query can be asked.
 */
#include <stdint.h>

#include "api/request.h"
#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(target_finish) struct target t = {0};
	_cleanup_(freep) char *value = NULL;
	size_t total = 0;
	int r = target_parse((const char *)data, size, &t);

	check(r == 0 || r == -EINVAL || r == -E2BIG);
	check(r == 0 || !t.storage);
	if (r < 0)
		return 0;
	check(t.n_segments <= TARGET_SEGMENTS_MAX);
	for (size_t i = 0; i < t.n_segments; i++) {
		check(!streq(t.segments[i], ".") && !streq(t.segments[i], ".."));
		check(*t.segments[i] || i + 1 == t.n_segments);
		total += strlen(t.segments[i]) + 1;
	}
	check(total <= size);
	r = query_get(t.query, "type", &value);
	check(r == 0 || r == -ENOENT || r == -EINVAL);
	check((r == 0) == !!value);
	return 0;
}
