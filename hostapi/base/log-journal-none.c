/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal as the log's sink, without libsystemd: there is none, and
 * journald reads the lines on standard error.
 */
#include "base/log-journal.h"

#include <errno.h>

bool log_journal_is_stderr(void)
{
	return false;
}

bool log_journal_is_there(void)
{
	return false;
}

int log_journal_send(const struct iovec *fields, int n_fields)
{
	return -ENOTSUP;
}
