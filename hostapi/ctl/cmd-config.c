/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config get, set, unset, show, edit; the same words of profile
 */
#include "ctl/cmd.h"

#include "base/text.h"
#include "ctl/change.h"
#include "ctl/editor.h"
#include "ctl/format.h"
#include "ctl/input.h"
#include "ctl/member.h"
#include "ctl/pairs.h"

static int say_not_table(struct change *c, const char *member)
{
	return say(SAY_REFUSED, c->subject, "its %s is not a mapping; correct it with config edit",
		   member);
}

int cmd_config_get(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *expanded = NULL;
	const json_t *config;
	int r = change_begin(&change, c->context, c->command->kind, c->operands[0], CHANGE_LOOK);

	if (r != 0)
		return r;
	config = json_object_get(change.record, "config");
	if (command_has(c, "expanded")) {
		config = expanded = change_expanded(&change, "config");
		if (!expanded)
			return SAY_REFUSED;
	}
	return change_print(&change, json_object_get(config, c->operands[1]));
}

int cmd_config_set(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *pairs = NULL;
	json_t *config;
	int r = pairs_parse(c, c->operands + 1, c->n_operands - 1, &pairs);

	if (r == 0)
		r = change_begin(&change, c->context, c->command->kind, c->operands[0],
				 CHANGE_EDIT);
	if (r != 0)
		return r;
	config = member_object(change.record, "config");
	if (!config)
		return say_not_table(&change, "config");
	if (member_overlay(config, pairs) < 0)
		return say_errno(change.subject, -ENOMEM, "cannot change it");
	r = change_commit(&change);
	if (r != SAY_REFUSED)
		pairs_warn(change.subject, pairs);
	return r;
}

int cmd_config_unset(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	int r = change_begin(&change, c->context, c->command->kind, c->operands[0], CHANGE_EDIT);

	for (size_t i = 1; i < c->n_operands && r == 0; i++)
		r = change_unset(&change, json_object_get(change.record, "config"), c->operands[i]);
	return r == 0 ? change_commit(&change) : r;
}

/* The record with its name first of all, and expanded if asked for. */
static json_t *shown(struct change *change, bool is_expanded)
{
	static const char *const members[] = {"config", "devices"};
	json_auto_t *record = json_copy(change->record);

	if (!record || json_object_set_new(record, "name", json_string(change->name)) < 0) {
		say_errno(change->subject, -ENOMEM, "cannot show it");
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_t *expanded = is_expanded ? change_expanded(change, members[i]) : NULL;

		if (is_expanded && !expanded)
			return NULL;
		if (is_expanded)
			json_object_set_new(record, members[i], expanded);
		else
			member_object(record, members[i]);
	}
	return steal_ptr(&record);
}

int cmd_config_show(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *record = NULL;
	int r = change_begin(&change, c->context, c->command->kind, c->operands[0], CHANGE_LOOK);

	if (r != 0)
		return r;
	record = shown(&change, command_has(c, "expanded"));
	if (!record)
		return SAY_REFUSED;
	r = format_yaml(stdout, record);
	return r < 0 ? say_errno(change.subject, r, "cannot show it") : SAY_DONE;
}

/* What the operator is given to edit, and the record it was made of. */
static int before_edit(const struct call *c, struct buf *text, json_t **ret_record)
{
	_cleanup_(change_finish) struct change change = {0};
	_cleanup_(freep) char *bytes = NULL; /* outlives the stream that fills it */
	_cleanup_(fclosep) FILE *f = NULL;
	json_auto_t *record = NULL;
	size_t n;
	int r = change_begin(&change, c->context, c->command->kind, c->operands[0], CHANGE_EDIT);

	if (r != 0)
		return r;
	record = shown(&change, false);
	if (!record)
		return SAY_REFUSED;
	f = open_memstream(&bytes, &n);
	r = f ? format_yaml(f, record) : -errno;
	if (r == 0 && fflush(f) != 0)
		r = -errno;
	if (r == 0)
		r = buf_append(text, bytes, n);
	if (r < 0)
		return say_errno(change.subject, r, "cannot show it");
	*ret_record = steal_ptr(&change.record);
	return 0;
}

/* The text instead of the record, unless that is no longer @before (may be NULL). */
static int commit_text(const struct call *c, const struct buf *text, const char *source,
		       const json_t *before, bool *ret_is_bad)
{
	_cleanup_(input_finish) struct input in = {.name = c->operands[0]};
	_cleanup_(change_finish) struct change change = {0};
	int r = input_text(&in, c->command->kind, RECORD_YAML, source, text->data ? text->data : "",
			   text->len);

	*ret_is_bad = r != 0;
	if (r == 0)
		r = change_begin(&change, c->context, c->command->kind, c->operands[0],
				 CHANGE_EDIT);
	if (r != 0)
		return r;
	if (before && !json_equal(before, change.record))
		return say(SAY_REFUSED, change.subject,
			   "somebody else changed it meanwhile, nothing changed; edit it again");
	json_decref(change.record);
	change.record = json_incref(in.records[0].json);
	return change_commit(&change);
}

int cmd_config_edit(const struct call *c)
{
	_cleanup_(buf_finish) struct buf text = {0};
	_cleanup_(freep) char *source = NULL;
	json_auto_t *before = NULL;
	bool is_bad;
	int r;

	if (!isatty(STDIN_FILENO)) {
		r = input_bytes(STDIN_FILENO, &text);
		if (r < 0)
			return say_errno(c->operands[0], r, "cannot read standard input");
		return commit_text(c, &text, "standard input", NULL, &is_bad);
	}
	r = before_edit(c, &text, &before);
	if (r == 0 && asprintf(&source, "%s.yaml", c->operands[0]) < 0) {
		source = NULL;
		r = say_errno(c->operands[0], -ENOMEM, "cannot edit it");
	}
	while (r == 0) {
		r = editor_run(c->operands[0], &text);
		if (r != 0)
			break;
		r = commit_text(c, &text, source, before, &is_bad);
		if (!is_bad)
			break;
		fputs("Press enter to edit it again, or Ctrl-C to leave it as it was. ", stderr);
		r = getchar() == '\n' ? 0 : SAY_REFUSED;
	}
	return r;
}

static const struct command_option expanded_options[] = {
	{'e', "expanded", NULL, "with what comes from the profiles"},
};

static const struct command commands[] = {
	{COMMAND("config get", "NAME KEY", 2, 2, OPERANDS_INSTANCES, cmd_config_get,
		 "Print the value of a key and a newline"),
	 COMMAND_OPTIONS(expanded_options)},
	{COMMAND(
		"config set", "NAME KEY=VALUE...", 2, COMMAND_MANY, OPERANDS_INSTANCES,
		cmd_config_set,
		"Set keys, all in one change; \"KEY VALUE\" works too, the value \"-\" is standard "
		"input")},
	{COMMAND("config unset", "NAME KEY...", 2, COMMAND_MANY, OPERANDS_INSTANCES,
		 cmd_config_unset, "Remove keys")},
	{COMMAND("config show", "NAME", 1, 1, OPERANDS_INSTANCES, cmd_config_show,
		 "Print the record as YAML"),
	 COMMAND_OPTIONS(expanded_options)},
	{COMMAND("config edit", "NAME", 1, 1, OPERANDS_INSTANCES, cmd_config_edit,
		 "Edit the record as YAML, in $VISUAL or $EDITOR, or read it from standard input")},
};

struct command_group cmd_config_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
