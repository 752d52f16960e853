#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's cage: what a process that reads guests' bytes may do, and nothing else
 *
 * An account of its own, no capability, no way to get one, a filter of kernel calls, and, where the kernel has
 * Landlock, no writing but in two directories. docs/security.md lists it.
 */
#include <sys/types.h>

struct login;

struct cage {
	const struct login *account;
	const char *state_dir, *run_dir; /* writing is for STATE/volatile and RUN/published */
};

/*
 * Puts this process in, for ever. It has no other thread, and has found in the host's databases what it needs. What it has
 * open stays usable. Logs what fails. Returns 0 or -errno; the process must not go on then.
 */
int cage_enter(const struct cage *cage);
