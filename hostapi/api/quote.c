/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's text inside an error message, as Go's %q writes it
 *
 * Nothing that a terminal would act on comes out raw. Go's own test for
 * "printable" is a table of all of Unicode; here it is the ranges that hold
 * controls, spaces, format characters and private use.
 */
#include "api/quote.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

static const struct {
	uint32_t first, last;
} unprintable[] = {
	{0x0000, 0x001f}, {0x007f, 0x00a0},   {0x00ad, 0x00ad},   {0x0600, 0x0605},
	{0x061c, 0x061c}, {0x06dd, 0x06dd},   {0x070f, 0x070f},   {0x1680, 0x1680},
	{0x180e, 0x180e}, {0x2000, 0x200f},   {0x2028, 0x202f},   {0x205f, 0x206f},
	{0x3000, 0x3000}, {0xe000, 0xf8ff},   {0xfeff, 0xfeff},   {0xfff0, 0xfffb},
	{0xfffe, 0xffff}, {0x1d173, 0x1d17a}, {0xe0000, 0xe007f}, {0xf0000, 0x10ffff},
};

static uint32_t decode(const unsigned char *p, size_t len)
{
	uint32_t c = len == 1 ? p[0] : p[0] & (0xffU >> (len + 1));

	for (size_t i = 1; i < len; i++)
		c = c << 6 | (p[i] & 0x3f);
	return c;
}

static bool is_printable(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_SIZE(unprintable); i++) {
		if (c >= unprintable[i].first && c <= unprintable[i].last)
			return false;
	}
	return true;
}

static int append_escaped(struct buf *b, uint32_t c)
{
	static const char controls[] = "abtnvfr"; /* 7 to 13 */

	if (c >= '\a' && c <= '\r')
		return buf_printf(b, "\\%c", controls[c - '\a']);
	if (c < 0x80)
		return buf_printf(b, "\\x%02x", c);
	return buf_printf(b, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

int quote_go(struct buf *b, const char *bytes, size_t n)
{
	const unsigned char *p = (const unsigned char *)bytes;
	int r = buf_putc(b, '"');

	for (size_t i = 0, len; r >= 0 && i < n; i += len ? len : 1) {
		uint32_t c;

		len = text_utf8_length(bytes + i, n - i);
		c = len ? decode(p + i, len) : 0;
		if (len == 0)
			r = buf_printf(b, "\\x%02x", p[i]);
		else if (c == '"' || c == '\\')
			r = buf_printf(b, "\\%c", (char)c);
		else if (!is_printable(c))
			r = append_escaped(b, c);
		else
			r = buf_append(b, bytes + i, len);
	}
	return r < 0 ? r : buf_putc(b, '"');
}
