#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What jansson leaves to its callers (its json_auto_t is the cleanup): output in the API's form, and
 * where in a text a member stands.
 */
#include <jansson.h>
#include <stddef.h>

#include "buf.h"
#include "cleanup.h"

/* A place in a text; line and column count from 1, in bytes. 0 = not known. */
struct json_place {
	unsigned line;
	unsigned column;
};

/*
 * Finds where the value of a member stands in @text, which jansson has
 * accepted. @path is the member's names from the top, @n_path of them; an
 * array index is written as its decimal number. The last duplicate wins, as in jansson.
 * *ret is {0, 0} when there is no such member.
 */
void json_locate(const char *text, size_t n, const char *const *path, size_t n_path,
		 struct json_place *ret);

/*
 * Appends @n bytes of UTF-8 as a JSON string, quotes included. With
 * @escape_html, '<', '>', '&' and U+2028/9 are written \u00XX as Go's encoder
 * does in events (devlxd-api.md 1.1). Bytes that are not UTF-8 become U+FFFD.
 * Returns 0 or -ENOMEM.
 */
int json_append_string(struct buf *b, const char *bytes, size_t n, bool escape_html);
