#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process finds at its /dev/lxd
 */
#include <sys/types.h>

#define PLACE_NAME_SIZE 64 /* of an instance's name, with NUL */

enum place_kind {
	PLACE_DIRECTORY, /* a directory of this daemon's tree */
	PLACE_TREE,      /* the tree itself, with the directories of all */
	PLACE_SOCKET,    /* this daemon's socket, as /dev/lxd/sock */
	PLACE_DEAD,      /* a directory that nobody serves any more */
	PLACE_OTHER,     /* something else: another daemon's, or a socket that was replaced */
	PLACE_NOTHING,   /* no such file */
	PLACE_SILENT,    /* a file system that does not say */
	PLACE_UNKNOWN,   /* not allowed to look, or the process is gone */
};

struct place {
	enum place_kind kind;
	char instance[PLACE_NAME_SIZE]; /* whose a PLACE_DIRECTORY is; "" when it does not say */
};

/*
 * Looks, as the process would see it, without following anything out of its root and without waiting long. @instance is
 * whose directory it is thought to be, or NULL: that one is recognised even if it shows nothing.
 */
struct place place_of(pid_t pid, const char *run_dir, const char *instance);

/* What that means, and what to do: a static text, not for PLACE_DIRECTORY. */
const char *place_explain(enum place_kind kind);
