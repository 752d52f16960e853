#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd's command line; the table in options.c also prints --help, and
 * devlxdfsd(8) is checked against it.
 */
#include <stdbool.h>

#define OPTIONS_N_WORKER_FDS 8

struct options {
	const char *conf_dir, *state_dir, *run_dir;
	const char *user;       /* the worker's account; NULL: the default one, if it exists */
	bool no_fuse;           /* no tree: the socket only */
	bool no_passthrough;    /* as with a kernel that cannot read files by itself */
	bool no_resend;         /* as with a kernel that cannot send requests again */
	bool fd_store;          /* what lasts outlives the keeper, in the service manager */
	bool take_down;         /* only take down what a keeper left */
	bool foreground_worker; /* this process serves, and its keeper is a child: for debugging */
	int ready_fd;           /* -1: none; gets "\n" and is closed once guests are served */
	int log_level;
	unsigned worker_timeout_s; /* how long a worker may be silent */
	/* --worker: started by the keeper; descriptors of struct worker_fds */
	bool worker;
	bool trial; /* and it is to try out whether it could serve, no more: worker_try() */
	int worker_fds[OPTIONS_N_WORKER_FDS]; /* -1: there is none */
	char **argv; /* the command line itself, for the keeper to give to its workers */
};

/* Returns -1 to go on, else the exit status (help and version 0, misuse 2) after having written why. */
int options_parse(struct options *o, int argc, char **argv);
