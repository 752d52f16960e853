#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the command tells its user, and with which exit status it ends
 *
 * Messages are one line on standard error, `devlxdfs: SUBJECT: what is wrong; what to do`. They name
 * keys and records and never quote a value. In this layer a function that "says why" has printed
 * such a line, and returns the exit status that belongs to it.
 */
#include "base/buf.h"
#include "store/parse.h"

enum say_status {
	SAY_DONE,
	SAY_REFUSED,    /* refused or failed, nothing changed */
	SAY_USAGE,      /* the command line makes no sense */
	SAY_NOT_LOADED, /* written, but the daemon does not have it */
};

#define SAY_SUBJECT_MAX 96

/* Prints the line and returns @status. @subject may be NULL. */
int say(int status, const char *subject, const char *format, ...) _printf_(3, 4);

/* The same for a negative errno @error of what was tried: "@what: reason; remedy". Returns SAY_REFUSED. */
int say_errno(const char *subject, int error, const char *what);

/* Prints each line of @lines, if any, as a message of its own. */
void say_lines(const char *subject, const struct buf *lines);

/* How messages call the record: "web1", "profile web". Returns @buf. */
const char *say_subject(enum record_kind kind, const char *name, char buf[SAY_SUBJECT_MAX]);
