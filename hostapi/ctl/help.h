#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --help, --version, and the answer to words that are no command
 */
#include "ctl/command.h"

/* Print on standard output; each returns SAY_DONE. */
int help_command(const struct command *c);
int help_overview(void);
int help_version(void);

/*
 * No row has these words, only @depth of them are some row's: prints the rows that begin so if help
 * was asked for, else says which word is missing or unknown. Returns the exit status.
 */
int help_unknown(size_t depth, int argc, char **argv);
