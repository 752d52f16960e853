/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /: the API's versions
 *
 * Old clients ask this first. It answers for "/" alone: an unknown path is
 * 404, so that a client can find out what there is.
 */
#include "api/resources.h"

int root_get(const struct request *request, struct reply *reply)
{
	reply_constant(reply, REPLY_JSON, "[\"/1.0\"]\n");
	return 0;
}
