/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Growing byte buffer
 *
 * The size doubles, so appending is linear in total. Invariant: either data
 * is NULL and len and size are 0, or len < size and data[len] is NUL.
 */
#include "base/buf.h"

#include <stdint.h>

void buf_finish(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

int buf_reserve(struct buf *b, size_t n)
{
	size_t size = b->size ? b->size : 64;
	char *data;

	if (n >= SIZE_MAX / 4 - b->len)
		return -ENOMEM;
	if (b->len + n < b->size)
		return 0;
	while (size <= b->len + n)
		size *= 2;
	data = realloc(b->data, size);
	if (!data)
		return -ENOMEM;
	data[b->len] = '\0';
	b->data = data;
	b->size = size;
	return 0;
}

int buf_append(struct buf *b, const void *bytes, size_t n)
{
	int r = buf_reserve(b, n);

	if (r < 0)
		return r;
	if (n > 0)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
	b->data[b->len] = '\0';
	return 0;
}

int buf_puts(struct buf *b, const char *text)
{
	return buf_append(b, text, strlen(text));
}

int buf_putc(struct buf *b, char c)
{
	return buf_append(b, &c, 1);
}

int buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = buf_vprintf(b, format, args);
	va_end(args);
	return r;
}

int buf_vprintf(struct buf *b, const char *format, va_list args)
{
	va_list again;
	int n, r;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0)
		return -ENOMEM;
	r = buf_reserve(b, (size_t)n);
	if (r < 0)
		return r;
	vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
	b->len += (size_t)n;
	return 0;
}

char *buf_steal(struct buf *b, size_t *ret_len)
{
	char *data;

	if (buf_reserve(b, 0) < 0)
		return NULL;
	if (ret_len)
		*ret_len = b->len;
	data = b->data;
	*b = (struct buf){0};
	return data;
}
