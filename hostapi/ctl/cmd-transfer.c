/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * import, export, validate
 */
#include "ctl/cmd.h"

#include <fcntl.h>

#include "ctl/change.h"
#include "ctl/daemon.h"
#include "ctl/format.h"
#include "ctl/input.h"
#include "ctl/member.h"
#include "store/volatile.h"

/* Nothing is written unless all of them can be. */
static int import_check(struct change *change, const struct input *in)
{
	int r = 0;

	for (size_t i = 0; i < in->n && r == 0; i++) {
		r = change_load(change, RECORD_INSTANCE, in->records[i].name, true);
		if (r == 0 && change->record)
			r = say(SAY_REFUSED, change->subject,
				"it exists already; import it with --name, or use apply");
		if (r == 0)
			r = change_check_profiles(change, in->records[i].json, NULL);
	}
	return r;
}

static int import(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	_cleanup_(input_finish) struct input in = {.name = command_value(c, "name")};
	int r = input_read(&in, c->operands[0]), status = 0;
	size_t n_written = 0;

	if (r == 0 && in.n == 0)
		r = say(SAY_REFUSED, c->operands[0], "no record in it");
	if (r == 0 && in.name && in.n > 1)
		r = say(SAY_REFUSED, c->operands[0], "--name with more than one record");
	if (r == 0)
		r = change_open(&change, c->context, true);
	if (r == 0)
		r = import_check(&change, &in);
	for (; n_written < in.n && r == 0; n_written += r == 0) {
		change_name(&change, RECORD_INSTANCE, in.records[n_written].name);
		change.record = json_incref(in.records[n_written].json);
		change.is_new = true;
		r = change_store(&change, NULL);
	}
	change.edit = edit_free(change.edit);
	for (size_t i = 0; i < n_written; i++) {
		int loaded = daemon_load(c->context, RECORD_INSTANCE, in.records[i].name, false);

		printf("%s: created\n", in.records[i].name);
		if (loaded != SAY_DONE)
			status = loaded;
	}
	return r != 0 ? r : status;
}

/* Writes the instance-id the daemon made into the record, so that it goes where the record goes. */
static int carry_instance_id(const struct context *context, struct change *c)
{
	_cleanup_(volatile_finish) struct volatile_state state = {0};
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *path = NULL;
	_cleanup_(closep) int fd = -1;
	json_t *config = member_object(c->record, "config");
	const char *key = "volatile.cloud-init.instance-id";
	int r;

	if (!config)
		return say(SAY_REFUSED, c->subject, "its config is not a mapping");
	if (json_object_get(config, key))
		return 0;
	if (asprintf(&path, "%s/volatile", context->state_dir) < 0) {
		path = NULL;
		return say_errno(c->subject, -ENOMEM, "cannot export it");
	}
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : volatile_load(fd, c->name, &state, &error);
	if (r == -EACCES)
		return say_errno(c->subject, r, "cannot read its instance-id");
	if (r != 0)
		say(0, c->subject, "exported without an instance-id: the daemon has made none yet");
	else if (json_object_set_new(config, key, json_string(state.instance_id)) < 0)
		return say_errno(c->subject, -ENOMEM, "cannot export it");
	return 0;
}

static int export(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	int r = change_begin(&change, c->context, RECORD_INSTANCE, c->operands[0], CHANGE_LOOK);

	if (r == 0)
		r = carry_instance_id(c->context, &change);
	if (r != 0)
		return r;
	json_object_set_new(change.record, "name", json_string(change.name));
	r = format_json(stdout, change.record);
	return r < 0 ? say_errno(change.subject, r, "cannot export it") : SAY_DONE;
}

static int validate(const struct call *c)
{
	int status = 0;

	for (size_t i = 0; i < c->n_operands; i++) {
		_cleanup_(input_finish) struct input in = {0};

		if (input_read(&in, c->operands[i]) != 0)
			status = SAY_REFUSED;
	}
	return status;
}

static const struct command_option import_options[] = {
	{0, "name", "NAME", "call the record so, whatever it says"},
};

static const struct command commands[] = {
	{COMMAND("import", "FILE|-", 1, 1, OPERANDS_FILES, import,
		 "Make records of what lxc query /1.0/instances/NAME, lxc config show or export "
		 "print"),
	 COMMAND_OPTIONS(import_options)},
	{COMMAND("export", "NAME", 1, 1, OPERANDS_INSTANCES, export,
		 "Print the record as JSON, with its instance-id, without its binding")},
	{COMMAND("validate", "FILE...", 1, COMMAND_MANY, OPERANDS_FILES, validate,
		 "Check records, files or directories of them, without a daemon")},
};

struct command_group cmd_transfer_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
