/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status, metrics, query: the daemon's own words
 */
#include "ctl/cmd.h"

#include "ctl/daemon.h"
#include "ctl/format.h"
#include "ctl/say.h"

/* Ends a command that needs the daemon: @r is what daemon_*() returned, not 0. */
static int fail(const struct call *c, int r)
{
	if (r == DAEMON_E_ABSENT)
		return daemon_say_absent(c->context, SAY_REFUSED, c->command->name, "cannot ask");
	if (r == DAEMON_E_NOT_FOUND)
		return say(SAY_REFUSED, c->command->name,
			   "the daemon does not know this; is it of another version?");
	return SAY_REFUSED;
}

/* Which instances are connected now: name -> number. */
static json_t *connections_of(const json_t *instances)
{
	json_t *connections = json_object(), *instance;
	size_t i;

	json_array_foreach (instances, i, instance) {
		const char *name = json_string_value(json_object_get(instance, "name"));
		json_t *n = json_object_get(instance, "connections");

		if (name && json_integer_value(n) > 0)
			json_object_set(connections, name, n);
	}
	return connections;
}

static int status(const struct call *c)
{
	json_auto_t *status = NULL, *instances = NULL, *rejected = NULL;
	const char *word = command_value(c, "format");
	enum format format;
	int r;

	if (format_parse(word ? word : "yaml", &format) < 0 || format == FORMAT_CSV ||
	    format == FORMAT_TABLE)
		return command_misused(c, "the format is none of yaml and json");
	r = daemon_get(c->context, c->command->name, "/1.0/status", &status);
	if (r == 0)
		r = daemon_get(c->context, c->command->name, "/1.0/instances", &instances);
	if (r == 0)
		r = daemon_get(c->context, c->command->name, "/1.0/rejected", &rejected);
	if (r != 0)
		return fail(c, r);
	json_object_set_new(status, "connections", connections_of(instances));
	json_object_set(status, "rejected", rejected);
	r = format == FORMAT_JSON ? format_json(stdout, status) : format_yaml(stdout, status);
	return r < 0 ? say_errno(c->command->name, r, "cannot print it") : SAY_DONE;
}

/* Asks, and prints the body as it is. */
static int print_reply(const struct call *c, const char *method, const char *target)
{
	_cleanup_(httpc_reply_finish) struct httpc_reply reply = {0};
	int r = daemon_request(c->context, c->command->name, method, target,
			       command_value(c, "data"), &reply);

	if (r != 0)
		return fail(c, r);
	if (reply.status == 404)
		return say(SAY_REFUSED, c->command->name, "the daemon answers 404: %.*s",
			   (int)strcspn(reply.body, "\n"), reply.body);
	fwrite(reply.body, 1, reply.body_len, stdout);
	if (reply.body_len && reply.body[reply.body_len - 1] != '\n')
		putchar('\n');
	return SAY_DONE;
}

static int metrics(const struct call *c)
{
	return print_reply(c, "GET", "/1.0/metrics");
}

static int query(const struct call *c)
{
	const char *method = command_value(c, "request");

	if (*c->operands[0] != '/' || c->operands[0][strcspn(c->operands[0], " \r\n")])
		return command_misused(c, "a path begins with \"/\" and has no spaces");
	if (method && (!*method || method[strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]))
		return command_misused(c, "a method is in capital letters");
	return print_reply(c, method ? method : "GET", c->operands[0]);
}

static const struct command_option status_options[] = {
	{'f', "format", "FORMAT", "yaml or json"},
};
static const struct command_option query_options[] = {
	{'X', "request", "METHOD", "GET, POST, ...; default GET"},
	{'d', "data", "DATA", "the request's body"},
};

static const struct command commands[] = {
	{COMMAND("status", "", 0, 0, OPERANDS_OTHER, status,
		 "Print the daemon's version, uptime, instances, open connections, counters and "
		 "rejected records"),
	 COMMAND_OPTIONS(status_options)},
	{COMMAND("metrics", "", 0, 0, OPERANDS_OTHER, metrics,
		 "Print the daemon's counters as OpenMetrics text")},
	{COMMAND("query", "PATH", 1, 1, OPERANDS_OTHER, query,
		 "Send a request to the daemon's admin socket and print the reply"),
	 COMMAND_OPTIONS(query_options)},
};

struct command_group cmd_daemon_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
