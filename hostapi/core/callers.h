#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Callers: pidfds of the threads that asked lately
 *
 * A pidfd is that thread for ever, whoever gets its number later. So one that still answers for a living thread saves
 * opening and closing another, and is as good. There are a few, whatever guests do.
 *
 * Thread-safe.
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct callers;

/* NULL = no memory. */
struct callers *callers_new(void);
struct callers *callers_free(struct callers *c); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct callers *, callers_free);

/* The cgroup id of the thread @tid as of now. Returns 0, or -ENOENT when no pidfd of a living thread with that id is here. */
int callers_cgroup(struct callers *c, pid_t tid, uint64_t *ret_cgroup_id);

/* Keeps @pidfd, which is taken over, for @tid in place of another thread's. */
void callers_put(struct callers *c, pid_t tid, int pidfd);
