/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * list, info: what is in force, asked of the daemon; without one, what the store says
 */
#include "ctl/cmd.h"

#include <ctype.h>
#include <regex.h>

#include "ctl/change.h"
#include "ctl/daemon.h"
#include "ctl/format.h"
#include "ctl/member.h"

static const struct format_column columns[] = {
	{'n', "NAME", "name", NULL},
	{'s', "STATE", "state", NULL},
	{'t', "TYPE", "type", NULL},
	{'P', "PROFILES", "profiles", NULL},
	{'m', "MATCH", "match", NULL},
	{'r', "READY", "ready", NULL},
	{'c', "CONNECTIONS", "connections", NULL},
	{'d', "TREE", "tree", "in_use"},
	{'q', "REQUESTS", "requests", NULL},
};

enum {
	MAX_COLUMNS = 16
};

/* "cgroup /path", "mount", "bound /path" or "": how the instance is recognised, of a record or a summary. */
static json_t *match_of(const json_t *from)
{
	const json_t *match = json_object_get(from, "match");
	const char *cgroup = json_string_value(json_object_get(match, "cgroup"));
	const char *binding =
		json_string_value(json_object_get(json_object_get(from, "binding"), "cgroup"));

	if (cgroup)
		return json_string(cgroup);
	if (json_is_true(json_object_get(match, "mount")))
		return json_string("mount");
	return binding ? json_sprintf("%s (bound)", binding) : json_string("");
}

/* The daemon's summary as a row: the state in capitals, as lxc prints it. */
static json_t *row_of_summary(json_t *summary)
{
	const char *state = json_string_value(json_object_get(summary, "state"));
	_cleanup_(freep) char *capitals = strdup(state ? state : "?");
	json_t *row = json_copy(summary);

	for (char *p = capitals; p && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	if (!capitals || !row || json_object_set_new(row, "state", json_string(capitals)) < 0 ||
	    json_object_set_new(row, "match", match_of(summary)) < 0) {
		json_decref(row);
		return NULL;
	}
	return row;
}

/* A record as the store has it; who runs is not known without the daemon. */
static json_t *row_of_record(struct change *c, const char *name)
{
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *path = NULL;
	json_auto_t *record = NULL;
	const char *type;

	if (edit_load(c->edit, RECORD_INSTANCE, name, &record, &path, NULL, &error) != 0)
		return json_pack("{s:s, s:s, s:s}", "name", name, "state", "REJECTED", "error",
				 error.data ? error.data : "cannot be read");
	type = json_string_value(json_object_get(record, "type"));
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "name", name, "state", "?", "type",
			 type ? type : "container", "source", path, "profiles",
			 member_profiles(record), "match", match_of(record));
}

static int compare_rows(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;

	return strcmp(json_string_value(json_object_get(*x, "name")),
		      json_string_value(json_object_get(*y, "name")));
}

/* A new array of the same rows, by name. NULL = no memory. */
static json_t *sorted(const json_t *rows)
{
	size_t n = json_array_size(rows);
	_cleanup_(freep) json_t **items = calloc(n + 1, sizeof(*items));
	json_t *result = json_array();

	if (!items || !result) {
		json_decref(result);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		items[i] = json_array_get(rows, i);
	qsort(items, n, sizeof(*items), compare_rows);
	for (size_t i = 0; i < n; i++)
		json_array_append(result, items[i]);
	return result;
}

/* Marks the rows of rejected records, and adds those of which nothing older is in force. */
static int add_rejected(json_t *rows, const json_t *rejected)
{
	size_t i, j;
	json_t *item, *row;

	json_array_foreach (rejected, i, item) {
		const char *kind = json_string_value(json_object_get(item, "kind"));
		const char *name = json_string_value(json_object_get(item, "name"));
		json_t *found = NULL;

		if (!name || (kind && streq(kind, "profile")))
			continue;
		json_array_foreach (rows, j, row) {
			if (streq(json_string_value(json_object_get(row, "name")), name))
				found = row;
		}
		if (!found && (json_array_append_new(rows, json_pack("{s:s}", "name", name)) < 0 ||
			       !(found = json_array_get(rows, json_array_size(rows) - 1))))
			return -ENOMEM;
		json_object_set_new(found, "state", json_string("REJECTED"));
		json_object_set(found, "error", json_object_get(item, "error"));
		json_object_set(found, "source", json_object_get(item, "file"));
	}
	return 0;
}

/* Rows from the daemon. Returns 0 or a DAEMON_E_* code. */
static int rows_of_daemon(const struct call *c, json_t *rows)
{
	json_auto_t *summaries = NULL, *rejected = NULL;
	size_t i;
	json_t *summary;
	int r = daemon_get(c->context, c->command->name, "/1.0/instances", &summaries);

	if (r == 0)
		r = daemon_get(c->context, c->command->name, "/1.0/rejected", &rejected);
	if (r != 0)
		return r;
	json_array_foreach (summaries, i, summary) {
		if (!json_is_string(json_object_get(summary, "name")) ||
		    json_array_append_new(rows, row_of_summary(summary)) < 0)
			return DAEMON_E_FAILED;
	}
	return add_rejected(rows, rejected) < 0 ? DAEMON_E_FAILED : 0;
}

static int rows_of_store(const struct call *c, json_t *rows)
{
	_cleanup_(change_finish) struct change change = {0};
	char **names = NULL;
	size_t n = 0;
	int r = change_open(&change, c->context, false);

	if (r != 0)
		return r;
	r = edit_names(change.edit, RECORD_INSTANCE, &names, &n);
	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(rows, row_of_record(&change, names[i])) < 0)
			r = -ENOMEM;
		free(names[i]);
	}
	free(names);
	return r < 0 ? say_errno(c->command->name, r, "cannot read the store") : 0;
}

/* Every row there is, sorted; a note says so when no daemon was asked. NULL after saying why. */
static json_t *all_rows(const struct call *c, bool *ret_is_live)
{
	json_auto_t *rows = json_array();
	json_t *result;
	int r = rows ? rows_of_daemon(c, rows) : DAEMON_E_FAILED;

	*ret_is_live = r == 0;
	if (r == DAEMON_E_ABSENT) {
		daemon_say_absent(c->context, SAY_DONE, c->command->name, "states are not known");
		r = rows_of_store(c, rows);
	}
	if (r != 0)
		return NULL;
	result = sorted(rows);
	if (!result)
		say_errno(c->command->name, -ENOMEM, "cannot list");
	return result;
}

/* Removes the rows that lxc's filter would: a name's beginning, or a regular expression for all of it. */
static int filter_rows(const struct call *c, json_t *rows)
{
	const char *filter = c->n_operands ? c->operands[0] : "";
	_cleanup_(freep) char *pattern = NULL;
	regex_t regex;

	if (asprintf(&pattern, "^(%s)", filter) < 0) {
		pattern = NULL;
		return say_errno(c->command->name, -ENOMEM, "cannot filter");
	}
	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return command_misused(c, "the filter is not a regular expression");
	for (size_t i = json_array_size(rows); i-- > 0;) {
		const json_t *name = json_object_get(json_array_get(rows, i), "name");

		if (regexec(&regex, json_string_value(name), 0, NULL, 0) != 0)
			json_array_remove(rows, i);
	}
	regfree(&regex);
	return 0;
}

static int choose_columns(const struct call *c, const struct format_column **ret, size_t *ret_n)
{
	const char *letters = command_value(c, "columns");
	size_t n = 0;

	for (letters = letters ? letters : "nstmrd"; *letters; letters++) {
		const struct format_column *found = NULL;

		if (*letters == ',')
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
			if (columns[i].letter == *letters)
				found = &columns[i];
		}
		if (!found)
			return command_misused(c, "no column is called \"%c\"", *letters);
		if (n == MAX_COLUMNS)
			return command_misused(c, "too many columns");
		ret[n++] = found;
	}
	*ret_n = n;
	return n ? 0 : command_misused(c, "no columns");
}

static int list(const struct call *c)
{
	const struct format_column *chosen[MAX_COLUMNS];
	json_auto_t *rows = NULL;
	enum format format;
	bool is_live;
	size_t n;
	int r;

	if (format_parse(command_value(c, "format"), &format) < 0)
		return command_misused(c, "the format is none of table, json, yaml and csv");
	r = choose_columns(c, chosen, &n);
	if (r != 0)
		return r;
	rows = all_rows(c, &is_live);
	if (!rows)
		return SAY_REFUSED;
	r = filter_rows(c, rows);
	if (r != 0)
		return r;
	r = format_rows(stdout, format, rows, chosen, n);
	return r < 0 ? say_errno(c->command->name, r, "cannot list") : SAY_DONE;
}

static int info(const struct call *c)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *rows = all_rows(c, &(bool){false});
	size_t i;
	json_t *row;
	int r;

	if (!rows)
		return SAY_REFUSED;
	json_array_foreach (rows, i, row) {
		if (!streq(json_string_value(json_object_get(row, "name")), c->operands[0]))
			continue;
		r = format_yaml(stdout, row);
		return r < 0 ? say_errno(c->operands[0], r, "cannot print it") : SAY_DONE;
	}
	/* Says that there is none, with what was likely meant. */
	r = change_begin(&change, c->context, RECORD_INSTANCE, c->operands[0], CHANGE_LOOK);
	return r != 0 ? r
		      : say(SAY_REFUSED, c->operands[0],
			    "the daemon does not have it; does it use this --state-dir?");
}

static const struct command_option list_options[] = {
	{'f', "format", "FORMAT", "table, json, yaml or csv"},
	{'c', "columns", "COLUMNS",
	 "n name, s state, t type, P profiles, m match, r ready, c connections, d whether its tree is "
	 "in use, q requests on the socket; default nstmrd"},
};

static const struct command commands[] = {
	{COMMAND("list", "[FILTER]", 0, 1, OPERANDS_OTHER, list,
		 "List the instances, all or those whose names begin so or match so"),
	 .alias = "ls", COMMAND_OPTIONS(list_options)},
	{COMMAND(
		"info", "NAME", 1, 1, OPERANDS_INSTANCES, info,
		"Print what is known of an instance: state, match, counters, why it was rejected")},
};

struct command_group cmd_list_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
