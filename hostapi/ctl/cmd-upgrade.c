/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * upgrade: has the daemon serve with the program that is on disk now
 *
 * The keeper counts upgrades, done and failed; the worker, whichever it is, tells the counts.
 */
#include "ctl/cmd.h"

#include "base/sock.h"
#include "ctl/daemon.h"
#include "ctl/follow.h"
#include "ctl/say.h"

#define TIMEOUT_US (3ULL * 60 * 1000 * 1000) /* longer than a worker takes to serve, or to fail */

struct upgrade {
	const struct call *c;
	struct follow events, question;
	uint64_t deadline_us;
	json_int_t done, failed; /* before */
	char *version;
};

static void upgrade_finish(struct upgrade *u)
{
	follow_finish(&u->events);
	follow_finish(&u->question);
	free(u->version);
}

static json_int_t count_of(const json_t *status, const char *member)
{
	return json_integer_value(json_object_get(json_object_get(status, "upgrades"), member));
}

static const char *version_of(const json_t *status)
{
	return json_string_value(json_object_get(status, "version")) ?: "unknown";
}

/* What is there before. Returns 0 or a FOLLOW_E_* code. */
static int remember(struct upgrade *u)
{
	json_auto_t *status = NULL;
	int r = follow_json(&u->question, u->deadline_us, &status);

	if (r != 0)
		return r;
	u->done = count_of(status, "done");
	u->failed = count_of(status, "failed");
	u->version = strdup(version_of(status));
	return u->version ? 0 : FOLLOW_E_FAILED;
}

/* Looks what has become of it. Returns an exit status, or -1 to go on waiting; a FOLLOW_E_* code in *ret. */
static int look(struct upgrade *u, int *ret)
{
	json_auto_t *status = NULL;
	const char *why;

	*ret = follow_json(&u->question, u->deadline_us, &status);
	if (*ret != 0)
		return -1;
	if (count_of(status, "done") != u->done) {
		printf("Upgraded from version %s to %s\n", u->version, version_of(status));
		return SAY_DONE;
	}
	if (count_of(status, "failed") == u->failed)
		return -1;
	why = json_string_value(
		json_object_get(json_object_get(status, "upgrades"), "last_failure"));
	return say(SAY_REFUSED, u->c->command->name,
		   "not upgraded, version %s goes on: %s; see the daemon's log", version_of(status),
		   why ?: "unknown");
}

/*
 * Until it is known what has become of it. The stream of events ends with the worker that sends it; a new one is
 * open before the next look, so nothing is missed. Returns an exit status.
 */
static int await(struct upgrade *u)
{
	int r = 0, verdict = -1;
	char *line;
	size_t n;

	while (verdict < 0) {
		if (r == 0)
			r = follow_next(&u->events, u->deadline_us, &line, &n);
		if (r == FOLLOW_E_ENDED)
			r = follow_reopen(&u->events, u->deadline_us);
		if (r == 0)
			verdict = look(u, &r);
		if (r != 0 && r != FOLLOW_E_ENDED)
			return follow_fail(&u->events, r,
					   "it is not known what became of the upgrade");
	}
	return verdict;
}

static int upgrade(const struct call *c)
{
	const char *name = c->command->name;
	const struct follow follow = {c->context, name, "/1.0/status", -1, -1, NULL};
	_cleanup_(upgrade_finish) struct upgrade u = {c, follow, follow, now_us() + TIMEOUT_US};
	_cleanup_(httpc_reply_finish) struct httpc_reply reply = {0};
	int r;

	u.events.target = "/1.0/events?type=lifecycle";
	r = follow_open(&u.events, u.deadline_us);
	if (r == 0)
		r = remember(&u);
	if (r != 0)
		return follow_fail(&u.events, r, "cannot upgrade");
	r = daemon_request(c->context, name, "POST", "/1.0/upgrade", NULL, &reply);
	if (r == DAEMON_E_ABSENT)
		return daemon_say_absent(c->context, SAY_REFUSED, name, "cannot upgrade");
	if (r == 0 && reply.status == 404)
		return say(SAY_REFUSED, name,
			   "the daemon does not know this; is it of another version?");
	return r != 0 ? SAY_REFUSED : await(&u);
}

static const struct command commands[] = {
	{COMMAND("upgrade", "", 0, 0, OPERANDS_OTHER, upgrade,
		 "Have the daemon serve with the program that is on disk now; guests do not "
		 "notice")},
};

struct command_group cmd_upgrade_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
