#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the managers' hooks have in common
 *
 * A manager waits for its hook and lets no container start whose hook fails. So the work is done by a child,
 * which may fail, hang or die: the hook itself ends in time and has nothing to report but log entries. Each says
 * what is wrong and what to do.
 */
#include "attach/attach.h"

struct hook {
	const char *conf_dir, *state_dir, *run_dir;
};

/* Has @work do its part in a child, and ends it if it takes longer than a hook may. */
void hook_run(const struct hook *h, void (*work)(const struct hook *h, void *arg), void *arg);

/* Whether this process is root on the host, and so may attach. Says in the log that it is not. */
bool hook_may_attach(const struct attachment *a);

/*
 * Attaches, now or when daemon and record are there. @manager is the option of `devlxdfs create` that makes
 * a record for such a guest, without dashes.
 */
void hook_attach(const struct hook *h, const struct attachment *a, const char *manager);
