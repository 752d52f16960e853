/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check: what this host offers and lacks; for a name: why its guest sees nothing
 */
#include "ctl/cmd.h"

#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/check.h"
#include "ctl/say.h"

static int check(const struct call *c)
{
	struct check_run run = {.context = c->context};

	/* Half of the answers would be wrong. */
	if (access(c->context->state_dir, R_OK | X_OK) < 0 && errno == EACCES)
		return say_errno(c->command->name, -EACCES, "cannot look at the store");
	if (c->n_operands)
		check_guest(&run, c->operands[0]);
	else
		check_host(&run);
	return run.has_failed ? SAY_REFUSED : SAY_DONE;
}

static const struct command commands[] = {
	{COMMAND("check", "[NAME]", 0, 1, OPERANDS_INSTANCES, check,
		 "Check this host, or why the guest NAME sees nothing; exit status 1 if anything "
		 "fails")},
};

struct command_group cmd_check_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
