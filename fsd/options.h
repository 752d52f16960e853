#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd's command line; the table in options.c also prints --help, and
 * devlxdfsd(8) is checked against it.
 */
#include <stdbool.h>

struct options {
	const char *conf_dir, *state_dir, *run_dir;
	bool no_fuse;           /* accepted: there is no tree yet */
	bool foreground_worker; /* no keeper: everything in this process, for debugging */
	int ready_fd;           /* -1: none; gets "\n" and is closed once guests are served */
	int log_level;
	/* --worker: started by the keeper; descriptors of struct worker_fds */
	bool worker;
	int worker_fds[3];
	char **argv; /* the command line itself, for the keeper to give to its workers */
};

/* Returns -1 to go on, else the exit status (help and version 0, misuse 2) after having written why. */
int options_parse(struct options *o, int argc, char **argv);
