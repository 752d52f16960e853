#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attaching: an instance's directory of the tree is put into a guest that runs, and the guest's cgroup is
 * bound to the instance
 *
 * For the command, the managers' hooks and the daemon alike; needs root in the host's namespaces. What is to be attached is in
 * the ledger (ledger.h) before anything else is done, so that what cannot be done now is done when the
 * daemon comes, or the record does.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

struct attachment {
	const char *instance;
	/* A process of the guest, its first one; its mount namespace, cgroup and ids are the guest's. */
	pid_t pid;
	/* Where the guest's root is, as that process sees it; NULL: its own root. Before pivot_root(2) it is elsewhere. */
	const char *root;
	/* Where in the guest, absolute; the last directory is made if it is missing. None: /dev/lxd, and what the settings say. */
	const char *const *paths;
	size_t n_paths;
	/* If the daemon or the record is not there, leave it in the ledger for when they are. */
	bool may_wait;
};

enum {
	_ATTACH_E_SUCCESS,
	ATTACH_E_NO_DAEMON,   /* nobody listens on RUN/admin.sock */
	ATTACH_E_NO_INSTANCE, /* no record of that name is in force */
	ATTACH_E_REFUSED,     /* anything else */
};

/*
 * Attaches; again is no error. @conf_dir is where the settings are, @run_dir the daemon's. Takes ten seconds at most of a guest
 * that holds it up. Returns 0, or an ATTACH_E_* with @error saying why, without the instance's name and without a newline.
 * After NO_DAEMON and NO_INSTANCE it is in the ledger if it may wait, else nothing is changed.
 */
int attach_guest(const char *conf_dir, const char *run_dir, const struct attachment *a,
		 struct buf *error);

/*
 * Takes away what was attached, as far as it is still there, and the binding. Returns 0, ATTACH_E_NO_INSTANCE when nothing of
 * that name is attached, or ATTACH_E_REFUSED with @error. Without a daemon the binding goes with its cgroup.
 */
int attach_undo(const char *run_dir, const char *instance, struct buf *error);

/* The same when the manager says that its guest has ended: if the one that is attached still runs, it is another's, and nothing is done. */
void attach_ended(const char *run_dir, const char *instance);

/*
 * Goes through the ledger: attaches what is not attached and can be now, forgets guests that have ended, and removes
 * cgroups that were made for such guests. @is_new_tree: what was attached to an earlier tree is attached anew. Says in the log what
 * it cannot do.
 */
void attach_all(const char *run_dir, bool is_new_tree);
