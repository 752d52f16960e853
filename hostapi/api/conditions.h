#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conditions: what of a file a request asks for, and whether at all (RFC 9110, 13 and 14)
 *
 * As Go's http.ServeContent judges for a file without an entity tag, but that of several ranges the whole is sent,
 * which is allowed. Pure.
 */
#include "api/request.h"

enum conditions_verdict {
	CONDITIONS_WHOLE,
	CONDITIONS_PART,
	CONDITIONS_NOT_MODIFIED,
	CONDITIONS_FAILED,
	CONDITIONS_UNSATISFIABLE, /* no byte of the file is asked for, or it cannot be understood what */
};

struct conditions_range {
	uint64_t first, n;
};

/*
 * For GET or HEAD of a file of @size bytes, changed @mtime_s after the epoch. *ret is what to send: with CONDITIONS_WHOLE all of it,
 * with CONDITIONS_PART at least one byte, else nothing.
 */
enum conditions_verdict conditions_judge(const struct request_conditions *c, uint64_t size,
					 int64_t mtime_s, struct conditions_range *ret);
