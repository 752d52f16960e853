#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Growing byte buffer
 *
 * For building text and replies. The bytes are always followed by a NUL that
 * is not counted, so buf->data is a C string as long as no NUL was appended.
 * Embedded on the stack: struct buf b = {0} with _cleanup_(buf_finish).
 */
#include <stdarg.h>
#include <stddef.h>

#include "cleanup.h"

struct buf {
	char *data; /* NULL until the first append */
	size_t len;
	size_t size;
};

/* Frees the bytes; @b may be zeroed, and is zeroed afterwards. */
void buf_finish(struct buf *b);

/* Makes room for @n more bytes plus the NUL. Returns 0 or -ENOMEM. */
int buf_reserve(struct buf *b, size_t n);

/* Append; each returns 0 or -ENOMEM and leaves the buffer as it was on failure. */
int buf_append(struct buf *b, const void *bytes, size_t n);
int buf_puts(struct buf *b, const char *text);
int buf_putc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *format, ...) _printf_(2, 3);
int buf_vprintf(struct buf *b, const char *format, va_list args) _printf_(2, 0);

/*
 * Takes the bytes out (NUL-terminated, never NULL, caller frees) and leaves
 * the buffer empty. *ret_len (may be NULL) is set to the length. NULL = no memory.
 */
char *buf_steal(struct buf *b, size_t *ret_len);
