#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Downloads: replies of files while they are sent
 *
 * A single file goes from its descriptor to the socket within the kernel. Of several pieces one small block at a time is in memory. What
 * is to be sent was opened as what it is; if a file changes afterwards, the download ends before its end, and nothing stands in for
 * what is missing. Belongs to one HTTP thread.
 */
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/reply.h"

struct download;

/* Zero-initialised. */
struct download_list {
	struct download *first;
	uint64_t next_check_us;
};

/* Takes over *files, of a reply on the socket @fd (borrowed), which outlives it. NULL = no memory, and *files is as it was. */
struct download *download_new(struct download_list *l, struct reply_files *files, int fd);
/* When the library is done with the reply. NULL-safe; always NULL. */
struct download *download_free(struct download *d);

/* The reply, to be queued; it stays the download's. */
struct MHD_Response *download_response(struct download *d);

/* Whether what is sent is not what it was when it began. */
bool download_is_broken(struct download *d);

/* Looks at all files now and then, and ends the connections of what is broken. Returns when it is due next, or UINT64_MAX. */
uint64_t download_expire(struct download_list *l, uint64_t now_us);
