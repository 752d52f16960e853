#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd's command line; the table in options.c also prints --help, and
 * devlxdfsd(8) is checked against it.
 */
#include <stdbool.h>

#define OPTIONS_N_WORKER_FDS 6

struct options {
	const char *conf_dir, *state_dir, *run_dir;
	bool no_fuse;           /* no tree: the socket only */
	bool foreground_worker; /* this process serves, and its keeper is a child: for debugging */
	int ready_fd;           /* -1: none; gets "\n" and is closed once guests are served */
	int log_level;
	/* --worker: started by the keeper; descriptors of struct worker_fds */
	bool worker;
	int worker_fds[OPTIONS_N_WORKER_FDS]; /* -1: there is none */
	char **argv; /* the command line itself, for the keeper to give to its workers */
};

/* Returns -1 to go on, else the exit status (help and version 0, misuse 2) after having written why. */
int options_parse(struct options *o, int argc, char **argv);
