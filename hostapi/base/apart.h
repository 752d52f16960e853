#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Doing what may never end, in a process that can be left behind
 *
 * A file system in user space can keep whoever touches it for as long as it likes, and not even a signal ends that.
 */
#include <stddef.h>

/*
 * Has a child call @act, which writes into @answer (@size bytes, at most PIPE_BUF; the child gets them as they are here)
 * and takes that over. Returns 0, -ETIMEDOUT when nothing came in two seconds (then the child is killed, if it
 * can be), or -errno; *answer is untouched then.
 */
int apart_call(void (*act)(const void *ctx, void *answer), const void *ctx, void *answer,
	       size_t size);
