/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling the service manager
 */
#include "notify.h"

#include <systemd/sd-daemon.h>

#include "base/log.h"

void notify_manager(const char *state)
{
	int r = sd_notify(0, state);

	if (r < 0)
		log_warn("cannot tell the service manager %s, ignoring: %s", state, strerror(-r));
}
