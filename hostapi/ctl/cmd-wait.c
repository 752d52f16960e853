/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wait: until an instance is in a state
 *
 * Listens first and asks afterwards, and does so again when the daemon's worker was replaced: what happens
 * in between is in one or the other.
 */
#include "ctl/cmd.h"

#include <strings.h>

#include "base/buf.h"
#include "base/sock.h"
#include "base/text.h"
#include "ctl/follow.h"
#include "ctl/say.h"

#define TIMEOUT_MAX (366 * 24 * 3600)

static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

struct awaited {
	const char *name;   /* as LXD calls the state */
	const char *action; /* that brings it about */
};

static const struct awaited states[] = {
	{"Ready", "instance-ready"},
	{"Started", "instance-started"},
	{"Stopped", "instance-stopped"},
};

struct waiting {
	const struct call *c;
	const char *name;
	const struct awaited *state;
	uint64_t deadline_us;
	struct follow events, question;
};

/* Whether the summary says so. */
static bool is_in_state(const struct waiting *w, const json_t *summary)
{
	const char *state = text_of(summary, "state");

	if (w->state == &states[0])
		return json_is_true(json_object_get(summary, "ready"));
	return state && streq(state, w->state == &states[1] ? "Running" : "Stopped");
}

/* Returns an exit status, or -1 to go on waiting; a FOLLOW_E_* code of the connection in *ret. */
static int ask(struct waiting *w, int *ret)
{
	json_auto_t *summary = NULL;
	int r = follow_json(&w->question, w->deadline_us, &summary);

	*ret = 0;
	if (r == FOLLOW_E_NOT_FOUND)
		return say(SAY_REFUSED, w->name, "no such instance is in force");
	if (r == FOLLOW_E_FAILED)
		return SAY_REFUSED;
	*ret = r;
	if (r != 0)
		return -1;
	if (is_in_state(w, summary))
		return SAY_DONE;
	if (w->state != &states[0] &&
	    json_is_true(json_object_get(json_object_get(summary, "match"), "mount")))
		return say(SAY_REFUSED, w->name,
			   "it is recognised by its mount, so nobody sees it start and stop; wait "
			   "for Ready");
	return -1;
}

/* What the event says. Returns an exit status, -1 to go on waiting, or -2 to ask again. */
static int judge(const struct waiting *w, const char *line, size_t n)
{
	json_auto_t *event = json_loadb(line, n, JSON_ALLOW_NUL, NULL);
	const char *type = text_of(event, "type"), *instance = text_of(event, "instance");
	const char *action = text_of(json_object_get(event, "metadata"), "action");

	if (type && streq(type, "lost"))
		return -2;
	if (!instance || !action || !streq(instance, w->name))
		return -1;
	if (streq(action, w->state->action))
		return SAY_DONE;
	if (streq(action, "instance-deleted"))
		return say(SAY_REFUSED, w->name, "deleted while waiting for %s", w->state->name);
	return -1;
}

/* Listens, asks, listens: until the state is there or never will be. Returns an exit status. */
static int wait_for_state(struct waiting *w)
{
	int r = follow_open(&w->events, w->deadline_us), verdict = -2;

	for (;;) {
		char *line;
		size_t n;

		if (r == FOLLOW_E_ENDED) {
			uint64_t patience_us = follow_patience(w->deadline_us);

			r = follow_reopen(&w->events, patience_us);
			if (r == FOLLOW_E_TIMEOUT && patience_us < w->deadline_us)
				return follow_fail(&w->events, r, "it has gone");
			verdict = -2;
		}
		if (r == 0 && verdict == -2)
			verdict = ask(w, &r);
		if (r == 0 && verdict == -1)
			r = follow_next(&w->events, w->deadline_us, &line, &n);
		else if (r == 0)
			return verdict;
		if (r == 0)
			verdict = judge(w, line, n);
		else if (r == FOLLOW_E_TIMEOUT)
			return say(SAY_REFUSED, w->name, "not %s within %s seconds", w->state->name,
				   command_value(w->c, "timeout"));
		else if (r != FOLLOW_E_ENDED)
			return follow_fail(&w->events, r, "cannot wait");
		if (verdict >= 0)
			return verdict;
	}
}

static int wait_command(const struct call *c)
{
	const char *word = command_value(c, "state"), *timeout = command_value(c, "timeout");
	_cleanup_(buf_finish) struct buf target = {0};
	struct waiting w = {.c = c, .name = c->operands[0], .deadline_us = FOLLOW_FOREVER};
	uint64_t seconds;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (strcasecmp(word ? word : "Ready", states[i].name) == 0)
			w.state = &states[i];
	if (!w.state)
		return command_misused(c, "the state \"%s\" is none of Ready, Started and Stopped",
				       word);
	if (timeout && text_to_u64(timeout, 1, TIMEOUT_MAX, &seconds) < 0)
		return command_misused(c, "\"%s\" is no number of seconds", timeout);
	if (timeout)
		w.deadline_us = now_us() + seconds * 1000000;
	if (!text_is_name(w.name))
		return say(SAY_REFUSED, w.name, "this is no name of an instance");
	if (buf_printf(&target, "/1.0/instances/%s", w.name) < 0)
		return say_errno(c->command->name, -ENOMEM, "cannot begin");
	w.events = (struct follow){.context = c->context,
				   .subject = c->command->name,
				   .target = "/1.0/events?type=lifecycle",
				   .stop_fd = -1,
				   .out_fd = -1};
	w.question = w.events;
	w.question.target = target.data;
	r = wait_for_state(&w);
	follow_finish(&w.events);
	follow_finish(&w.question);
	return r;
}

static const struct command_option wait_options[] = {
	{0, "state", "STATE", "Ready, Started or Stopped; default Ready"},
	{0, "timeout", "SECONDS", "give up after so long; default never"},
};

static const struct command commands[] = {
	{COMMAND("wait", "NAME", 1, 1, OPERANDS_INSTANCES, wait_command,
		 "Wait until an instance is ready, has started or has stopped"),
	 COMMAND_OPTIONS(wait_options)},
};

struct command_group cmd_wait_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
