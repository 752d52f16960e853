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
 * ancestor; one that vanishes, with or without its ancestors, is waited for again, and a symbolic link on the
 * way that is replaced is followed anew. Events are hints: "look at
 * NAME in directory D again"; a queue overflow becomes "look at everything".
 * What the kernel does not tell is a file system mounted over a directory.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct dir_watcher;

struct dir_handler {
	/*
	 * @name changed in directory @tag (0 .. n-1): written, renamed, removed; @is_open when it was
	 * only made just now, perhaps by somebody who is about to write it and then causes another hint.
	 */
	void (*changed)(void *ctx, size_t tag, const char *name, bool is_open);
	/* Directory @tag appeared, was replaced or lost events: rescan it. */
	void (*rescan)(void *ctx, size_t tag);
	/* Directory @tag is gone (-ENOENT) or cannot be watched (another -errno). */
	void (*lost)(void *ctx, size_t tag, int error);
	/*
	 * Called when nothing happened for as long as the last idle() asked, and after every batch.
	 * Returns the seconds (>= 1) to wait at most until the next call, or -1 for "until something happens".
	 */
	int (*idle)(void *ctx);
	void *ctx;
};

/* Opens the global inotify descriptor. Returns 0 or -errno (-EMFILE: fs.inotify.max_user_instances). */
int dir_init(void);

/*
 * Watches @n @paths (copied), reporting through @handler (copied). One watcher
 * per process. Watches stand when it returns, so that a scan started afterwards misses nothing.
 * Returns 0 or -errno (-ENOSPC: fs.inotify.max_user_watches). A directory that cannot be read is none.
 */
int dir_watch(const char *const *paths, size_t n, const struct dir_handler *handler,
	      struct dir_watcher **ret);

/* The thread's body: reports until the process ends. */
void dir_run(struct dir_watcher *w) __attribute__((noreturn));

/* For who never called dir_run(): ends the watches and closes the descriptor. NULL-safe; always NULL. */
struct dir_watcher *dir_free(struct dir_watcher *w);
DEFINE_CLEANUP(struct dir_watcher *, dir_free);
