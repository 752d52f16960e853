/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See say.h. Each message is written by one call, so that lines of parallel commands do not mix. */
#include "ctl/say.h"

#include <stdarg.h>

static void print_line(const char *subject, const char *text, size_t n)
{
	fprintf(stderr, "devlxdfs: %s%s%.*s\n", subject ? subject : "", subject ? ": " : "", (int)n,
		text);
}

int say(int status, const char *subject, const char *format, ...)
{
	_cleanup_(buf_finish) struct buf text = {0};
	va_list args;
	int r;

	va_start(args, format);
	r = buf_vprintf(&text, format, args);
	va_end(args);
	if (r < 0)
		fputs("devlxdfs: out of memory\n", stderr);
	else
		print_line(subject, text.data, text.len);
	return status;
}

int say_errno(const char *subject, int error, const char *what)
{
	static const struct {
		int error;
		const char *remedy;
	} remedies[] = {
		{EACCES, "; run it as root"},
		{EPERM, "; run it as root"},
		{ENOSPC, "; free some space, the old file is whole"},
		{EROFS, "; choose another --state-dir"},
	};
	const char *remedy = "";

	for (size_t i = 0; i < ARRAY_SIZE(remedies); i++) {
		if (remedies[i].error == -error)
			remedy = remedies[i].remedy;
	}
	return say(SAY_REFUSED, subject, "%s: %s%s", what, strerror(-error), remedy);
}

void say_lines(const char *subject, const struct buf *lines)
{
	const char *text = lines->data;

	while (text && *text) {
		size_t n = strcspn(text, "\n");

		print_line(subject, text, n);
		text += n + (text[n] == '\n');
	}
}

const char *say_subject(enum record_kind kind, const char *name, char buf[SAY_SUBJECT_MAX])
{
	snprintf(buf, SAY_SUBJECT_MAX, "%s%.80s", kind == RECORD_PROFILE ? "profile " : "", name);
	return buf;
}
