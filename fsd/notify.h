#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling the service manager, sd_notify(3). notify-none.c stands in where
 * libsystemd is missing.
 */
#include <stdbool.h>

/* "READY=1", "STOPPING=1". Does nothing when no manager asked to be told. */
void notify_manager(const char *state);

/* Whether there is a manager, which may keep descriptors. */
bool notify_has_store(void);
/* What it has kept, descriptors from 3 on, close-on-exec from now: how many, or -errno; *ret_names and each name are the caller's. */
int notify_kept(char ***ret_names);
/* It keeps a copy of @fd (lent) as @name, until it is told to forget that. */
void notify_store(const char *name, int fd);
void notify_forget(const char *name);
