#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RUN/attached/NAME: the guest that instance NAME is attached to, or is to be
 *
 * A JSON object: {"pid": N, "start": N, "paths": [TEXT, ...], "done": BOOL}. It lasts as long as guests do, until the host
 * boots. A file is changed under a lock on itself; one that is unlinked is nobody's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct ledger_entry {
	pid_t pid;
	uint64_t start; /* of that process, as process_start() has it */
	char **paths;   /* in the guest; owned */
	size_t n_paths;
	bool is_done; /* attached, as long as the tree that was there then is */
};

/* Frees what the entry holds and zeroes it; may be zeroed. */
void ledger_entry_finish(struct ledger_entry *e);

/* The directory, made with RUN if it is missing. The caller's descriptor, or -errno. */
int ledger_open(const char *run_dir);

/*
 * The file of @instance, locked; waits for the lock. With @make it is made, empty. The caller's descriptor, closing which unlocks
 * it; -ENOENT, or -errno.
 */
int ledger_lock(int dir_fd, const char *instance, bool make);

/* Returns 0, -ENODATA when it is empty, -EINVAL when it is no entry, or -errno. *ret is the caller's to finish after 0. */
int ledger_read(int fd, struct ledger_entry *ret);
/* Returns 0 or -errno. */
int ledger_write(int fd, const struct ledger_entry *e);
/* The file goes; @fd stays locked and the caller's. */
void ledger_remove(int dir_fd, const char *instance);
