#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands: the table's types, and from a command line to a handler
 *
 * Help, usage errors, completions and the manual's test all come from the same rows. Knows no
 * record and no daemon.
 */
#include <stdbool.h>
#include <stddef.h>

#include "store/parse.h"

/* The directories, given before the command or built in. */
struct context {
	const char *conf_dir, *state_dir, *run_dir;
};

struct command_option {
	char letter;          /* 0: has none */
	const char *name;     /* without dashes */
	const char *argument; /* how help calls it; NULL: a switch */
	const char *help;
};

enum command_operands {
	OPERANDS_OTHER,
	OPERANDS_INSTANCES,
	OPERANDS_PROFILES,
	OPERANDS_IMAGES,
	OPERANDS_FILES
};

struct call;

struct command {
	const char *name;  /* "config device add" */
	const char *alias; /* another spelling of its last word; may be NULL */
	const char *operands;
	const char *help; /* one line */
	size_t min_operands, max_operands;
	const struct command_option *options;
	size_t n_options;
	enum command_operands complete;
	enum record_kind kind;            /* for handlers that instances and profiles share */
	int (*run)(const struct call *c); /* returns an exit status, having said why */
	bool hidden;                      /* not in help and completions */
	bool is_verbatim; /* what follows is somebody else's: operands all of it, but for --help at its front */
};

#define COMMAND_MANY ((size_t)-1)

/* The beginning of a row; what not every command has follows by name. */
#define COMMAND(NAME, OPERANDS, MIN, MAX, COMPLETE, RUN, HELP)                                     \
	.name = NAME, .operands = OPERANDS, .help = HELP, .min_operands = MIN,                     \
	.max_operands = MAX, .complete = COMPLETE, .run = RUN
#define COMMAND_OPTIONS(OPTIONS) .options = OPTIONS, .n_options = ARRAY_SIZE(OPTIONS)

struct command_group {
	const struct command *commands;
	size_t n;
};

/* One command line, parsed. Everything is borrowed from the table and argv. */
struct call {
	const struct context *context;
	const struct command *command;
	const char *const *operands;
	size_t n_operands;
	struct call_option {
		const char *name, *value; /* value is NULL for a switch */
	} * options;
	size_t n_options;
};

/* Whether the option was given. */
bool command_has(const struct call *c, const char *option);
/* The value of the option given last, NULL when it was not given. */
const char *command_value(const struct call *c, const char *option);
/* Walks the values of a repeated option; start with *i = 0. NULL at the end. */
const char *command_next(const struct call *c, const char *option, size_t *i);

/* A usage error of this command, with a pointer to its help. Returns SAY_USAGE. */
int command_misused(const struct call *c, const char *format, ...) _printf_(2, 3);

/* All groups; the row at @i over all of them, NULL past the last. */
const struct command *command_at(size_t i);

/* The options before the command, and those of them understood after it too, --help first. *ret_n is their number. */
const struct command_option *command_global_options(size_t *ret_n);
const struct command_option *command_common_options(size_t *ret_n);

/* How many words from the start of @argv are the first words of @c's name; *ret_n: how many it has. */
size_t command_words(const struct command *c, int argc, char **argv, size_t *ret_n);

/* The program: parses, dispatches, returns the exit status. */
int command_main(int argc, char **argv);
