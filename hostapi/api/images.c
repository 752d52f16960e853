/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /1.0/images/{fingerprint}/export
 *
 * There are no images yet, so an instance that may read them is told 404, as
 * for any image it may not have, of whatever project. What matters to nested
 * LXD and Incus is that the refusal is quick and, for them, in the main API's
 * envelope, also when security.devlxd or security.devlxd.socket is false: hence this
 * route makes that check itself.
 */
#include "api/resources.h"
#include "core/snapshot.h"

int images_export(const struct request *request, struct reply *reply)
{
	const struct snapshot *s = request->snapshot;

	if (s && snapshot_devlxd_is_on(s) && snapshot_socket_is_on(s) && snapshot_images_are_on(s))
		reply_error_envelope(reply, OUTCOME_NOT_FOUND, NULL);
	else
		reply_error_envelope(reply, OUTCOME_FORBIDDEN, NULL);
	return 0;
}
