#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of /proc/PID/mountinfo: what is mounted where, told by the kernel without asking any file system
 */
#include <stdbool.h>
#include <stdint.h>

/* Texts are parts of the line. */
struct mountinfo {
	uint64_t id, parent;
	const char *device; /* of the file system: MAJ:MIN */
	const char *root;   /* which part of the file system; "/" is all of it */
	const char *point;  /* where, as the reader of the file sees it */
	const char *type;
	bool is_shared; /* what is mounted below is seen in other mount namespaces, too */
};

/* Takes @line apart in place. Pure. Returns 0, or -EINVAL: it is none. */
int mountinfo_parse(char *line, struct mountinfo *ret);
