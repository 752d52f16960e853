#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Run watch: notices when guests start and stop
 *
 * An instance runs while one of the cgroups that claim to be it, or one below, has processes. The kernel tells: inotify(7) on
 * cgroup.events of each claimed cgroup, and on the directories above, for those that are made and removed. One
 * descriptor and one thread, "runs", for all instances; nothing is asked in intervals.
 *
 * Two instances that claim the same cgroup both run; who of them its processes are is for identity.h to say.
 */
#include "base/cleanup.h"

struct registry;
struct runwatch;

/* From the thread "runs", with no lock held. */
typedef void (*runwatch_told)(void *ctx, const char *name, bool is_running);
/* As well: the cgroup that @name was bound to is watched from now on. One that has emptied before will not be told of. */
typedef void (*runwatch_watched)(void *ctx, const char *name);

/*
 * Takes the state as it is, of which @told and @watched (which may be NULL) do not hear, and starts the thread. @registry is borrowed. Without a cgroup2
 * hierarchy nothing ever runs. Returns 0 or -errno.
 */
int runwatch_new(struct registry *registry, runwatch_told told, runwatch_watched watched, void *ctx,
		 struct runwatch **ret);
struct runwatch *runwatch_free(struct runwatch *w); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct runwatch *, runwatch_free);

/*
 * The record or the binding of @name is new, another or gone. Never waits for the kernel. One that appears and
 * runs already has started; of one that is gone nothing is told.
 */
void runwatch_changed(struct runwatch *w, const char *name);
