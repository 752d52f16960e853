/* SPDX-License-Identifier: GPL-2.0-or-later */
/* filename_encode() of any name can stand in a directory, and decoded as in a URL it is the name again. */
#include <stdint.h>

#include "core/filename.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		if (digit(text[1]) < 0 || digit(text[2]) < 0)
			abort();
		*to++ = (char)(digit(text[1]) << 4 | digit(text[2]));
		text += 2;
	}
	*to = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *name = strndup((const char *)data, size);
	_cleanup_(buf_finish) struct buf b = {0};

	if (!name || !*name || filename_encode(name, &b) < 0)
		return 0;
	if (strchr(b.data, '/') || streq(b.data, ".") || streq(b.data, "..") ||
	    filename_is_plain(name) != streq(b.data, name))
		abort();
	decode(b.data);
	if (!streq(b.data, name))
		abort();
	return 0;
}
