/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /1.0/ubuntu-pro: always off
 *
 * Attaching a guest needs the Pro client of an Ubuntu host. ubuntu-pro-client
 * asks once and, told "off", leaves it at that; the token is refused with LXD's words.
 */
#include "api/resources.h"

int pro_get(const struct request *request, struct reply *reply)
{
	reply_constant(reply, REPLY_JSON, "{\"guest_attach\":\"off\"}\n");
	return 0;
}

int pro_token(const struct request *request, struct reply *reply)
{
	reply_error(reply, OUTCOME_FORBIDDEN,
		    "Failed getting an Ubuntu Pro guest token: Guest attachment not allowed");
	return 0;
}
