#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process finds at its /dev/lxd/sock
 */
#include <sys/types.h>

enum place {
	PLACE_OURS,    /* the socket of this daemon */
	PLACE_OTHER,   /* something else: another daemon's, or a socket that was replaced */
	PLACE_NOTHING, /* no such file */
	PLACE_SILENT,  /* a file system that does not say */
	PLACE_UNKNOWN, /* not allowed to look, or the process is gone */
};

/* Looks, as the process would see it, without following anything out of its root and without waiting long. */
enum place place_of(pid_t pid, const char *run_dir);

/* What that means, and what to do: a static text. */
const char *place_explain(enum place place);
