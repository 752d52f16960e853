/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hook, oci-runtime: what managers call
 *
 * Whatever is given to a hook and whatever happens, its exit status is 0: another one would have the manager give up the
 * container.
 */
#include "ctl/cmd.h"

#include "attach/hook-lxc.h"
#include "attach/hook-oci.h"
#include "attach/ociruntime.h"
#include "base/log.h"
#include "base/text.h"
#include "ctl/say.h"

static struct hook begin(const struct call *c)
{
	log_init("devlxdfs", LOG_LEVEL_INFO);
	log_prefer_journal();
	return (struct hook){c->context->conf_dir, c->context->state_dir, c->context->run_dir};
}

static int lxc(const struct call *c)
{
	struct hook h = begin(c);
	struct hook_lxc told = hook_lxc_told(c->n_operands, c->operands);

	hook_run(&h, hook_lxc, &told);
	return SAY_DONE;
}

static int oci(const struct call *c)
{
	struct hook h = begin(c);

	hook_run(&h, hook_oci, NULL);
	return SAY_DONE;
}

/* Takes --runtime off the front of the operands. */
static const char *take_runtime(size_t *n, const char *const **args)
{
	static const char option[] = "--runtime";
	const char *found = "runc";

	if (*n >= 2 && streq((*args)[0], option)) {
		found = (*args)[1];
		*n -= 2;
		*args += 2;
	} else if (*n >= 1 && text_has_prefix((*args)[0], "--runtime=")) {
		found = (*args)[0] + strlen("--runtime=");
		*n -= 1;
		*args += 1;
	}
	return found;
}

static int oci_runtime(const struct call *c)
{
	const char *const *args = c->operands;
	size_t n = c->n_operands;
	const char *runtime = take_runtime(&n, &args), *bundle = ociruntime_bundle(n, args);
	_cleanup_(freep) char **argv = calloc(n + 2, sizeof(char *));

	if (bundle) {
		struct hook h = begin(c);

		hook_run(&h, ociruntime_prepare, (void *)bundle);
	}
	if (!argv)
		return say_errno(c->command->name, -ENOMEM, "cannot start the runtime");
	argv[0] = (char *)runtime;
	memcpy(argv + 1, args, n * sizeof(char *));
	execvp(runtime, argv);
	return say(SAY_REFUSED, c->command->name,
		   "cannot start the runtime \"%s\": %s; say where it is: --runtime PATH", runtime,
		   strerror(errno));
}

static const struct command_option runtime_options[] = {
	{0, "runtime", "PATH", "the runtime that does it, before everything else; default runc"},
};

static const struct command commands[] = {
	{COMMAND("hook lxc", "[ARG]...", 0, COMMAND_MANY, OPERANDS_OTHER, lxc,
		 "Called by LXC: attach the container of the instance's name, or forget it"),
	 .is_verbatim = true},
	{COMMAND("hook oci", "[ARG]...", 0, COMMAND_MANY, OPERANDS_OTHER, oci,
		 "Called by OCI runtimes: attach the container whose state is on standard input, or "
		 "forget it"),
	 .is_verbatim = true},
	{COMMAND("oci-runtime", "[ARG]...", 0, COMMAND_MANY, OPERANDS_OTHER, oci_runtime,
		 "Be an OCI runtime that gives containers of instances the hook"),
	 COMMAND_OPTIONS(runtime_options), .is_verbatim = true},
};

struct command_group cmd_hook_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
