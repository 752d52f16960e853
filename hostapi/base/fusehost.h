#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host's settings say about FUSE
 */
#include <stdbool.h>

struct fusehost {
	/* Seconds after which the kernel aborts a mount that does not answer, 0: never, -1: it has no such setting. */
	int default_timeout_s, max_timeout_s;
	bool user_allow_other; /* of /etc/fuse.conf */
};

/* Reads them below the directory @root_fd, which is "/" but in tests. What cannot be read is not set. */
void fusehost_read(int root_fd, struct fusehost *ret);

/* The same of this host. */
void fusehost_read_here(struct fusehost *ret);

/* The timeout that a mount gets which asks for none, 0: none. Pure. */
unsigned fusehost_timeout_s(const struct fusehost *h);
