#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who started a guest: what its first process's parent says of itself
 *
 * For the eyes of an operator who asks whose cgroup a record found. Whoever starts processes on the host can say anything
 * here, so nothing is decided by it.
 */
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/*
 * Puts into @ret whose the guest is whose first process is @pid, in words behind "of ", or nothing when nothing can be
 * told. Returns 0 or -ENOMEM.
 */
int starter_describe(pid_t pid, struct buf *ret);

/*
 * The same from the @n bytes of the starter's command line, as /proc has them, and its short name. Pure.
 */
int starter_describe_text(const char *command_line, size_t n, const char *short_name,
			  struct buf *ret);
