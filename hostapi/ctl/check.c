/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See check.h: the lines. */
#include "ctl/check.h"

#include <stdarg.h>
#include <stdio.h>

static void print_line(const char *word, const char *format, va_list args) _printf_(2, 0);

static void print_line(const char *word, const char *format, va_list args)
{
	printf("%s: ", word);
	vprintf(format, args);
	putchar('\n');
}

#define DEFINE_LINE(name, word, failed)                                                            \
	void name(struct check_run *run, const char *format, ...)                                  \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		va_start(args, format);                                                            \
		print_line(word, format, args);                                                    \
		va_end(args);                                                                      \
		run->has_failed = run->has_failed || (failed);                                     \
	}
DEFINE_LINE(check_ok, "ok", false)
DEFINE_LINE(check_note, "note", false)
DEFINE_LINE(check_fail, "FAIL", true)
