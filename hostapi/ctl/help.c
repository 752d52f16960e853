/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See help.h. Everything printed here is a walk over the rows. */
#include "ctl/help.h"

#include "base/text.h"
#include "config.h"
#include "ctl/say.h"

enum {
	MAX_WORDS = 128 /* that a suggestion is chosen from */
};

static void print_option(const struct command_option *o)
{
	char letter[] = {'-', o->letter, ',', ' ', 0}, left[40];

	snprintf(left, sizeof(left), "%s--%s%s%s", o->letter ? letter : "    ", o->name,
		 o->argument ? " " : "", o->argument ? o->argument : "");
	printf("  %-28s  %s\n", left, o->help);
}

int help_command(const struct command *c)
{
	size_t n;
	const struct command_option *common = command_common_options(&n);

	printf("Usage: devlxdfs %s%s%s%s\n\n%s.\n", c->name, c->n_options ? " [OPTION]..." : "",
	       *c->operands ? " " : "", c->operands, c->help);
	if (c->alias)
		printf("The last word may also be written \"%s\".\n", c->alias);
	fputs("\nOptions:\n", stdout);
	for (size_t i = 0; i < c->n_options; i++)
		print_option(&c->options[i]);
	for (size_t i = 0; i < (c->is_verbatim ? 1 : n); i++)
		print_option(&common[i]);
	return SAY_DONE;
}

/* The commands that begin with the first @depth words of @argv. */
static void print_commands(FILE *to, size_t depth, int argc, char **argv)
{
	const struct command *c;
	size_t n;

	for (size_t i = 0; (c = command_at(i)); i++) {
		if (!c->hidden && command_words(c, argc, argv, &n) >= depth)
			fprintf(to, "  %s%s%s\n        %s\n", c->name, *c->operands ? " " : "",
				c->operands, c->help);
	}
}

static int print_help(size_t depth, int argc, char **argv)
{
	size_t n;
	const struct command_option *options = command_global_options(&n);

	fputs("Usage: devlxdfs [--conf-dir DIR] [--state-dir DIR] [--run-dir DIR] COMMAND ...\n\n"
	      "Commands (devlxdfs COMMAND --help says more):\n",
	      stdout);
	print_commands(stdout, depth, argc, argv);
	fputs("\nOptions before the command:\n", stdout);
	for (size_t i = 0; i < n; i++)
		print_option(&options[i]);
	return SAY_DONE;
}

int help_overview(void)
{
	return print_help(0, 0, NULL);
}

int help_version(void)
{
	puts("devlxdfs " DEVLXDFS_VERSION);
	return SAY_DONE;
}

int help_unknown(size_t depth, int argc, char **argv)
{
	const char *candidates[MAX_WORDS], *nearest;
	char copies[MAX_WORDS][24];
	const struct command *c;
	size_t n, n_candidates = 0;

	if (depth < (size_t)argc && (streq(argv[depth], "--help") || streq(argv[depth], "-h")))
		return print_help(depth, argc, argv);
	if (depth == (size_t)argc) {
		say(SAY_USAGE, depth ? argv[depth - 1] : NULL, "a command must follow; one of:");
		print_commands(stderr, depth, argc, argv);
		return SAY_USAGE;
	}
	for (size_t i = 0; (c = command_at(i)) && n_candidates < MAX_WORDS; i++) {
		const char *word = c->name;

		if (c->hidden || command_words(c, argc, argv, &n) < depth)
			continue;
		for (size_t w = 0; w < depth; w++)
			word += strcspn(word, " ") + 1;
		snprintf(copies[n_candidates], sizeof(copies[0]), "%.*s", (int)strcspn(word, " "),
			 word);
		candidates[n_candidates] = copies[n_candidates];
		n_candidates++;
	}
	nearest = text_nearest(argv[depth], candidates, n_candidates);
	if (nearest)
		return say(SAY_USAGE, argv[depth], "no such command; did you mean \"%s\"?",
			   nearest);
	return say(SAY_USAGE, argv[depth], "no such command; see devlxdfs --help");
}
