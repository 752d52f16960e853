#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walls of the cage that have a file each
 */
#include <stddef.h>

/*
 * Denies executing everywhere, and writing but below @writable (@n paths; what is not there is left out), TCP, and
 * signals and abstract sockets of others: as much of it as the kernel has. Returns the version of the kernel's Landlock, 0
 * when it has none, or -errno.
 */
int cage_restrict_files(const char *const *writable, size_t n);

/* Loads the filter of kernel calls. no_new_privs is set already. Returns 0 or -errno. */
int cage_filter_calls(void);
