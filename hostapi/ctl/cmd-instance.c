/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * create, delete, rename, copy; the last three also for profiles
 */
#include "ctl/cmd.h"

#include "base/text.h"
#include "ctl/change.h"
#include "ctl/daemon.h"
#include "ctl/manager.h"
#include "ctl/member.h"
#include "ctl/pairs.h"

/* At most one option says how it is recognised. */
static int check_match(const struct call *c)
{
	const char *first = NULL;

	for (size_t i = 0; i < c->n_options; i++) {
		const char *name = c->options[i].name;

		if (!streq(name, "cgroup") && !streq(name, "mount") && !manager_find(name))
			continue;
		if (first && !streq(first, name))
			return command_misused(c, "--%s and --%s exclude each other", first, name);
		first = name;
	}
	return 0;
}

/* The options for managers. Returns 0 or an exit status; @ret gets the cgroup's path, if it has one that can be told. */
static int ask_managers(const struct call *c, const struct change *change, struct buf *ret)
{
	for (size_t i = 0; i < c->n_options; i++) {
		const struct manager *m = manager_find(c->options[i].name);

		if (m && manager_cgroup(m, change->name, ret) < 0)
			return say_errno(change->subject, -ENOMEM, "cannot make it");
	}
	return 0;
}

/* Sets match from --cgroup, --mount or a manager's option; leaves the record alone without them. */
static int set_match(const struct call *c, struct change *change)
{
	_cleanup_(buf_finish) struct buf cgroup = {0};
	const char *path = command_value(c, "cgroup");
	int r = check_match(c);

	if (r == 0)
		r = ask_managers(c, change, &cgroup);
	if (r != 0)
		return r;
	if (command_has(c, "mount") &&
	    json_object_set_new(change->record, "match", json_pack("{s:b}", "mount", 1)) < 0)
		return say_errno(change->subject, -ENOMEM, "cannot make it");
	if (cgroup.len)
		path = cgroup.data;
	if (path &&
	    json_object_set_new(change->record, "match", json_pack("{s:s}", "cgroup", path)) < 0)
		return say(SAY_REFUSED, change->subject, "the cgroup's path is not UTF-8");
	return 0;
}

/* How to start its guest, where that is not known to the manager already. */
static void say_how(const struct call *c, const struct change *change)
{
	for (size_t i = 0; i < c->n_options; i++) {
		_cleanup_(buf_finish) struct buf text = {0};
		const struct manager *m = manager_find(c->options[i].name);

		if (m && manager_explain(m, change->name, c->context->run_dir, &text) == 0)
			say_lines(change->subject, &text);
	}
}

/* One -d DEV,KEY=VALUE,... into @devices. */
static int add_device(const struct call *c, const char *text, json_t *devices)
{
	_cleanup_(freep) char *copy = strdup(text);
	char *rest = copy, *name = strsep(&rest, ","), *pair;
	json_t *device;
	int r = 0;

	if (!copy)
		return say_errno(c->command->name, -ENOMEM, "cannot read the devices");
	device = *name ? member_object(devices, name) : NULL;
	if (!device)
		return command_misused(c, "a device needs a name: -d NAME,type=TYPE,...");
	while (r == 0 && (pair = strsep(&rest, ",")))
		r = pairs_add(c, pair, device);
	if (r == 0 && !json_object_get(device, "type"))
		return command_misused(c, "the device \"%s\" needs a type: -d NAME,type=TYPE,...",
				       name);
	return r;
}

static int read_options(const struct call *c, json_t *config, json_t *devices, json_t *profiles)
{
	const char *value;
	int r = 0;

	for (size_t i = 0; r == 0 && (value = command_next(c, "config", &i));)
		r = pairs_add(c, value, config);
	for (size_t i = 0; r == 0 && (value = command_next(c, "device", &i));)
		r = add_device(c, value, devices);
	for (size_t i = 0; r == 0 && (value = command_next(c, "profile", &i));) {
		if (json_array_append_new(profiles, json_string(value)) < 0)
			r = say(SAY_REFUSED, NULL, "a profile's name is not UTF-8");
	}
	if (r == 0 && command_has(c, "profile") && command_has(c, "no-profiles"))
		r = command_misused(c, "--profile and --no-profiles exclude each other");
	if (r == 0 && !command_has(c, "profile") && !command_has(c, "no-profiles") &&
	    json_array_append_new(profiles, json_string("default")) < 0)
		r = say_errno(NULL, -ENOMEM, "cannot begin");
	return r;
}

static int create(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *config = json_object(), *devices = json_object(), *profiles = json_array();
	const char *type = command_has(c, "vm") ? "virtual-machine" : "container";
	int r = config && devices && profiles ? read_options(c, config, devices, profiles)
					      : say_errno(NULL, -ENOMEM, "cannot begin");

	if (r == 0)
		r = change_begin(&change, c->context, RECORD_INSTANCE, c->operands[0],
				 CHANGE_CREATE);
	if (r == 0)
		r = set_match(c, &change);
	if (r != 0)
		return r;
	if (json_object_set_new(change.record, "type", json_string(type)) < 0 ||
	    json_object_set(change.record, "config", config) < 0 ||
	    json_object_set(change.record, "devices", devices) < 0 ||
	    json_object_set(change.record, "profiles", profiles) < 0)
		return say_errno(change.subject, -ENOMEM, "cannot make it");
	r = change_commit(&change);
	if (r != SAY_REFUSED) {
		pairs_warn(change.subject, config);
		say_how(c, &change);
	}
	return r;
}

/*
 * What tells the source from all others stays with it: how the kernel recognises it, who its root is, its
 * hostname, and what was made up for it.
 */
static void forget_identity(json_t *record)
{
	static const char *const own[] = {"name", "match", "root", "hostname"};
	const char *key;
	json_t *value, *config = json_object_get(record, "config");
	void *next;

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		json_object_del(record, own[i]);
	json_object_foreach_safe (config, next, key, value) {
		if (text_has_prefix(key, "volatile."))
			json_object_del(config, key);
	}
}

int cmd_instance_copy(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *source = NULL;
	int r = change_begin(&change, c->context, c->command->kind, c->operands[0], CHANGE_LOOK);

	if (r != 0)
		return r;
	source = json_deep_copy(change.record);
	change_finish(&change);
	r = change_begin(&change, c->context, c->command->kind, c->operands[1], CHANGE_CREATE);
	if (r != 0)
		return r;
	if (!source)
		return say_errno(change.subject, -ENOMEM, "cannot make it");
	json_decref(change.record);
	change.record = steal_ptr(&source);
	if (c->command->kind == RECORD_INSTANCE) {
		forget_identity(change.record);
		r = set_match(c, &change);
	} else {
		json_object_del(change.record, "name");
	}
	if (r == 0)
		r = change_commit(&change);
	if (r == SAY_DONE || r == SAY_NOT_LOADED)
		say_how(c, &change);
	return r;
}

/* Refuses to take away a profile that instances name. */
static int check_unused(struct change *c, enum record_kind kind, const char *name)
{
	_cleanup_(buf_finish) struct buf users = {0};
	char **names = NULL, subject[SAY_SUBJECT_MAX];
	size_t n = 0;
	int r;

	if (kind != RECORD_PROFILE)
		return 0;
	say_subject(kind, name, subject);
	if (streq(name, "default"))
		return say(SAY_REFUSED, subject, "the default profile stays; empty it instead");
	r = edit_names(c->edit, RECORD_INSTANCE, &names, &n);
	for (size_t i = 0; i < n; i++) {
		_cleanup_(buf_finish) struct buf error = {0};
		json_auto_t *record = NULL;

		if (r == 0 &&
		    edit_load(c->edit, RECORD_INSTANCE, names[i], &record, NULL, NULL, &error) ==
			    0 &&
		    member_contains(json_object_get(record, "profiles"), name, NULL))
			r = buf_printf(&users, "%s%s", users.len ? ", " : "", names[i]);
		free(names[i]);
	}
	free(names);
	if (r < 0)
		return say_errno(subject, r, "cannot see who uses it");
	return users.len == 0 ? 0
			      : say(SAY_REFUSED, subject,
				    "used by %s; take it from them first: devlxdfs profile remove",
				    users.data);
}

int cmd_instance_rename(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	_cleanup_(buf_finish) struct buf error = {0};
	const char *from = c->operands[0], *to = c->operands[1];
	enum record_kind kind = c->command->kind;
	int r = change_begin(&change, c->context, kind, from, CHANGE_EDIT), gone;

	if (r == 0)
		r = check_unused(&change, kind, from);
	if (r == 0) {
		r = change_load(&change, kind, to, true);
		if (r == 0 && change.record)
			r = change_say(&change, EDIT_E_EXISTS, NULL);
	}
	if (r != 0)
		return r;
	r = edit_rename(change.edit, kind, from, to, &error);
	if (r != 0)
		return change_say(&change, r, &error);
	change.edit = edit_free(change.edit);
	gone = daemon_load(c->context, kind, from, true);
	if (gone != SAY_DONE)
		return gone;
	return daemon_load(c->context, kind, to, false);
}

/* A record that does not parse may go too: its place is judged when it goes. */
static int check_there(struct change *c, enum record_kind kind, const char *name)
{
	_cleanup_(buf_finish) struct buf error = {0};
	int r = change_name(c, kind, name);

	if (r != 0)
		return r;
	r = edit_load(c->edit, kind, name, &c->record, &c->path, &c->in_conf, &error);
	if (r == EDIT_E_INVALID)
		return 0;
	return r == 0 ? change_check_place(c) : change_say(c, r, &error);
}

int cmd_instance_delete(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	enum record_kind kind = c->command->kind;
	int r = change_open(&change, c->context, true), status = 0;
	size_t n_gone = 0;

	/* All are looked at before the first one goes. */
	for (size_t i = 0; i < c->n_operands && r == 0; i++) {
		r = check_unused(&change, kind, c->operands[i]);
		if (r == 0)
			r = check_there(&change, kind, c->operands[i]);
	}
	if (r != 0)
		return r;
	for (; n_gone < c->n_operands && r == 0; n_gone += r == 0) {
		_cleanup_(buf_finish) struct buf error = {0};

		r = edit_delete(change.edit, kind, c->operands[n_gone], &error);
		if (r != 0)
			r = change_say(&change, r, &error);
	}
	change.edit = edit_free(change.edit);
	for (size_t i = 0; i < n_gone; i++) {
		int loaded = daemon_load(c->context, kind, c->operands[i], true);

		if (loaded != SAY_DONE)
			status = loaded;
	}
	return r != 0 ? r : status;
}

static const struct command_option create_options[] = {
	{0, "vm", NULL, "a virtual machine, not a container"},
	{'c', "config", "KEY=VALUE", "set a key; may be repeated"},
	{'d', "device", "NAME,KEY=VALUE,...", "add a device; may be repeated"},
	{'p', "profile", "PROFILE", "use a profile instead of default; may be repeated"},
	{0, "no-profiles", NULL, "use no profile"},
	{0, "cgroup", "PATH", "recognise it by this cgroup, below the root of cgroup2"},
	{0, "lxc", NULL, "recognise it by the cgroup that lxc-start makes, /lxc.payload.NAME"},
	{0, "nspawn", NULL, "recognise it by its unit, systemd-nspawn@NAME.service"},
	{0, "machine", NULL,
	 "recognise it by the scope of the machine NAME, as machinectl lists it"},
	{0, "podman", NULL, "a hook will recognise it; say how to start it"},
	{0, "docker", NULL, "a hook will recognise it; say how to start it"},
	{0, "mount", NULL,
	 "recognise it by its mount: whoever has its directory of the tree is it"},
};
static const struct command_option copy_options[] = {
	{0, "cgroup", "PATH", "recognise the copy by this cgroup"},
	{0, "lxc", NULL, "recognise the copy by the cgroup that lxc-start makes"},
	{0, "nspawn", NULL, "recognise the copy by its unit"},
	{0, "machine", NULL, "recognise the copy by the scope of its machine"},
	{0, "podman", NULL, "a hook will recognise the copy; say how to start it"},
	{0, "docker", NULL, "a hook will recognise the copy; say how to start it"},
	{0, "mount", NULL, "recognise the copy by its mount"},
};
static const struct command_option delete_options[] = {
	{'f', "force", NULL, "accepted as lxc has it, changes nothing"},
};

static const struct command commands[] = {
	{COMMAND("create", "NAME", 1, 1, OPERANDS_OTHER, create, "Make the record of an instance"),
	 .alias = "init", COMMAND_OPTIONS(create_options)},
	{COMMAND("delete", "NAME...", 1, COMMAND_MANY, OPERANDS_INSTANCES, cmd_instance_delete,
		 "Remove records; their guests get nothing from then on"),
	 .alias = "rm", COMMAND_OPTIONS(delete_options)},
	{COMMAND("rename", "OLD NEW", 2, 2, OPERANDS_INSTANCES, cmd_instance_rename,
		 "Rename an instance; its instance-id changes, its binding does not follow"),
	 .alias = "mv"},
	{COMMAND("copy", "SOURCE NEW", 2, 2, OPERANDS_INSTANCES, cmd_instance_copy,
		 "Copy a record, without what only its guest can be: match, root, hostname and "
		 "volatile keys"),
	 .alias = "cp", COMMAND_OPTIONS(copy_options)},
};

struct command_group cmd_instance_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
