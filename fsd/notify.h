#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling the service manager, sd_notify(3). notify-none.c stands in where
 * libsystemd is missing.
 */

/* "READY=1", "STOPPING=1". Does nothing when no manager asked to be told. */
void notify_manager(const char *state);
