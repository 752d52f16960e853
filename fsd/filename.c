/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File names for keys and devices
 *
 * Names are looked up by comparing what was encoded, so nothing is ever decoded.
 */
#include "filename.h"

static bool is_dots(const char *name)
{
	return streq(name, ".") || streq(name, "..");
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
		if (*name == '/' || *name == '%' || dots)
			r = buf_printf(b, "%%%02X", (unsigned char)*name);
		else
			r = buf_putc(b, *name);
	}
	return r;
}
