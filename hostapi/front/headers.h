#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of a request's header the resources are told
 */
#include <microhttpd.h>
#include <stdbool.h>

#include "api/request.h"

/* Fills request->upgrade and request->conditions, whose texts live as long as the request in the library. */
void headers_read(struct MHD_Connection *mhd, bool is_http_1_1, struct request *request);
