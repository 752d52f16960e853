#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * STATE and RUN/published: given to the worker's account
 *
 * The worker may read what the command writes, and write what is its own; modes and owners say so.
 */
struct login;

/*
 * Makes STATE, its directories and RUN/published where they are missing, and gives the account its part. Logs what
 * fails. Returns 0 or -errno.
 */
int statedir_prepare(const char *state_dir, const char *run_dir, const struct login *account);
