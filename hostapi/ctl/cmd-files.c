/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * files ...: who inside a guest may read what of the tree
 *
 * Order matters in these rules, so a rule that is changed keeps its place. What modes and owners
 * are is the parser's business: it refuses the record.
 */
#include "ctl/cmd.h"

#include <fnmatch.h>

#include "base/text.h"
#include "ctl/change.h"
#include "ctl/format.h"

/* The rules of the record, an array, made if missing; NULL after saying why. */
static json_t *rules_of(struct change *c)
{
	json_t *rules = json_object_get(c->record, "files");

	if (!rules || json_is_null(rules)) {
		json_object_set_new(c->record, "files", json_array());
		rules = json_object_get(c->record, "files");
	}
	if (json_is_array(rules))
		return rules;
	say(SAY_REFUSED, c->subject, "its files are not a list; correct them with config edit");
	return NULL;
}

/* Begins, and finds the rules of the instance that operand 0 names. */
static int begin(const struct call *c, struct change *change, enum change_mode mode,
		 json_t **ret_rules)
{
	int r = change_begin(change, c->context, RECORD_INSTANCE, c->operands[0], mode);

	if (r != 0)
		return r;
	*ret_rules = rules_of(change);
	return *ret_rules ? 0 : SAY_REFUSED;
}

/* What a rule says, or what it means where it says nothing. The record may be a rejected one. */
static const char *text_of(const json_t *rule, const char *member, const char *otherwise)
{
	const json_t *value = json_object_get(rule, member);

	if (!value || json_is_null(value))
		return otherwise;
	return json_is_string(value) ? json_string_value(value) : "?";
}

/* Where the last rule with exactly this pattern is, the one that counts. False when there is none. */
static bool find(const json_t *rules, const char *pattern, size_t *ret_i)
{
	for (size_t i = json_array_size(rules); i-- > 0;) {
		if (streq(text_of(json_array_get(rules, i), "path", ""), pattern)) {
			*ret_i = i;
			return true;
		}
	}
	return false;
}

static int show(const struct call *c)
{
	static const struct format_column pattern = {0, "PATTERN", "path"},
					  mode = {0, "MODE", "mode"}, owner = {0, "OWNER", "owner"};
	static const struct format_column *const columns[] = {&pattern, &mode, &owner};
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *rows = json_array();
	json_t *rules, *rule;
	enum format format;
	size_t i;
	int r;

	if (format_parse(command_value(c, "format"), &format) < 0)
		return command_misused(c, "the format is none of table, json, yaml and csv");
	r = begin(c, &change, CHANGE_LOOK, &rules);
	if (r != 0)
		return r;
	json_array_foreach (rules, i, rule) {
		json_t *row = json_pack("{s:s, s:s, s:s}", "path", text_of(rule, "path", "?"),
					"mode", text_of(rule, "mode", "0400"), "owner",
					text_of(rule, "owner", "0:0"));

		if (json_array_append_new(rows, row) < 0)
			r = -ENOMEM;
	}
	if (r == 0)
		r = format_rows(stdout, format, rows, columns, ARRAY_SIZE(columns));
	return r < 0 ? say_errno(change.subject, r, "cannot show them") : SAY_DONE;
}

/* Warns of a pattern that no file of the tree can match, whatever the record says. */
static void warn(const char *subject, const char *path)
{
	static const char *const names[] = {"config", "devices",   "devices.json",
					    "events", "meta-data", "state"};
	size_t n = strcspn(path, "/");
	_cleanup_(freep) char *first = strndup(path, n);
	const char *nearest, *last = strrchr(path, '/');
	bool is_known = !first;

	if (strstr(path, "//") || (last && !last[1])) {
		say(SAY_DONE, subject,
		    "the pattern \"%s\" matches no file; \"*\" stands for a whole name", path);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names) && !is_known; i++)
		is_known = fnmatch(first, names[i], FNM_PATHNAME) == 0;
	if (is_known)
		return;
	nearest = text_nearest(first, names, ARRAY_SIZE(names));
	if (nearest)
		say(SAY_DONE, subject, "the pattern \"%s\" matches no file; did you mean \"%s%s\"?",
		    path, nearest, path + n);
	else
		say(SAY_DONE, subject,
		    "the pattern \"%s\" matches no file; they are below config and devices, or "
		    "meta-data, devices.json, state and events",
		    path);
}

static int set(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *rule = json_object();
	const char *pattern = c->operands[1];
	json_t *rules;
	size_t i;
	int r = begin(c, &change, CHANGE_EDIT, &rules);

	if (r != 0)
		return r;
	if (json_object_set_new(rule, "path", json_string(pattern)) < 0 ||
	    json_object_set_new(rule, "mode", json_string(c->operands[2])) < 0 ||
	    (c->n_operands > 3 &&
	     json_object_set_new(rule, "owner", json_string(c->operands[3])) < 0))
		return say(SAY_REFUSED, change.subject,
			   "the pattern, mode or owner is not UTF-8 text");
	r = find(rules, pattern, &i) ? json_array_set(rules, i, rule)
				     : json_array_append(rules, rule);
	if (r < 0)
		return say_errno(change.subject, -ENOMEM, "cannot change it");
	r = change_commit(&change);
	if (r != SAY_REFUSED)
		warn(change.subject, pattern);
	return r;
}

static int say_no_rule(const struct change *c, const json_t *rules, const char *pattern)
{
	const char *patterns[256], *nearest;
	size_t n = 0, i;
	json_t *rule;

	json_array_foreach (rules, i, rule) {
		if (n < ARRAY_SIZE(patterns))
			patterns[n++] = text_of(rule, "path", "");
	}
	nearest = text_nearest(pattern, patterns, n);
	if (nearest)
		return say(SAY_REFUSED, c->subject,
			   "no rule has the pattern \"%s\"; did you mean \"%s\"?", pattern,
			   nearest);
	return say(SAY_REFUSED, c->subject,
		   "no rule has the pattern \"%s\"; see devlxdfs files show", pattern);
}

static int unset(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_t *rules;
	size_t i;
	int r = begin(c, &change, CHANGE_EDIT, &rules);

	if (r != 0)
		return r;
	if (!find(rules, c->operands[1], &i))
		return say_no_rule(&change, rules, c->operands[1]);
	/* All of them: an earlier one of the same pattern would come into force. */
	do
		json_array_remove(rules, i);
	while (find(rules, c->operands[1], &i));
	return change_commit(&change);
}

static const struct command_option show_options[] = {
	{'f', "format", "FORMAT", "table, json, yaml or csv"},
};

static const struct command commands[] = {
	{COMMAND("files show", "NAME", 1, 1, OPERANDS_INSTANCES, show,
		 "Print the rules about who may read what of the tree, in order"),
	 COMMAND_OPTIONS(show_options)},
	{COMMAND("files set", "NAME PATTERN MODE [UID:GID]", 3, 4, OPERANDS_INSTANCES, set,
		 "Set the mode and owner of files of the tree; of several rules the last one that "
		 "matches counts")},
	{COMMAND("files unset", "NAME PATTERN", 2, 2, OPERANDS_INSTANCES, unset,
		 "Remove the rule with exactly this pattern")},
};

struct command_group cmd_files_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
