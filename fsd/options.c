/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd's command line
 *
 * One table: what is accepted, what --help prints, what devlxdfsd(8) must say.
 * Texts stay in argv. Pure but for what it prints.
 */
#include "options.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "login.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "config.h"

enum {
	EXIT_GO_ON = -1,
	EXIT_DONE = 0,
	EXIT_MISUSE = 2,
};

struct option {
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;     /* NULL: hidden */
	/* Sets what the option says. Returns 0 or -EINVAL. */
	int (*set)(struct options *o, const char *value);
};

static int set_conf_dir(struct options *o, const char *value)
{
	o->conf_dir = value;
	return *value ? 0 : -EINVAL;
}

static int set_state_dir(struct options *o, const char *value)
{
	o->state_dir = value;
	return *value ? 0 : -EINVAL;
}

static int set_run_dir(struct options *o, const char *value)
{
	o->run_dir = value;
	return *value ? 0 : -EINVAL;
}

static int set_user(struct options *o, const char *value)
{
	o->user = value;
	return *value ? 0 : -EINVAL;
}

static int set_no_fuse(struct options *o, const char *value)
{
	o->no_fuse = true;
	return 0;
}

static int set_no_passthrough(struct options *o, const char *value)
{
	o->no_passthrough = true;
	return 0;
}

static int set_no_resend(struct options *o, const char *value)
{
	o->no_resend = true;
	return 0;
}

static int set_fd_store(struct options *o, const char *value)
{
	o->fd_store = true;
	return 0;
}

static int set_take_down(struct options *o, const char *value)
{
	o->take_down = true;
	return 0;
}

static int set_foreground_worker(struct options *o, const char *value)
{
	o->foreground_worker = true;
	return 0;
}

static int set_fd(const char *text, int *ret)
{
	uint64_t fd;

	if (text_to_u64(text, 0, INT_MAX, &fd) < 0)
		return -EINVAL;
	*ret = (int)fd;
	return 0;
}

static int set_ready_fd(struct options *o, const char *value)
{
	return set_fd(value, &o->ready_fd);
}

static int set_log_level(struct options *o, const char *value)
{
	int level = log_level_parse(value);

	if (level >= 0)
		o->log_level = level;
	return level < 0 ? level : 0;
}

static int set_worker_timeout(struct options *o, const char *value)
{
	uint64_t seconds;

	if (text_to_u64(value, 1, 3600, &seconds) < 0)
		return -EINVAL;
	o->worker_timeout_s = (unsigned)seconds;
	return 0;
}

static int set_trial(struct options *o, const char *value)
{
	o->trial = true;
	return 0;
}

/* "N,N,...", an empty one where there is none. */
static int set_worker(struct options *o, const char *value)
{
	_cleanup_(freep) char *copy = strdup(value);
	char *rest = copy, *field;

	for (size_t i = 0; i < ARRAY_SIZE(o->worker_fds); i++) {
		field = strsep(&rest, ",");
		o->worker_fds[i] = -1;
		if (!field || (*field && set_fd(field, &o->worker_fds[i]) < 0))
			return -EINVAL;
	}
	o->worker = true;
	return rest ? -EINVAL : 0;
}

static const struct option table[] = {
	{"conf-dir", "DIR", "the operator's directory (" DEVLXDFS_CONF_DIR ")", set_conf_dir},
	{"state-dir", "DIR", "written by devlxdfs and the daemon (" DEVLXDFS_STATE_DIR ")",
	 set_state_dir},
	{"run-dir", "DIR", "the sockets (" DEVLXDFS_RUN_DIR ")", set_run_dir},
	{"user", "USER", "the account of the process that serves (" LOGIN_DEFAULT ")", set_user},
	{"no-fuse", NULL, "serve the socket only", set_no_fuse},
	{"no-passthrough", NULL, "do not let the kernel read images by itself", set_no_passthrough},
	{"no-resend", NULL, "do not ask the kernel to send requests again", set_no_resend},
	{"foreground-worker", NULL, "serve in this process, with the keeper as its child",
	 set_foreground_worker},
	{"fd-store", NULL, "leave mount and sockets to the service manager when stopped",
	 set_fd_store},
	{"take-down", NULL, "unmount the tree that a stopped daemon left, and exit", set_take_down},
	{"ready-fd", "N", "write a newline to descriptor N and close it once guests are served",
	 set_ready_fd},
	{"log-level", "LEVEL", "error, warning, info (default) or debug", set_log_level},
	{"worker-timeout", "S", "replace a worker that is silent for S seconds (10)",
	 set_worker_timeout},
	{"worker", "FDS", NULL, set_worker},
	{"trial", NULL, NULL, set_trial},
	{"help", NULL, "print this and exit", NULL},
	{"version", NULL, "print the version and exit", NULL},
};

static void print_help(void)
{
	puts("Usage: devlxdfsd [OPTION]...\n"
	     "Serve the DevLXD guest API to the guests of this host; see devlxdfsd(8).\n");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char left[32];

		if (!table[i].help)
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", table[i].name,
			 table[i].argument ? " " : "", table[i].argument ? table[i].argument : "");
		printf("  %-21s %s\n", left, table[i].help);
	}
}

/* The option whose name is the first @n bytes of @word. */
static const struct option *find(const char *word, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strlen(table[i].name) == n && memcmp(table[i].name, word, n) == 0)
			return &table[i];
	}
	return NULL;
}

/* One option at argv[*i]; *i is moved past a value of its own. */
static int parse_one(struct options *o, int argc, char **argv, int *i)
{
	const char *word = argv[*i], *name = word + 2, *value;
	const struct option *option = NULL;

	if (word[0] == '-' && word[1] == '-')
		option = find(name, strcspn(name, "="));
	if (!option) {
		fprintf(stderr, "devlxdfsd: unknown argument \"%s\"; see devlxdfsd --help\n", word);
		return EXIT_MISUSE;
	}
	value = strchr(name, '=');
	if (value)
		value++;
	else if (option->argument && *i + 1 < argc)
		value = argv[++*i];
	if (!option->argument != !value) {
		fprintf(stderr, "devlxdfsd: --%s takes %s; see devlxdfsd --help\n", option->name,
			option->argument ? option->argument : "no value");
		return EXIT_MISUSE;
	}
	if (option->set) {
		if (option->set(o, value) == 0)
			return EXIT_GO_ON;
		fprintf(stderr, "devlxdfsd: \"%s\" is no good %s for --%s\n", value,
			option->argument, option->name);
		return EXIT_MISUSE;
	}
	if (streq(option->name, "help"))
		print_help();
	else
		puts("devlxdfsd " DEVLXDFS_VERSION);
	return EXIT_DONE;
}

int options_parse(struct options *o, int argc, char **argv)
{
	*o = (struct options){
		.conf_dir = DEVLXDFS_CONF_DIR,
		.state_dir = DEVLXDFS_STATE_DIR,
		.run_dir = DEVLXDFS_RUN_DIR,
		.ready_fd = -1,
		.log_level = LOG_LEVEL_INFO,
		.worker_timeout_s = 10,
		.argv = argv,
	};
	for (int i = 1; i < argc; i++) {
		int r = parse_one(o, argc, argv, &i);

		if (r != EXIT_GO_ON)
			return r;
	}
	return EXIT_GO_ON;
}
