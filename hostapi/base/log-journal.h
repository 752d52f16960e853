#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal as the log's sink
 *
 * For log.c only. log-journal-none.c stands in where libsystemd is missing.
 */
#include <stdbool.h>
#include <sys/uio.h>

/* Whether standard error is the stream that JOURNAL_STREAM names, so that the reader is journald. */
bool log_journal_is_stderr(void);

/* Whether a journald takes entries on this host. */
bool log_journal_is_there(void);

/* Sends one entry of "FIELD=value" parts. Returns 0 or -errno (-ENOTSUP without libsystemd). */
int log_journal_send(const struct iovec *fields, int n_fields);
