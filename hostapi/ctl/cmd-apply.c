/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apply: make STATE what a file or a directory says
 *
 * Everything is checked before anything is written, under one lock; what is the same already is not
 * touched, so that it can be run again and again.
 */
#include "ctl/cmd.h"

#include "ctl/change.h"
#include "ctl/daemon.h"
#include "ctl/input.h"
#include "ctl/member.h"

/* Profiles before the instances that use them; the other way round when they go. */
static const enum record_kind kinds[] = {RECORD_PROFILE, RECORD_INSTANCE};

struct plan {
	const struct call *call;
	struct change change;
	struct input in;
	json_t *wanted[2]; /* by kind: name -> record */
	json_t *pruned[2]; /* by kind: name -> true, what goes */
	json_t *touched;   /* [[kind, name, is_gone]]: what the daemon must load */
};

static int plan_init(struct plan *p, const struct call *c)
{
	*p = (struct plan){.call = c, .touched = json_array()};
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		p->wanted[k] = json_object();
		p->pruned[k] = json_object();
		if (!p->wanted[k] || !p->pruned[k])
			return say_errno(c->command->name, -ENOMEM, "cannot begin");
	}
	return p->touched ? 0 : say_errno(c->command->name, -ENOMEM, "cannot begin");
}

static void plan_finish(struct plan *p)
{
	change_finish(&p->change);
	input_finish(&p->in);
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		json_decref(p->wanted[k]);
		json_decref(p->pruned[k]);
	}
	json_decref(p->touched);
}

static int plan_read(struct plan *p)
{
	int r = input_read(&p->in, p->call->operands[0]);

	if (r == 0 && p->in.n == 0 && command_has(p->call, "prune"))
		return say(SAY_REFUSED, p->call->operands[0],
			   "no record in it, and --prune would delete all there are");
	for (size_t i = 0; i < p->in.n && r == 0; i++) {
		const struct input_record *record = &p->in.records[i];
		json_t *wanted = p->wanted[record->kind];

		if (json_object_get(wanted, record->name))
			r = say(SAY_REFUSED, record->source, "a second record called \"%s\"",
				record->name);
		else if (json_object_set(wanted, record->name, record->json) < 0)
			r = say_errno(record->source, -ENOMEM, "cannot read it");
	}
	return r;
}

/* Names of STATE's records that are not wanted. */
static int plan_prune(struct plan *p, enum record_kind kind)
{
	char **names = NULL;
	size_t n = 0;
	int r = edit_names(p->change.edit, kind, &names, &n);

	if (r < 0)
		r = say_errno(p->call->command->name, r, "cannot read the store");
	for (size_t i = 0; i < n; i++) {
		_cleanup_(buf_finish) struct buf error = {0};
		_cleanup_(freep) char *path = NULL;
		json_auto_t *ignored = NULL;
		bool in_conf = false;

		if (r == 0 && !json_object_get(p->wanted[kind], names[i])) {
			int loaded = edit_load(p->change.edit, kind, names[i], &ignored, &path,
					       &in_conf, &error);

			/* What does not parse goes too; the unwritten default profile cannot. */
			if (loaded == 0 ? path && !in_conf : loaded == EDIT_E_INVALID)
				json_object_set_new(p->pruned[kind], names[i], json_true());
		}
		free(names[i]);
	}
	free(names);
	return r;
}

/* Refuses when @record, which stays, uses a profile that goes. */
static int check_kept_profiles(struct plan *p, const char *name, const json_t *record)
{
	json_auto_t *profiles = member_profiles(record);
	size_t i;
	json_t *profile;

	json_array_foreach (profiles, i, profile) {
		const char *text = json_string_value(profile);

		if (text && !streq(text, "default") &&
		    json_object_get(p->pruned[RECORD_PROFILE], text))
			return say(SAY_REFUSED, name,
				   "it uses the profile \"%s\", which --prune would delete", text);
	}
	return 0;
}

/* Instances of CONF stay whatever is applied, and may use profiles of STATE. */
static int check_conf_instances(struct plan *p)
{
	char **names = NULL;
	size_t n = 0;
	int r = 0;

	if (json_object_size(p->pruned[RECORD_PROFILE]) == 0)
		return 0;
	if (edit_names(p->change.edit, RECORD_INSTANCE, &names, &n) < 0)
		return say_errno(p->call->command->name, -ENOMEM, "cannot read the store");
	for (size_t i = 0; i < n; i++) {
		_cleanup_(buf_finish) struct buf error = {0};
		json_auto_t *record = NULL;
		bool in_conf = false;

		if (r == 0 &&
		    edit_load(p->change.edit, RECORD_INSTANCE, names[i], &record, NULL, &in_conf,
			      &error) == 0 &&
		    in_conf)
			r = check_kept_profiles(p, names[i], record);
		free(names[i]);
	}
	free(names);
	return r;
}

static int plan_check(struct plan *p)
{
	const char *name;
	json_t *record;
	int r = 0;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		json_object_foreach (p->wanted[kinds[k]], name, record) {
			if (r == 0)
				r = change_load(&p->change, kinds[k], name, true);
			if (r == 0)
				r = change_check_place(&p->change);
			if (r == 0 && kinds[k] == RECORD_INSTANCE)
				r = change_check_profiles(&p->change, record,
							  p->wanted[RECORD_PROFILE]);
			if (r == 0 && kinds[k] == RECORD_INSTANCE)
				r = check_kept_profiles(p, name, record);
		}
	}
	return r == 0 ? check_conf_instances(p) : r;
}

static int report(struct plan *p, enum record_kind kind, const char *name, const char *what,
		  const struct buf *diff)
{
	const char *line = diff->data;

	printf("%s: %s\n", p->change.subject, what);
	while (command_has(p->call, "diff") && line && *line) {
		printf("  %.*s\n", (int)strcspn(line, "\n"), line);
		line += strcspn(line, "\n") + 1;
	}
	if (!streq(what, "unchanged") &&
	    json_array_append_new(p->touched, json_pack("[i, s, b]", (int)kind, name,
							streq(what, "deleted"))) < 0)
		return say_errno(name, -ENOMEM, "cannot have it loaded");
	return 0;
}

static int write_one(struct plan *p, enum record_kind kind, const char *name, json_t *record)
{
	_cleanup_(buf_finish) struct buf diff = {0};
	json_auto_t *before = NULL;
	bool changed = false;
	int r = change_load(&p->change, kind, name, true);

	if (r != 0)
		return r;
	p->change.is_new = !p->change.path;
	before = steal_ptr(&p->change.record);
	p->change.record = json_incref(record);
	r = change_store(&p->change, &changed);
	if (r != 0)
		return r;
	if (changed && member_diff(before, record, &diff) < 0)
		return say_errno(p->change.subject, -ENOMEM, "cannot compare it");
	return report(p, kind, name,
		      p->change.is_new ? "created"
		      : changed        ? "changed"
				       : "unchanged",
		      &diff);
}

static int delete_one(struct plan *p, enum record_kind kind, const char *name)
{
	_cleanup_(buf_finish) struct buf error = {0};
	int r = change_name(&p->change, kind, name);

	if (r == 0)
		r = edit_delete(p->change.edit, kind, name, &error);
	if (r == EDIT_E_IN_CONF) /* one that does not parse: its place shows only now */
		return 0;
	if (r != 0)
		return change_say(&p->change, r, &error);
	return report(p, kind, name, "deleted", &error);
}

static int plan_write(struct plan *p)
{
	const char *name;
	json_t *value;
	int r = 0;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		json_object_foreach (p->wanted[kinds[k]], name, value) {
			if (r == 0)
				r = write_one(p, kinds[k], name, value);
		}
	}
	for (size_t k = ARRAY_SIZE(kinds); k-- > 0;) {
		json_object_foreach (p->pruned[kinds[k]], name, value) {
			if (r == 0)
				r = delete_one(p, kinds[k], name);
		}
	}
	return r;
}

static int plan_load(struct plan *p)
{
	size_t i;
	json_t *item;
	int status = 0;

	p->change.edit = edit_free(p->change.edit);
	json_array_foreach (p->touched, i, item) {
		const char *name;
		int kind, is_gone, r;

		if (json_unpack(item, "[i, s, b]", &kind, &name, &is_gone) < 0)
			continue;
		r = daemon_load(p->call->context, (enum record_kind)kind, name, is_gone);
		if (r != SAY_DONE)
			status = r;
	}
	return status;
}

static int apply(const struct call *c)
{
	_cleanup_(plan_finish) struct plan plan;
	int r = plan_init(&plan, c), loaded;

	if (r == 0)
		r = plan_read(&plan);
	if (r == 0)
		r = change_open(&plan.change, c->context, true);
	for (size_t k = 0; k < ARRAY_SIZE(kinds) && r == 0 && command_has(c, "prune"); k++)
		r = plan_prune(&plan, kinds[k]);
	if (r == 0)
		r = plan_check(&plan);
	if (r == 0)
		r = plan_write(&plan);
	loaded = plan_load(&plan);
	return r != 0 ? r : loaded;
}

static const struct command_option options[] = {
	{0, "prune", NULL, "delete the records this command wrote that are not in it"},
	{0, "diff", NULL, "print which keys change, never their values"},
};

static const struct command commands[] = {
	{COMMAND("apply", "FILE|DIR|-", 1, 1, OPERANDS_FILES, apply,
		 "Make the store so: prints NAME: unchanged, changed, created or deleted"),
	 COMMAND_OPTIONS(options)},
};

struct command_group cmd_apply_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
