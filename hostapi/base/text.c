/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small pure functions on text
 *
 * ASCII only and locale-independent on purpose: what is a name must not depend
 * on the environment of the program that asks. Nothing here allocates.
 */
#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

int text_to_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	bool overflow = false;

	if (!text || !*text)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		overflow |= __builtin_mul_overflow(value, 10, &value);
		overflow |= __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
	}
	if (overflow || value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int text_next_u64(const char **rest, uint64_t max, uint64_t *ret)
{
	const char *p = *rest + strspn(*rest, " \t");
	size_t n = strspn(p, "0123456789");
	char number[24];
	int r;

	if (n >= sizeof(number))
		return -ERANGE;
	memcpy(number, p, n);
	number[n] = '\0';
	r = text_to_u64(number, 0, max, ret);
	if (r == 0)
		*rest = p + n;
	return r;
}

int text_to_bool(const char *text)
{
	static const char *const truths[] = {"1", "true", "yes", "on"};
	static const char *const falsehoods[] = {"0", "false", "no", "off"};

	if (!text)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(truths); i++) {
		if (strcasecmp(text, truths[i]) == 0)
			return 1;
		if (strcasecmp(text, falsehoods[i]) == 0)
			return 0;
	}
	return -1;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

bool text_is_name(const char *text)
{
	size_t n = 0;

	if (!text || *text == '-' || *text == '.')
		return false;
	for (; text[n]; n++) {
		if (n == 63 || !is_name_char(text[n]))
			return false;
	}
	return n > 0;
}

size_t text_utf8_length(const char *bytes, size_t n)
{
	/* Below `least` the form is overlong. */
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	const unsigned char *p = (const unsigned char *)bytes;
	uint32_t code;

	for (size_t len = 1; len <= ARRAY_SIZE(forms) && len <= n; len++) {
		if ((p[0] & forms[len - 1].mask) != forms[len - 1].lead)
			continue;
		code = p[0] & (unsigned char)~forms[len - 1].mask;
		for (size_t i = 1; i < len; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (p[i] & 0x3f);
		}
		if (code < forms[len - 1].least || code > 0x10ffff ||
		    (code >= 0xd800 && code <= 0xdfff))
			return 0;
		return len;
	}
	return 0;
}

bool text_is_utf8(const char *bytes, size_t n)
{
	while (n > 0) {
		size_t len = text_utf8_length(bytes, n);

		if (len == 0)
			return false;
		bytes += len;
		n -= len;
	}
	return true;
}

bool text_has_prefix(const char *text, const char *prefix)
{
	while (*prefix) {
		if (*text++ != *prefix++)
			return false;
	}
	return true;
}

enum {
	MAX_WORD = 64
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * How many letters to add, drop, replace or swap with their neighbour, a row for each letter of
 * @a; more than MAX_WORD for long words.
 */
static size_t distance(const char *a, const char *b)
{
	size_t n_a = strlen(a), n_b = strlen(b);
	size_t rows[3][MAX_WORD + 1];

	if (n_a > MAX_WORD || n_b > MAX_WORD)
		return SIZE_MAX;
	for (size_t j = 0; j <= n_b; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n_a; i++) {
		const size_t *above = rows[(i - 1) % 3], *swap = rows[(i + 1) % 3];
		size_t *row = rows[i % 3];

		row[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = least(row[j], least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], swap[j - 2] + 1);
		}
	}
	return rows[n_a % 3][n_b];
}

const char *text_nearest(const char *word, const char *const *words, size_t n_words)
{
	size_t limit = strlen(word) / 3 > 1 ? strlen(word) / 3 : 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < n_words; i++) {
		size_t d = distance(word, words[i]);

		if (d > limit || (nearest && d == limit))
			continue;
		nearest = words[i];
		limit = d;
	}
	return nearest;
}
