/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling the service manager
 */
#include "notify.h"

#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/log.h"

void notify_manager(const char *state)
{
	int r = sd_notify(0, state);

	if (r < 0)
		log_warn("cannot tell the service manager %s, ignoring: %s", state, strerror(-r));
}

bool notify_has_store(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

int notify_kept(char ***ret_names)
{
	*ret_names = NULL;
	return sd_listen_fds_with_names(1, ret_names);
}

void notify_store(const char *name, int fd)
{
	char state[128];
	int r;

	/* Not dropped by the manager when it looks hung up, as a socket does that nobody listens on yet. */
	snprintf(state, sizeof(state), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	r = sd_pid_notify_with_fds(0, 0, state, &fd, 1);
	if (r < 0)
		log_warn("cannot give \"%s\" to the service manager, ignoring: %s", name,
			 strerror(-r));
}

void notify_forget(const char *name)
{
	char state[128];

	snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	notify_manager(state);
}
