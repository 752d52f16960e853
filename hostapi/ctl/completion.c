/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See completion.h. Both shells get the same function body: it follows the command's words through a list of
 * the known beginnings and then offers what may come next. Only the frame around it differs.
 */
#include "ctl/completion.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "ctl/say.h"

enum {
	MAX_WORDS = 4
};

struct shell {
	const char *name, *head, *tail;
};

static const struct shell shells[] = {
	{"bash",
	 "# bash completion for devlxdfs, made from its command table\n"
	 "_devlxdfs()\n{\n"
	 "\tlocal current=${COMP_WORDS[COMP_CWORD]} line= offer= options= names= skip= word\n"
	 "\tlocal -a before=(\"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\n",
	 "\tif [ \"$names\" = files ]; then\n"
	 "\t\tcompopt -o default\n"
	 "\t\tnames=\n"
	 "\tfi\n"
	 "\tCOMPREPLY=($(compgen -W \"$offer $names\" -- \"$current\"))\n"
	 "}\n"
	 "complete -F _devlxdfs devlxdfs\n"},
	{"zsh",
	 "#compdef devlxdfs\n"
	 "# zsh completion for devlxdfs, made from its command table\n"
	 "_devlxdfs()\n{\n"
	 "\tlocal current=${words[CURRENT]} line= offer= options= names= skip= word\n"
	 "\tlocal -a before\n"
	 "\tbefore=(\"${(@)words[2,CURRENT-1]}\")\n",
	 "\tif [ \"$names\" = files ]; then\n"
	 "\t\t_files\n"
	 "\t\tnames=\n"
	 "\tfi\n"
	 "\tcompadd -- ${=offer} ${=names}\n"
	 "}\n"
	 "if [ \"${funcstack[1]}\" = _devlxdfs ]; then\n" /* found in $fpath: this is the first call */
	 "\t_devlxdfs \"$@\"\n"
	 "else\n"
	 "\tcompdef _devlxdfs devlxdfs\n"
	 "fi\n"},
};

/* The first @depth words of @name: how many bytes. 0 when it has fewer. */
static size_t prefix_length(const char *name, size_t depth)
{
	size_t n = 0;

	for (size_t w = 0; w < depth; w++) {
		if (!name[n])
			return 0;
		n += strcspn(name + n, " ");
		if (w + 1 < depth && name[n])
			n++;
	}
	return n;
}

static bool same_prefix(const struct command *a, const struct command *b, size_t depth)
{
	size_t n = prefix_length(a->name, depth);

	return depth == 0 ||
	       (n && n == prefix_length(b->name, depth) && memcmp(a->name, b->name, n) == 0);
}

/* Whether no earlier row begins with the same @depth words. */
static bool is_first(size_t i, size_t depth)
{
	for (size_t j = 0; j < i; j++) {
		if (!command_at(j)->hidden && same_prefix(command_at(j), command_at(i), depth))
			return false;
	}
	return true;
}

/* Prints `" PREFIX"`, and before it the same with the alias, when that is the whole name of the row. */
static void print_spellings(const struct command *c, size_t depth)
{
	size_t n = prefix_length(c->name, depth), parent = prefix_length(c->name, depth - 1);

	if (c->alias && !c->name[n])
		printf("\" %.*s%s%s\"|", (int)parent, c->name, parent ? " " : "", c->alias);
	printf("\" %.*s\"", (int)n, c->name);
}

/* Prints all known beginnings of @depth words. */
static void print_known(size_t depth)
{
	const struct command *c;

	for (size_t i = 0; (c = command_at(i)); i++) {
		size_t n = prefix_length(c->name, depth);

		if (c->hidden || !n || !is_first(i, depth))
			continue;
		putchar('|');
		print_spellings(c, depth);
	}
}

static void print_options(const struct command_option *options, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf(" --%s", options[i].name);
}

/* What may follow a beginning that is not yet a command: the next words of all rows that have it. */
static void print_next_words(size_t i, size_t depth)
{
	const struct command *c;

	for (size_t j = 0; (c = command_at(j)); j++) {
		size_t n = prefix_length(c->name, depth + 1), skip = prefix_length(c->name, depth);

		if (c->hidden || !same_prefix(c, command_at(i), depth) || n <= skip ||
		    !is_first(j, depth + 1))
			continue;
		skip += depth > 0;
		printf(" %.*s", (int)(n - skip), c->name + skip);
	}
}

static void print_case(size_t i, size_t depth)
{
	static const char *const names[] = {
		[OPERANDS_OTHER] = "",
		[OPERANDS_INSTANCES] = "$(devlxdfs list -f csv -c n 2>/dev/null)",
		[OPERANDS_PROFILES] = "$(devlxdfs profile list -f csv 2>/dev/null | cut -d, -f1)",
		[OPERANDS_IMAGES] =
			"$(devlxdfs image list -f csv -c FL 2>/dev/null | tr -d '\"' | tr , ' ')",
		[OPERANDS_FILES] = "files",
	};
	const struct command *c = command_at(i);
	size_t n = prefix_length(c->name, depth), n_options;
	const struct command_option *common = command_common_options(&n_options);

	putchar('\t');
	if (depth)
		print_spellings(c, depth);
	else
		fputs("\"\"", stdout);
	fputs(")\n\t\toffer=\"", stdout);
	print_next_words(i, depth);
	fputs("\"\n\t\toptions=\"", stdout);
	if (depth == 0) {
		common = command_global_options(&n_options);
		print_options(common, n_options);
	} else if (c->name[n] == 0) {
		print_options(c->options, c->n_options);
		print_options(common, c->is_verbatim ? 1 : n_options);
	}
	fputs("\"\n", stdout);
	if (depth && c->name[n] == 0 && *names[c->complete])
		printf("\t\tnames=\"%s\"\n", names[c->complete]);
	fputs("\t\t;;\n", stdout);
}

static void print_script(const struct shell *shell)
{
	size_t n;
	const struct command_option *globals = command_global_options(&n);
	const char *bar = "";

	fputs(shell->head, stdout);
	fputs("\tfor word in \"${before[@]}\"; do\n"
	      "\t\tif [ -n \"$skip\" ]; then\n\t\t\tskip=\n\t\t\tcontinue\n\t\tfi\n"
	      "\t\tcase \"$word\" in\n\t\t",
	      stdout);
	for (size_t i = 0; i < n; i++) {
		if (globals[i].argument) {
			printf("%s--%s", bar, globals[i].name);
			bar = "|";
		}
	}
	fputs(")\n\t\t\tskip=yes\n\t\t\tcontinue\n\t\t\t;;\n\t\tesac\n"
	      "\t\tcase \"$line $word\" in\n\t\t\"\"",
	      stdout);
	for (size_t depth = 1; depth < MAX_WORDS; depth++)
		print_known(depth);
	fputs(")\n\t\t\tline=\"$line $word\"\n\t\t\t;;\n\t\tesac\n\tdone\n\tcase \"$line\" in\n",
	      stdout);
	for (size_t depth = 0; depth < MAX_WORDS; depth++) {
		for (size_t i = 0; command_at(i); i++) {
			if (!command_at(i)->hidden && is_first(i, depth) &&
			    (depth == 0 ? i == 0 : prefix_length(command_at(i)->name, depth) > 0))
				print_case(i, depth);
		}
	}
	/* Options only for who begins one; after --conf-dir and the like, a directory. */
	fputs("\tesac\n\tcase \"$current\" in\n"
	      "\t-*)\n\t\toffer=$options\n\t\tnames=\n\t\t;;\n\tesac\n"
	      "\tif [ -n \"$skip\" ]; then\n\t\toffer=\n\t\tnames=files\n\tfi\n",
	      stdout);
	fputs(shell->tail, stdout);
}

static int completion(const struct call *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		if (streq(c->operands[0], shells[i].name)) {
			print_script(&shells[i]);
			return SAY_DONE;
		}
	}
	return command_misused(c, "\"%s\" is none of bash and zsh", c->operands[0]);
}

static const struct command commands[] = {
	{COMMAND("completion", "bash|zsh", 1, 1, OPERANDS_OTHER, completion,
		 "Print the completions for a shell"),
	 .hidden = true},
};

struct command_group completion_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
