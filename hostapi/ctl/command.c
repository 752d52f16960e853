/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See command.h. Options may stand anywhere after the command's words, "--" ends them: getopt_long()
 * does that, with its own messages off, since ours name the command and what was likely meant.
 */
#include "ctl/command.h"

#include <assert.h>
#include <getopt.h>

#include "base/buf.h"
#include "base/text.h"
#include "ctl/cmd.h"
#include "config.h"
#include "ctl/completion.h"
#include "ctl/help.h"
#include "ctl/say.h"

enum {
	MAX_OPTIONS = 20, /* of one command, the common ones included */
	N_COMMON = 2      /* of the global options, the last ones, are understood everywhere */
};

static const struct command_option global_options[] = {
	{0, "conf-dir", "DIR", "the operator's records; default " DEVLXDFS_CONF_DIR},
	{0, "state-dir", "DIR", "the records this command writes; default " DEVLXDFS_STATE_DIR},
	{0, "run-dir", "DIR", "where the daemon's sockets are; default " DEVLXDFS_RUN_DIR},
	{'h', "help", NULL, "print this and exit"},
	{0, "version", NULL, "print the version and exit"},
};

const struct command_option *command_global_options(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(global_options);
	return global_options;
}

const struct command_option *command_common_options(size_t *ret_n)
{
	*ret_n = N_COMMON;
	return global_options + ARRAY_SIZE(global_options) - N_COMMON;
}

const struct command *command_at(size_t i)
{
	struct command_group (*const groups[])(void) = {
		cmd_instance_group,    cmd_list_group,    cmd_config_group,
		cmd_device_group,      cmd_profile_group, cmd_files_group,
		cmd_transfer_group,    cmd_apply_group,   cmd_attach_group,
		cmd_daemon_group,      cmd_upgrade_group, cmd_monitor_group,
		cmd_wait_group,        cmd_whois_group,   cmd_check_group,
		cmd_hook_group,        cmd_image_group,   cmd_image_import_group,
		cmd_image_alias_group, completion_group,
	};

	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		struct command_group group = groups[g]();

		if (i < group.n)
			return &group.commands[i];
		i -= group.n;
	}
	return NULL;
}

bool command_has(const struct call *c, const char *option)
{
	for (size_t i = 0; i < c->n_options; i++) {
		if (streq(c->options[i].name, option))
			return true;
	}
	return false;
}

const char *command_next(const struct call *c, const char *option, size_t *i)
{
	while (*i < c->n_options) {
		const struct call_option *o = &c->options[(*i)++];

		if (streq(o->name, option))
			return o->value;
	}
	return NULL;
}

const char *command_value(const struct call *c, const char *option)
{
	const char *last = NULL;

	for (size_t i = 0; i < c->n_options; i++) {
		if (streq(c->options[i].name, option))
			last = c->options[i].value;
	}
	return last;
}

int command_misused(const struct call *c, const char *format, ...)
{
	_cleanup_(buf_finish) struct buf text = {0};
	va_list args;
	int r;

	va_start(args, format);
	r = buf_vprintf(&text, format, args);
	va_end(args);
	return say(SAY_USAGE, c->command->name, "%s; see devlxdfs %s --help",
		   r < 0 ? "out of memory" : text.data, c->command->name);
}

size_t command_words(const struct command *c, int argc, char **argv, size_t *ret_n)
{
	const char *word = c->name;
	size_t given = 0, n = 0;
	bool equal = true;

	while (*word) {
		size_t len = strcspn(word, " ");
		bool is_last = !word[len];
		const char *arg = n < (size_t)argc ? argv[n] : "";

		equal = equal && ((strlen(arg) == len && memcmp(arg, word, len) == 0) ||
				  (is_last && c->alias && streq(arg, c->alias)));
		given += equal;
		n++;
		word += len + !is_last;
	}
	*ret_n = n;
	return given;
}

/* The row whose words all stand there, the longest; *ret_depth is how many words any row shares. */
static const struct command *find(int argc, char **argv, size_t *ret_depth)
{
	const struct command *c, *found = NULL;
	size_t n, longest = 0;

	*ret_depth = 0;
	for (size_t i = 0; (c = command_at(i)); i++) {
		size_t given = command_words(c, argc, argv, &n);

		if (given > *ret_depth)
			*ret_depth = given;
		if (given == n && n > longest) {
			found = c;
			longest = n;
		}
	}
	return found;
}

/* What getopt_long() takes, made of our rows. */
struct long_options {
	struct option options[MAX_OPTIONS + 1];
	char letters[2 * MAX_OPTIONS + 3];
};

static void long_options_init(struct long_options *l, const char *mode,
			      const struct command_option *options, size_t n)
{
	char *letter = stpcpy(l->letters, mode);

	assert(n < MAX_OPTIONS);
	memset(l->options, 0, sizeof(l->options));
	for (size_t i = 0; i < n; i++) {
		l->options[i].name = options[i].name;
		l->options[i].has_arg = options[i].argument ? required_argument : no_argument;
		l->options[i].val = options[i].letter ? options[i].letter : 0x100 + (int)i;
		if (options[i].letter) {
			*letter++ = options[i].letter;
			if (options[i].argument)
				*letter++ = ':';
		}
	}
	*letter = 0;
}

/* Which of @n rows getopt_long()'s answer @o means; NULL after saying that it is none. */
static const struct command_option *option_of(int o, const char *subject, char **argv,
					      const struct command_option *options, size_t n)
{
	const char *names[MAX_OPTIONS], *given = argv[optind - 1], *nearest;

	for (size_t i = 0; i < n; i++) {
		names[i] = options[i].name;
		if (o == (options[i].letter ? options[i].letter : 0x100 + (int)i))
			return &options[i];
	}
	if (o == ':') {
		say(SAY_USAGE, subject, "\"%s\" needs a value; see --help", given);
		return NULL;
	}
	nearest = text_has_prefix(given, "--") ? text_nearest(given + 2, names, n) : NULL;
	if (optopt > 0 && optopt < 0x100)
		say(SAY_USAGE, subject, "unknown option \"-%c\"; see --help", optopt);
	else if (nearest)
		say(SAY_USAGE, subject, "unknown option \"%s\"; did you mean \"--%s\"?", given,
		    nearest);
	else
		say(SAY_USAGE, subject, "unknown option \"%.*s\"; see --help",
		    (int)strcspn(given, "="), given);
	return NULL;
}

/* Parses what follows the command's words, argv[0] being the last of them, and runs it. */
static int run(struct call *c, int argc, char **argv)
{
	struct command_option options[MAX_OPTIONS];
	_cleanup_(freep) struct call_option *given = NULL;
	struct long_options l;
	size_t n = c->command->n_options, n_common;
	int o;

	assert(n + N_COMMON < MAX_OPTIONS);
	if (n)
		memcpy(options, c->command->options, n * sizeof(*options));
	memcpy(options + n, command_common_options(&n_common), N_COMMON * sizeof(*options));
	n += n_common;
	long_options_init(&l, ":", options, n);
	given = calloc((size_t)argc + 1, sizeof(*given));
	if (!given)
		return say_errno(c->command->name, -ENOMEM, "cannot begin");
	c->options = given;
	optind = 0;
	while ((o = getopt_long(argc, argv, l.letters, l.options, NULL)) != -1) {
		const struct command_option *option =
			option_of(o, c->command->name, argv, options, n);

		if (!option)
			return SAY_USAGE;
		if (streq(option->name, "help"))
			return help_command(c->command);
		if (streq(option->name, "version"))
			return help_version();
		given[c->n_options++] = (struct call_option){option->name, optarg};
	}
	c->operands = (const char *const *)argv + optind;
	c->n_operands = (size_t)(argc - optind);
	if (c->n_operands < c->command->min_operands)
		return command_misused(c, "expected %s", c->command->operands);
	if (c->n_operands > c->command->max_operands)
		return command_misused(c, "too many words, expected %s",
				       *c->command->operands ? c->command->operands : "none");
	return c->command->run(c);
}

/* The same for a command that has no options of ours. */
static int run_verbatim(struct call *c, int argc, char **argv)
{
	if (argc > 1 && (streq(argv[1], "--help") || streq(argv[1], "-h")))
		return help_command(c->command);
	c->operands = (const char *const *)argv + 1;
	c->n_operands = (size_t)argc - 1;
	return c->command->run(c);
}

/* Options before the command. Returns -1 to go on at argv[optind], or an exit status. */
static int global(struct context *context, int argc, char **argv)
{
	const char **const dirs[] = {&context->conf_dir, &context->state_dir, &context->run_dir};
	struct long_options l;
	int o;

	long_options_init(&l, "+:", global_options, ARRAY_SIZE(global_options));
	opterr = 0;
	while ((o = getopt_long(argc, argv, l.letters, l.options, NULL)) != -1) {
		const struct command_option *option =
			option_of(o, NULL, argv, global_options, ARRAY_SIZE(global_options));

		if (!option)
			return SAY_USAGE;
		if (option - global_options < (ptrdiff_t)ARRAY_SIZE(dirs))
			*dirs[option - global_options] = optarg;
		else if (streq(option->name, "help"))
			return help_overview();
		else
			return help_version();
	}
	return -1;
}

int command_main(int argc, char **argv)
{
	struct context context = {DEVLXDFS_CONF_DIR, DEVLXDFS_STATE_DIR, DEVLXDFS_RUN_DIR};
	struct call call = {.context = &context};
	size_t n_words, depth;
	int r = global(&context, argc, argv);

	if (r >= 0)
		return r;
	argc -= optind;
	argv += optind;
	if (argc > 0 && streq(argv[0], "help")) { /* "help WORDS" is "WORDS --help" */
		memmove(argv, argv + 1, (size_t)(argc - 1) * sizeof(*argv));
		argv[argc - 1] = (char *)"--help";
	}
	call.command = find(argc, argv, &depth);
	if (!call.command)
		return help_unknown(depth, argc, argv);
	command_words(call.command, argc, argv, &n_words);
	argc -= (int)n_words - 1;
	argv += n_words - 1;
	return call.command->is_verbatim ? run_verbatim(&call, argc, argv) : run(&call, argc, argv);
}
