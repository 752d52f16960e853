#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reply that goes on with events, for guests (resources.h) and for the host
 */
#include "api/reply.h"
#include "api/request.h"

struct hub_log;

/*
 * Answers @q with the lines that will be in @log (a reference, taken in any case) from now on, of the types that the query asks for
 * or of @types. Returns 0: the reply is that, or an error.
 */
int events_stream(const struct request *q, struct reply *reply, struct hub_log *log,
		  unsigned types);
