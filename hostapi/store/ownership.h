#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Root making files in a directory of somebody else's, as that one
 */

struct ownership {
	int old_uid, old_gid; /* -1: not changed */
};

/* From now on this thread makes files as the owner of the directory @fd would; end it with ownership_return(). */
struct ownership ownership_take(int fd);
void ownership_return(struct ownership *o); /* for _cleanup_ */
