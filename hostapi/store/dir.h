#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watching directories
 *
 * The only user of libinotifytools, whose descriptor and tables are global,
 * which waits with select and whose descriptor is inheritable: dir_init() must
 * run before any other descriptor is opened (its number stays below 1024), marks it close-on-exec, and
 * from then on only the thread in dir_run() calls the library.
 *
 * A directory that does not exist is waited for through its nearest existing
 * ancestor; one that vanishes is waited for again. Events are hints: "look at
 * NAME in directory D again"; a queue overflow becomes "look at everything".
 */
#include <stddef.h>

struct dir_watcher;

struct dir_handler {
	/* @name changed in directory @tag (0 .. n-1): written, renamed, removed. */
	void (*changed)(void *ctx, size_t tag, const char *name);
	/* Directory @tag appeared, was replaced or lost events: rescan it. */
	void (*rescan)(void *ctx, size_t tag);
	/* Directory @tag is gone or cannot be watched. */
	void (*lost)(void *ctx, size_t tag);
	/*
	 * Called when nothing happened for as long as the last idle() asked, and after every batch.
	 * Returns the seconds to wait at most until the next call, or -1 for "until something happens".
	 */
	int (*idle)(void *ctx);
	void *ctx;
};

/* Opens the global inotify descriptor. Returns 0 or -errno (-EMFILE: fs.inotify.max_user_instances). */
int dir_init(void);

/*
 * Watches @n @paths (copied), reporting through @handler (copied). One watcher
 * per process. Watches stand when it returns, so that a scan started afterwards misses nothing.
 * Returns 0 or -errno.
 */
int dir_watch(const char *const *paths, size_t n, const struct dir_handler *handler,
	      struct dir_watcher **ret);

/* The thread's body: reports until the process ends. */
void dir_run(struct dir_watcher *w);
