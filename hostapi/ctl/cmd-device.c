/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config device ...; the same words of profile device
 */
#include "ctl/cmd.h"

#include "base/text.h"
#include "ctl/change.h"
#include "ctl/format.h"
#include "ctl/member.h"
#include "ctl/pairs.h"

/* The devices of a record begun with any mode; NULL after saying why. */
static json_t *devices_of(struct change *c)
{
	json_t *devices = member_object(c->record, "devices");

	if (!devices)
		say(SAY_REFUSED, c->subject,
		    "its devices are not a mapping; correct them with config edit");
	return devices;
}

static json_t *device_of(struct change *c, json_t *devices, const char *name)
{
	json_t *device = json_object_get(devices, name), *value;
	const char *names[256], *nearest, *key;
	size_t n = 0;

	if (json_is_object(device))
		return device;
	json_object_foreach (devices, key, value) {
		if (n < ARRAY_SIZE(names))
			names[n++] = key;
	}
	nearest = text_nearest(name, names, n);
	if (nearest)
		say(SAY_REFUSED, c->subject, "no device \"%s\"; did you mean \"%s\"?", name,
		    nearest);
	else
		say(SAY_REFUSED, c->subject,
		    "no device \"%s\" of its own; see device list, and device override for one "
		    "from a profile",
		    name);
	return NULL;
}

/* Begins, and finds the devices. */
static int begin(const struct call *c, struct change *change, enum change_mode mode,
		 json_t **ret_devices)
{
	int r = change_begin(change, c->context, c->command->kind, c->operands[0], mode);

	if (r != 0)
		return r;
	*ret_devices = devices_of(change);
	return *ret_devices ? 0 : SAY_REFUSED;
}

/* Begins, and finds the device that operand 1 names. */
static int begin_device(const struct call *c, struct change *change, enum change_mode mode,
			json_t **ret_device)
{
	json_t *devices;
	int r = begin(c, change, mode, &devices);

	if (r != 0)
		return r;
	*ret_device = device_of(change, devices, c->operands[1]);
	return *ret_device ? 0 : SAY_REFUSED;
}

int cmd_device_add(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *device = NULL;
	json_t *devices;
	int r = pairs_parse(c, c->operands + 3, c->n_operands - 3, &device);

	if (r == 0)
		r = begin(c, &change, CHANGE_EDIT, &devices);
	if (r != 0)
		return r;
	if (json_object_get(devices, c->operands[1]))
		return say(SAY_REFUSED, change.subject,
			   "it has a device \"%s\" already; change it with device set",
			   c->operands[1]);
	if (json_object_set_new(device, "type", json_string(c->operands[2])) < 0 ||
	    json_object_set(devices, c->operands[1], device) < 0)
		return say(SAY_REFUSED, change.subject, "the device's name or type is not UTF-8");
	return change_commit(&change);
}

int cmd_device_remove(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_t *devices;
	int r = begin(c, &change, CHANGE_EDIT, &devices);

	for (size_t i = 1; i < c->n_operands && r == 0; i++)
		r = device_of(&change, devices, c->operands[i]) ? 0 : SAY_REFUSED;
	for (size_t i = 1; i < c->n_operands && r == 0; i++)
		json_object_del(devices, c->operands[i]);
	return r == 0 ? change_commit(&change) : r;
}

int cmd_device_set(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *pairs = NULL;
	json_t *device;
	int r = pairs_parse(c, c->operands + 2, c->n_operands - 2, &pairs);

	if (r == 0)
		r = begin_device(c, &change, CHANGE_EDIT, &device);
	if (r != 0)
		return r;
	if (member_overlay(device, pairs) < 0)
		return say_errno(change.subject, -ENOMEM, "cannot change it");
	return change_commit(&change);
}

int cmd_device_unset(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_t *device;
	int r = begin_device(c, &change, CHANGE_EDIT, &device);

	for (size_t i = 2; i < c->n_operands && r == 0; i++)
		r = change_unset(&change, device, c->operands[i]);
	return r == 0 ? change_commit(&change) : r;
}

int cmd_device_get(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_t *device;
	int r = begin_device(c, &change, CHANGE_LOOK, &device);

	return r == 0 ? change_print(&change, json_object_get(device, c->operands[2])) : r;
}

int cmd_device_list(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_t *devices, *device;
	const char *name;
	int r = begin(c, &change, CHANGE_LOOK, &devices);

	if (r != 0)
		return r;
	json_object_foreach (devices, name, device)
		puts(name);
	return SAY_DONE;
}

int cmd_device_show(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_t *devices;
	int r = begin(c, &change, CHANGE_LOOK, &devices);

	if (r != 0)
		return r;
	r = format_yaml(stdout, devices);
	return r < 0 ? say_errno(change.subject, r, "cannot show it") : SAY_DONE;
}

static int device_override(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *pairs = NULL, *expanded = NULL, *device = NULL;
	json_t *devices;
	int r = pairs_parse(c, c->operands + 2, c->n_operands - 2, &pairs);

	if (r == 0)
		r = begin(c, &change, CHANGE_EDIT, &devices);
	if (r != 0)
		return r;
	if (json_object_get(devices, c->operands[1]))
		return say(SAY_REFUSED, change.subject,
			   "it has a device \"%s\" of its own already; change it with device set",
			   c->operands[1]);
	expanded = change_expanded(&change, "devices");
	if (!expanded)
		return SAY_REFUSED;
	device = json_copy(json_object_get(expanded, c->operands[1]));
	if (!device)
		return say(SAY_REFUSED, change.subject, "no profile of it has a device \"%s\"",
			   c->operands[1]);
	if (member_overlay(device, pairs) < 0 ||
	    json_object_set(devices, c->operands[1], device) < 0)
		return say_errno(change.subject, -ENOMEM, "cannot change it");
	return change_commit(&change);
}

static const struct command commands[] = {
	{COMMAND("config device add", "NAME DEVICE TYPE [KEY=VALUE]...", 3, COMMAND_MANY,
		 OPERANDS_INSTANCES, cmd_device_add, "Add a device")},
	{COMMAND("config device remove", "NAME DEVICE...", 2, COMMAND_MANY, OPERANDS_INSTANCES,
		 cmd_device_remove, "Remove devices"),
	 .alias = "rm"},
	{COMMAND("config device set", "NAME DEVICE KEY=VALUE...", 3, COMMAND_MANY,
		 OPERANDS_INSTANCES, cmd_device_set, "Set keys of a device, all in one change")},
	{COMMAND("config device unset", "NAME DEVICE KEY...", 3, COMMAND_MANY, OPERANDS_INSTANCES,
		 cmd_device_unset, "Remove keys of a device")},
	{COMMAND("config device get", "NAME DEVICE KEY", 3, 3, OPERANDS_INSTANCES, cmd_device_get,
		 "Print the value of a device's key and a newline")},
	{COMMAND("config device list", "NAME", 1, 1, OPERANDS_INSTANCES, cmd_device_list,
		 "Print the names of its own devices"),
	 .alias = "ls"},
	{COMMAND("config device show", "NAME", 1, 1, OPERANDS_INSTANCES, cmd_device_show,
		 "Print its own devices as YAML")},
	{COMMAND("config device override", "NAME DEVICE [KEY=VALUE]...", 2, COMMAND_MANY,
		 OPERANDS_INSTANCES, device_override,
		 "Copy a device from a profile into the record, with changes")},
};

struct command_group cmd_device_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
