#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attacher: the process that looks through the ledger of attached guests
 *
 * A fork of the keeper that enters guests, touches our own mount and asks the worker, each of which may hang; so it is
 * a process of its own, and nobody waits for it. One runs at a time.
 */
#include <stdbool.h>

struct attacher {
	int pid_fd;       /* -1: none runs */
	bool is_wanted;   /* again, once it has ended */
	bool is_tree_new; /* since one has been through: what is in guests is of an earlier tree */
};

/* Has it look now, or again when it has ended; not where nothing was ever attached. Returns 0 or -errno; with a descriptor to watch if one was started. */
int attacher_look(struct attacher *a, const char *run_dir);
/* It has ended: reaps it. The caller looks at is_wanted. */
void attacher_reap(struct attacher *a);
/* Kills it, and does not wait for its end. */
void attacher_stop(struct attacher *a);
