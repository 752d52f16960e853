/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See check.h: the lines, and what a host and a guest are both asked. */
#include "ctl/check.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "ctl/daemon.h"

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

int check_rejected(struct check_run *run, const char *name)
{
	json_auto_t *rejected = NULL;
	int n = 0;
	size_t i;
	json_t *item;

	if (daemon_get(run->context, "check", "/1.0/rejected", &rejected) != 0)
		return -1;
	json_array_foreach (rejected, i, item) {
		const char *its_name = json_string_value(json_object_get(item, "name"));
		const char *error = json_string_value(json_object_get(item, "error"));

		if (!its_name || (name && !streq(its_name, name)))
			continue;
		check_fail(run, "rejected: %s; %s is in force until that is corrected",
			   error ? error : its_name,
			   json_is_true(json_object_get(item, "in_force")) ? "what was there before"
									   : "nothing of it");
		n++;
	}
	return n;
}
