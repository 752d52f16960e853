/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See ownership.h. The ids for files alone: no other right changes. */
#include "store/ownership.h"

#include <sys/fsuid.h>
#include <sys/stat.h>

#include "base/cleanup.h"

struct ownership ownership_take(int fd)
{
	struct ownership o = {-1, -1};
	struct stat st;

	if (geteuid() != 0 || fstat(fd, &st) < 0 || st.st_uid == 0)
		return o;
	o.old_gid = setfsgid(st.st_gid);
	o.old_uid = setfsuid(st.st_uid);
	return o;
}

void ownership_return(struct ownership *o)
{
	if (o->old_uid < 0)
		return;
	setfsuid(o->old_uid);
	setfsgid(o->old_gid);
}
