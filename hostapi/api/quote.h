#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's text inside an error message, as Go's %q writes it
 */
#include <stddef.h>

#include "base/buf.h"

/*
 * Appends @n bytes in double quotes, what cannot be printed escaped (\n, \x00,
 * \u2028). Returns 0 or -ENOMEM.
 */
int quote_go(struct buf *b, const char *bytes, size_t n);
