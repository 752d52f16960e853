/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reply as lines, on any bytes: the first one says how the rest is cut. However it is, the lines are the same.
 */
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/httplines.h"

#define LINE_MAX_BYTES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns what feeding did; the lines, each with its length. */
static int read_lines(const uint8_t *data, size_t size, size_t step, struct buf *lines)
{
	struct httplines h;
	size_t n;
	int r = 0;

	httplines_init(&h, LINE_MAX_BYTES);
	for (size_t i = 0, part; r == 0; i += part) {
		part = size - i < step ? size - i : step; /* at last 0, which is the end */
		_cleanup_(freep) char *bytes = malloc(part + 1);
		char *line;

		memcpy(bytes, data + i, part);
		r = httplines_feed(&h, bytes, part);
		while (r == 0 && (line = httplines_next(&h, &n)))
			if (line[n] != '\0' || buf_printf(lines, "%zu:", n) < 0 ||
			    buf_append(lines, line, n) < 0)
				abort();
		if (part == 0)
			break;
	}
	httplines_finish(&h);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_finish) struct buf one = {0}, other = {0};
	int r, r2;

	if (size == 0)
		return 0;
	r = read_lines(data + 1, size - 1, 1, &one);
	r2 = read_lines(data + 1, size - 1, (size_t)data[0] + 1, &other);
	/* Only a long line between two others is seen or not, as it was cut. */
	if (r == 0 && (r2 != 0 || one.len != other.len ||
		       (one.len && memcmp(one.data, other.data, one.len) != 0)))
		abort();
	return 0;
}
