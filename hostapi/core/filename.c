/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File names for keys and devices
 *
 * Names are looked up by comparing what was encoded, so nothing is ever decoded.
 */
#include "core/filename.h"

static bool is_dots(const char *name)
{
	return streq(name, ".") || streq(name, "..");
}

static bool is_plain(char c)
{
	return c != '/' && c != '%';
}

bool filename_is_plain(const char *name)
{
	return !name[strcspn(name, "/%")] && !is_dots(name);
}

int filename_encode(const char *name, struct buf *b)
{
	bool dots = is_dots(name);
	int r = 0;

	for (; *name && r == 0; name++) {
		if (dots || !is_plain(*name))
			r = buf_printf(b, "%%%02X", (unsigned char)*name);
		else
			r = buf_putc(b, *name);
	}
	return r;
}

bool filename_fits(const char *name)
{
	size_t n = 0;

	for (; *name && n <= FILENAME_MAX_BYTES; name++)
		n += is_plain(*name) ? 1 : strlen("%2F");
	return n <= FILENAME_MAX_BYTES;
}
