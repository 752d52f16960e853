/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal as the log's sink, with libsystemd
 *
 * Knows nothing of levels and events: fields come ready-made.
 */
#include "base/log-journal.h"

#include <stdint.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>

#include "base/cleanup.h"
#include "base/text.h"

bool log_journal_is_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	const char *colon = stream ? strchr(stream, ':') : NULL;
	_cleanup_(freep) char *device = NULL;
	uint64_t dev, ino;
	struct stat st;

	if (!colon || fstat(STDERR_FILENO, &st) < 0)
		return false;
	device = strndup(stream, (size_t)(colon - stream));
	return device && text_to_u64(device, 0, UINT64_MAX, &dev) == 0 &&
	       text_to_u64(colon + 1, 0, UINT64_MAX, &ino) == 0 && dev == st.st_dev &&
	       ino == st.st_ino;
}

bool log_journal_is_there(void)
{
	/* sd_journal_sendv() takes a missing one for success. */
	return access("/run/systemd/journal/socket", W_OK) == 0;
}

int log_journal_send(const struct iovec *fields, int n_fields)
{
	return sd_journal_sendv(fields, n_fields);
}
