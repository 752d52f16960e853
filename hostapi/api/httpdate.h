#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dates in HTTP's headers (RFC 9110, 5.6.7), in seconds since the epoch
 *
 * Pure.
 */
#include <stdbool.h>
#include <stdint.h>

#define HTTPDATE_SIZE 64

/* "Sun, 06 Nov 1994 08:49:37 GMT" into @ret (HTTPDATE_SIZE of them). False: no date has that many seconds. */
bool httpdate_format(int64_t seconds, char *ret);

/* The whole of @text in one of the three forms there have been. Returns 0 or -EINVAL. */
int httpdate_parse(const char *text, int64_t *ret);
