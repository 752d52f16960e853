/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /1.0/meta-data
 *
 * cloud-init 22.4 reads user.meta-data from here only and takes the last of
 * duplicate keys, so the operator's text is appended as it is: it may override
 * the lines above it, and it may be nonsense, which is then the operator's.
 */
#include "api/resources.h"
#include "core/snapshot.h"

int metadata_text(const struct snapshot *s, struct buf *b)
{
	size_t len = 0;
	const char *user = snapshot_config(s, "user.meta-data", &len);
	int r = buf_printf(b, "instance-id: %s\nlocal-hostname: %s\n", snapshot_instance_id(s),
			   snapshot_hostname(s));

	return r < 0 || !user ? r : buf_append(b, user, len);
}

int metadata_get(const struct request *request, struct reply *reply)
{
	_cleanup_(buf_finish) struct buf b = {0};
	int r = metadata_text(request->snapshot, &b);

	return r < 0 ? r : reply_bytes(reply, REPLY_RAW, &b);
}
