#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Managers of guests: where each puts the guest of an instance's name, or how it is told which instance that is
 *
 * Pure.
 */
#include "base/buf.h"

struct manager;

/* The manager whose option of `create` is @name, without dashes; NULL: none. */
const struct manager *manager_find(const char *name);

/*
 * Appends the path of the cgroup that its guest @instance has; nothing when that cannot be told before it starts.
 * Returns 0 or -ENOMEM.
 */
int manager_cgroup(const struct manager *m, const char *instance, struct buf *ret);

/* Appends how the guest is to be started so that it is @instance; nothing when any way will do. Returns 0 or -ENOMEM. */
int manager_explain(const struct manager *m, const char *instance, const char *run_dir,
		    struct buf *ret);

/* Appends @name as systemd escapes it for the names of units. Returns 0 or -ENOMEM. */
int manager_escape(const char *name, struct buf *ret);
