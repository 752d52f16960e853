/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See httphead.h
 */
#include "base/httphead.h"

#include <strings.h>

#include "base/cleanup.h"
#include "base/text.h"

/* "HTTP/1.1 200 OK" */
int httphead_parse_status(const char *line, unsigned *ret)
{
	char digits[4];
	uint64_t status;

	if (!text_has_prefix(line, "HTTP/1.") || strlen(line) < strlen("HTTP/1.1 200") ||
	    line[8] != ' ' || (line[12] && line[12] != ' '))
		return -EPROTO;
	memcpy(digits, line + 9, 3);
	digits[3] = '\0';
	if (text_to_u64(digits, 100, 599, &status) < 0)
		return -EPROTO;
	*ret = (unsigned)status;
	return 0;
}

int httphead_parse_header(char *line, struct httphead *head)
{
	char *value = strchr(line, ':');

	if (!value)
		return -EPROTO;
	*value++ = '\0';
	value += strspn(value, " \t");
	for (size_t n = strlen(value); n > 0 && strchr(" \t", value[n - 1]); n--)
		value[n - 1] = '\0';
	if (strcasecmp(line, "Content-Length") == 0) {
		head->has_length = true;
		return text_to_u64(value, 0, UINT64_MAX, &head->length) < 0 ? -EPROTO : 0;
	}
	if (strcasecmp(line, "Transfer-Encoding") == 0) {
		head->is_chunked = strcasecmp(value, "chunked") == 0;
		return head->is_chunked ? 0 : -EPROTO;
	}
	if (strcasecmp(line, "Content-Type") == 0) {
		free(head->content_type);
		head->content_type = strdup(value);
		return head->content_type ? 0 : -ENOMEM;
	}
	return 0;
}

/* Chunk sizes are the one hexadecimal number we read. Extensions behind ';' are ignored. */
int httphead_parse_chunk_size(const char *line, uint64_t *ret)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	uint64_t value = 0;
	const char *p = line;

	for (; *p && *p != ';' && *p != ' '; p++) {
		const char *digit = strchr(digits, *p);
		size_t i = digit ? (size_t)(digit - digits) : 0;

		if (!digit)
			return -EPROTO;
		value = value << 4 | (i < 16 ? i : i - 6);
		if (value > HTTPHEAD_BODY_MAX)
			return -EFBIG;
	}
	if (p == line)
		return -EPROTO;
	*ret = value;
	return 0;
}
