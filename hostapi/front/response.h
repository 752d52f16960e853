#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reply in libmicrohttpd's form: status, headers, and the body without
 * copying it, also when it lies in a snapshot.
 */
#include <microhttpd.h>
#include <stdbool.h>

#include "api/reply.h"

struct download;
struct hearer;

/*
 * Queues what @r says on @mhd and takes its body along (@r is still to be finished); @hearer is who is told what a
 * stream says, NULL when that is only a header; @download is what a reply of files has become, else NULL. With
 * @is_last the client is told that the connection ends. Returns MHD_NO when
 * there is no memory: the connection is then closed.
 */
enum MHD_Result response_send(struct MHD_Connection *mhd, struct reply *r, struct hearer *hearer,
			      struct download *download, bool is_last);
