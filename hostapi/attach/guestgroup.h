#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cgroup of its own for a guest that has none
 *
 * Some managers leave their guests in the cgroup of whoever started them. Such a guest is moved into /devlxdfs/NAME.PID of the cgroup2
 * hierarchy, so that its processes can be told from others.
 */
#include "attach/liveguest.h"
#include "core/cgroup.h"

/*
 * Sees to it that the cgroup of @t has processes of that guest only. Returns 0, also when it was so, -ENOENT when there is no cgroup2
 * hierarchy, -ESRCH when the process has ended, or -errno.
 */
int guestgroup_ensure(const struct liveguest *t, const char *instance);

/*
 * The cgroup that is all of the guest, of which its process may be in a part: the root of its cgroup namespace; without one of its
 * own, the cgroup of its process. Returns 0, -ENOENT when there is no cgroup2 hierarchy, -ESRCH, or -errno.
 */
int guestgroup_top(const struct liveguest *t, char ret_path[CGROUP_PATH_MAX]);

/* Removes those of our cgroups that are empty, and the directory of all if it is. */
void guestgroup_sweep(void);
