/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attach, detach
 */
#include "ctl/cmd.h"

#include "attach/attach.h"
#include "base/text.h"
#include "core/cgroup.h"
#include "ctl/daemon.h"
#include "ctl/say.h"

#define PATHS_MAX 16

/* Where the daemon says that the guest is. Returns 0 with *ret_path to be freed, or an exit status. */
static int find_cgroup(const struct call *c, const char *name, char **ret_path)
{
	_cleanup_(freep) char *target = NULL;
	json_auto_t *summary = NULL;
	const char *path;
	int r;

	if (asprintf(&target, "/1.0/instances/%s", name) < 0) {
		target = NULL;
		return say_errno(name, -ENOMEM, "cannot ask the daemon");
	}
	r = daemon_get(c->context, name, target, &summary);
	if (r == DAEMON_E_ABSENT)
		return daemon_say_absent(c->context, SAY_REFUSED, name, "not attached");
	if (r == DAEMON_E_NOT_FOUND)
		return say(SAY_REFUSED, name,
			   "there is no record of it in force; make one: devlxdfs create %s", name);
	if (r != 0)
		return SAY_REFUSED;
	path = json_string_value(json_object_get(json_object_get(summary, "binding"), "cgroup"))
		       ?: json_string_value(
				  json_object_get(json_object_get(summary, "match"), "cgroup"));
	if (!path)
		return say(
			SAY_REFUSED, name,
			"its record does not say which processes it is; name one of them: --pid");
	*ret_path = strdup(path);
	return *ret_path ? 0 : say_errno(name, -ENOMEM, "cannot find its guest");
}

static int find_guest(const struct call *c, const char *name, pid_t *ret_pid)
{
	_cleanup_(freep) char *path = NULL;
	_cleanup_(closep) int root_fd = cgroup_open_root(NULL);
	uint64_t start;
	int r = find_cgroup(c, name, &path);

	if (r != 0)
		return r;
	if (root_fd < 0)
		return say(SAY_REFUSED, name,
			   "no cgroup2 hierarchy, so its guest cannot be found; name a process of "
			   "it: --pid");
	r = cgroup_first_process(root_fd, path, ret_pid, &start);
	if (r < 0)
		return say(SAY_REFUSED, name,
			   "no process in its cgroup %s; start the guest, or name a process of it: "
			   "--pid",
			   path);
	return 0;
}

static int attach(const struct call *c)
{
	const char *name = c->operands[0], *pid_text = command_value(c, "pid");
	const char *paths[PATHS_MAX], *path;
	struct attachment a = {.instance = name, .paths = paths};
	_cleanup_(buf_finish) struct buf error = {0};
	uint64_t pid;
	int r = 0;

	for (size_t i = 0; (path = command_next(c, "path", &i));) {
		if (a.n_paths == PATHS_MAX)
			return command_misused(c, "not more than %d paths", PATHS_MAX);
		paths[a.n_paths++] = path;
	}
	if (pid_text && text_to_u64(pid_text, 1, 1U << 22, &pid) < 0)
		return command_misused(c, "\"%s\" is not a process id", pid_text);
	if (!text_is_name(name))
		return say(SAY_REFUSED, name, "that is not a name of an instance");
	if (pid_text)
		a.pid = (pid_t)pid;
	else
		r = find_guest(c, name, &a.pid);
	if (r != 0)
		return r;
	r = attach_guest(c->context->conf_dir, c->context->run_dir, &a, &error);
	return r == 0 ? SAY_DONE
		      : say(SAY_REFUSED, name, "not attached: %s", error.len ? error.data : "?");
}

static int detach(const struct call *c)
{
	_cleanup_(buf_finish) struct buf error = {0};
	int r = attach_undo(c->context->run_dir, c->operands[0], &error);

	return r == 0 ? SAY_DONE
		      : say(SAY_REFUSED, c->operands[0], "%s", error.len ? error.data : "?");
}

static const struct command_option attach_options[] = {
	{0, "pid", "PID", "a process of the guest, instead of the first one that its match finds"},
	{0, "path", "PATH", "where in the guest, instead of /dev/lxd; may be repeated"},
};

static const struct command commands[] = {
	{COMMAND("attach", "NAME", 1, 1, OPERANDS_INSTANCES, attach,
		 "Put its directory of the tree into a guest that runs, which is NAME from then on"),
	 COMMAND_OPTIONS(attach_options)},
	{COMMAND("detach", "NAME", 1, 1, OPERANDS_INSTANCES, detach,
		 "Take away what attach, or a manager's hook, has put into its guest")},
};

struct command_group cmd_attach_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
