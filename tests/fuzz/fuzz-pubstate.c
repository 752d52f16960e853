/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pubstate_read() and pubstate_read_content() on any bytes: what is accepted lies within them, and is written again as it was read. */
#include "core/pubstate.h"
#include "core/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_content(const char *bytes, size_t n)
{
	_cleanup_(record_unrefp) struct record *r = NULL, *again = NULL;
	_cleanup_(buf_finish) struct buf b = {0};

	if (pubstate_read_content(bytes, n, "web1", &r) < 0)
		return;
	if (pubstate_put_content(&b, r) < 0 ||
	    pubstate_read_content(b.data, b.len, "web1", &again) < 0 ||
	    again->n_devices != r->n_devices)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *bytes =
		malloc(size ? size : 1); /* exact, so that ASan guards its end */
	struct pubstate_entry e;

	memcpy(bytes, data, size);
	check_content(bytes, size);
	for (size_t at = 0; at < size;) {
		_cleanup_(buf_finish) struct buf b = {0};
		ssize_t n = pubstate_read(bytes + at, size - at, &e);

		if (n < 0)
			break;
		if (pubstate_put(&b, &e) < 0 || b.len != (size_t)n ||
		    memcmp(b.data, bytes + at, b.len) != 0)
			abort();
		for (size_t i = 0; i < e.n_profiles; i++)
			(void)pubstate_profile(&e, i);
		check_content(e.content, e.content_len);
		at += (size_t)n;
	}
	return 0;
}
