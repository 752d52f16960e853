/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Request targets taken apart
 *
 * Pure: bytes in, segments out. A target is split at '/' before it is decoded,
 * and decoded once, so no encoding can make one segment look like two or like
 * the way up. Everything is decoded into one block that is never larger than
 * the text, because decoding only shrinks.
 */
#include "api/request.h"

#include <assert.h>

#include "base/cleanup.h"

static const char *const method_names[] = {
	[METHOD_GET] = "GET",     [METHOD_HEAD] = "HEAD",   [METHOD_POST] = "POST",
	[METHOD_PUT] = "PUT",     [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE",
	[METHOD_OTHER] = "OTHER",
};

enum method method_parse(const char *name)
{
	for (enum method m = 0; m < METHOD_OTHER; m++) {
		if (streq(name, method_names[m]))
			return m;
	}
	return METHOD_OTHER;
}

const char *method_name(enum method m)
{
	assert(m <= METHOD_OTHER);
	return method_names[m];
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes @n bytes to @out with a NUL behind; NUL itself is refused. Returns the length or -EINVAL. */
static ssize_t percent_decode(const char *text, size_t n, bool plus_is_space, char *out)
{
	char *o = out;

	for (size_t i = 0; i < n; i++) {
		int c = (unsigned char)text[i];

		if (c == '%') {
			int high = i + 2 < n ? hex_digit(text[i + 1]) : -1;
			int low = i + 2 < n ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = high << 4 | low;
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == '\0')
			return -EINVAL;
		*o++ = (char)c;
	}
	*o = '\0';
	return o - out;
}

void target_finish(struct target *t)
{
	free(t->storage);
	*t = (struct target){0};
}

static bool is_letter(char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Behind "scheme://authority", or @text when it starts with '/'; NULL when it is neither. */
static const char *skip_authority(const char *text, const char *end)
{
	const char *p = text;

	if (p < end && *p == '/')
		return p;
	while (p < end && (is_letter(*p) || (p > text && (strchr("0123456789+-.", *p)))))
		p++;
	if (p == text || end - p < 3 || memcmp(p, "://", 3) != 0)
		return NULL;
	for (p += 3; p < end && *p != '/' && *p != '?'; p++)
		;
	return p;
}

/* Decodes the path [@p, @end) segment by segment into @out; returns where it stopped, or NULL. */
static char *decode_path(const char *p, const char *end, char *out, struct target *t, size_t *ret_n)
{
	size_t n_segments = 0;

	while (p < end) {
		const char *start = ++p; /* behind the '/' */
		ssize_t len;

		while (p < end && *p != '/')
			p++;
		if (p == start && (p < end || n_segments == 0))
			continue;
		len = percent_decode(start, (size_t)(p - start), false, out);
		if (len < 0 || streq(out, ".") || streq(out, ".."))
			return NULL;
		if (n_segments < TARGET_SEGMENTS_MAX)
			t->segments[n_segments] = out;
		n_segments++;
		out += len + 1;
	}
	*ret_n = n_segments;
	return out;
}

int target_parse(const char *text, size_t n, struct target *ret)
{
	_cleanup_(target_finish) struct target t = {0};
	const char *end = text + n;
	const char *path, *path_end;
	char *out;

	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return -EINVAL;
	}
	path = skip_authority(text, end);
	if (!path)
		return -EINVAL;
	path_end = memchr(path, '?', (size_t)(end - path)) ?: end;
	t.storage = malloc((size_t)(end - path) + 2);
	if (!t.storage)
		return -ENOMEM;
	out = decode_path(path, path_end, t.storage, &t, &t.n_segments);
	if (!out)
		return -EINVAL;
	if (t.n_segments > TARGET_SEGMENTS_MAX)
		return -E2BIG;
	if (path_end < end) {
		size_t query_len = (size_t)(end - path_end) - 1;

		memcpy(out, path_end + 1, query_len);
		out[query_len] = '\0';
		t.query = out;
	}
	*ret = t;
	t = (struct target){0};
	return 0;
}

int query_get(const char *query, const char *name, char **ret)
{
	_cleanup_(freep) char *decoded = NULL;

	if (!query)
		return -ENOENT;
	decoded = malloc(strlen(query) + 1);
	if (!decoded)
		return -ENOMEM;
	for (const char *p = query; *p; p += *p == '&') {
		const char *end = strchrnul(p, '&');
		const char *equals = memchr(p, '=', (size_t)(end - p)) ?: end;
		const char *value = equals < end ? equals + 1 : end;
		bool is_pair = !memchr(p, ';', (size_t)(end - p));

		if (is_pair && percent_decode(p, (size_t)(equals - p), true, decoded) >= 0 &&
		    streq(decoded, name)) {
			if (percent_decode(value, (size_t)(end - value), true, decoded) < 0)
				return -EINVAL;
			*ret = steal_ptr(&decoded);
			return 0;
		}
		p = end;
	}
	return -ENOENT;
}
