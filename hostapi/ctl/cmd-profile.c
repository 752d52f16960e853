/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * profile ...: the profiles themselves, and which of them an instance uses
 *
 * What profiles share with instances is done by the handlers of the instances' commands.
 */
#include "ctl/cmd.h"

#include "ctl/change.h"
#include "ctl/format.h"
#include "ctl/member.h"

static int create(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	int r = change_begin(&change, c->context, RECORD_PROFILE, c->operands[0], CHANGE_CREATE);

	if (r != 0)
		return r;
	if (!member_object(change.record, "config") || !member_object(change.record, "devices"))
		return say_errno(change.subject, -ENOMEM, "cannot make it");
	return change_commit(&change);
}

/* How many instances use each profile: an object of counters. NULL = no memory. */
static json_t *count_users(struct change *c)
{
	json_auto_t *users = json_object();
	char **names = NULL;
	size_t n = 0, p;
	json_t *profile;

	if (!users || edit_names(c->edit, RECORD_INSTANCE, &names, &n) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		_cleanup_(buf_finish) struct buf error = {0};
		json_auto_t *record = NULL, *profiles = NULL;

		if (edit_load(c->edit, RECORD_INSTANCE, names[i], &record, NULL, NULL, &error) == 0)
			profiles = member_profiles(record);
		json_array_foreach (profiles, p, profile) {
			const char *name = json_string_value(profile);

			if (name)
				json_object_set_new(users, name,
						    json_integer(json_integer_value(json_object_get(
									 users, name)) +
								 1));
		}
		free(names[i]);
	}
	free(names);
	return steal_ptr(&users);
}

static json_t *row_of(struct change *c, const char *name, const json_t *users)
{
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *path = NULL;
	json_auto_t *record = NULL;
	const char *description = NULL;
	json_int_t n = json_integer_value(json_object_get(users, name));

	if (edit_load(c->edit, RECORD_PROFILE, name, &record, &path, NULL, &error) >
	    EDIT_E_NOT_FOUND)
		description = "REJECTED";
	else
		description = json_string_value(json_object_get(record, "description"));
	return json_pack("{s:s, s:s, s:I, s:s}", "name", name, "description",
			 description ? description : "", "used_by", n, "file", path ? path : "");
}

static int list(const struct call *c)
{
	static const struct format_column name = {0, "NAME", "name"},
					  description = {0, "DESCRIPTION", "description"},
					  used_by = {0, "USED BY", "used_by"};
	static const struct format_column *const columns[] = {&name, &description, &used_by};
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *rows = json_array(), *users = NULL;
	enum format format;
	char **names = NULL;
	size_t n = 0;
	int r;

	if (format_parse(command_value(c, "format"), &format) < 0)
		return command_misused(c, "the format is none of table, json, yaml and csv");
	r = change_open(&change, c->context, false);
	if (r != 0)
		return r;
	users = count_users(&change);
	r = users ? edit_names(change.edit, RECORD_PROFILE, &names, &n) : -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(rows, row_of(&change, names[i], users));
		free(names[i]);
	}
	free(names);
	if (r == 0)
		r = format_rows(stdout, format, rows, columns, ARRAY_SIZE(columns));
	return r < 0 ? say_errno(c->command->name, r, "cannot list them") : SAY_DONE;
}

/* Begins a change of the instance that operand 0 names, with its profiles as an array of its own. */
static int begin(const struct call *c, struct change *change, json_t **ret_profiles)
{
	json_t *profiles;
	int r = change_begin(change, c->context, RECORD_INSTANCE, c->operands[0], CHANGE_EDIT);

	if (r != 0)
		return r;
	profiles = member_profiles(change->record);
	if (json_object_set_new(change->record, "profiles", profiles) < 0)
		return say_errno(change->subject, -ENOMEM, "cannot change it");
	*ret_profiles = profiles;
	return 0;
}

static int add(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_t *profiles = NULL;
	int r = begin(c, &change, &profiles);

	if (r != 0)
		return r;
	if (member_contains(profiles, c->operands[1], NULL))
		return say(SAY_REFUSED, change.subject, "it has the profile \"%s\" already",
			   c->operands[1]);
	if (json_array_append_new(profiles, json_string(c->operands[1])) < 0)
		return say(SAY_REFUSED, change.subject, "the profile's name is not UTF-8");
	return change_commit(&change);
}

static int take(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_t *profiles = NULL;
	size_t i;
	int r = begin(c, &change, &profiles);

	if (r != 0)
		return r;
	if (!member_contains(profiles, c->operands[1], &i))
		return say(SAY_REFUSED, change.subject,
			   "it has no profile \"%s\"; see devlxdfs config show", c->operands[1]);
	json_array_remove(profiles, i);
	return change_commit(&change);
}

static int assign(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	_cleanup_(freep) char *names = strdup(c->operands[1]);
	char *rest = names, *name;
	json_t *profiles = NULL;
	int r = names ? begin(c, &change, &profiles) : say_errno(NULL, -ENOMEM, "cannot begin");

	if (r != 0)
		return r;
	json_array_clear(profiles);
	while ((name = strsep(&rest, ","))) {
		if (*name && json_array_append_new(profiles, json_string(name)) < 0)
			return say(SAY_REFUSED, change.subject, "a profile's name is not UTF-8");
	}
	return change_commit(&change);
}

static const struct command_option list_options[] = {
	{'f', "format", "FORMAT", "table, json, yaml or csv"},
};

/* A row whose operands begin with a profile's name. */
#define PROFILE_COMMAND(NAME, OPERANDS, MIN, MAX, RUN, HELP)                                       \
	COMMAND("profile " NAME, OPERANDS, MIN, MAX, OPERANDS_PROFILES, RUN, HELP),                \
		.kind = RECORD_PROFILE

static const struct command commands[] = {
	{PROFILE_COMMAND("create", "PROFILE", 1, 1, create, "Make an empty profile")},
	{PROFILE_COMMAND("delete", "PROFILE...", 1, COMMAND_MANY, cmd_instance_delete,
			 "Remove profiles that no instance uses"),
	 .alias = "rm"},
	{PROFILE_COMMAND("list", "", 0, 0, list, "List the profiles"), .alias = "ls",
	 COMMAND_OPTIONS(list_options)},
	{PROFILE_COMMAND("show", "PROFILE", 1, 1, cmd_config_show, "Print a profile as YAML")},
	{PROFILE_COMMAND("edit", "PROFILE", 1, 1, cmd_config_edit,
			 "Edit a profile as YAML, or read it from standard input")},
	{PROFILE_COMMAND("copy", "SOURCE NEW", 2, 2, cmd_instance_copy, "Copy a profile"),
	 .alias = "cp"},
	{PROFILE_COMMAND("rename", "OLD NEW", 2, 2, cmd_instance_rename,
			 "Rename a profile that no instance uses"),
	 .alias = "mv"},
	{PROFILE_COMMAND("get", "PROFILE KEY", 2, 2, cmd_config_get,
			 "Print the value of a key and a newline")},
	{PROFILE_COMMAND("set", "PROFILE KEY=VALUE...", 2, COMMAND_MANY, cmd_config_set,
			 "Set keys, all in one change")},
	{PROFILE_COMMAND("unset", "PROFILE KEY...", 2, COMMAND_MANY, cmd_config_unset,
			 "Remove keys")},
	{COMMAND("profile add", "NAME PROFILE", 2, 2, OPERANDS_INSTANCES, add,
		 "Add a profile to an instance")},
	{COMMAND("profile remove", "NAME PROFILE", 2, 2, OPERANDS_INSTANCES, take,
		 "Take a profile from an instance")},
	{COMMAND("profile assign", "NAME PROFILE,...", 2, 2, OPERANDS_INSTANCES, assign,
		 "Make these the instance's profiles, in this order; \"\" is none"),
	 .alias = "apply"},
	{PROFILE_COMMAND("device add", "PROFILE DEVICE TYPE [KEY=VALUE]...", 3, COMMAND_MANY,
			 cmd_device_add, "Add a device")},
	{PROFILE_COMMAND("device remove", "PROFILE DEVICE...", 2, COMMAND_MANY, cmd_device_remove,
			 "Remove devices"),
	 .alias = "rm"},
	{PROFILE_COMMAND("device set", "PROFILE DEVICE KEY=VALUE...", 3, COMMAND_MANY,
			 cmd_device_set, "Set keys of a device, all in one change")},
	{PROFILE_COMMAND("device unset", "PROFILE DEVICE KEY...", 3, COMMAND_MANY, cmd_device_unset,
			 "Remove keys of a device")},
	{PROFILE_COMMAND("device get", "PROFILE DEVICE KEY", 3, 3, cmd_device_get,
			 "Print the value of a device's key and a newline")},
	{PROFILE_COMMAND("device list", "PROFILE", 1, 1, cmd_device_list,
			 "Print the names of the devices"),
	 .alias = "ls"},
	{PROFILE_COMMAND("device show", "PROFILE", 1, 1, cmd_device_show,
			 "Print the devices as YAML")},
};

struct command_group cmd_profile_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
