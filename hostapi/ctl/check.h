#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checks behind `check`: each prints one line, "ok: ...", "note: ..." or "FAIL: what is wrong; what to do"
 */
#include "base/cleanup.h"
#include "ctl/command.h"

struct check_run {
	const struct context *context;
	bool has_failed;
};

/* Each prints its line on standard output; check_fail() also remembers it. */
void check_ok(struct check_run *run, const char *format, ...) _printf_(2, 3);
void check_note(struct check_run *run, const char *format, ...) _printf_(2, 3);
void check_fail(struct check_run *run, const char *format, ...) _printf_(2, 3);

/*
 * A FAIL line for each rejected record called @name (NULL: for each). Returns how many, or -1 when the
 * daemon does not say, which was then said.
 */
int check_rejected(struct check_run *run, const char *name);

/* What this host offers and lacks. */
void check_host(struct check_run *run);

/* The part of that which is about the tree; @is_running: the daemon answers. */
void check_tree(struct check_run *run, bool is_running);

/* Why the guest of the instance @name sees, or does not see, what it should. */
void check_guest(struct check_run *run, const char *name);
