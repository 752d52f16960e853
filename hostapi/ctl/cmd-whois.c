/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * whois: which instance a process is, step by step, as the daemon would decide it
 */
#include "ctl/cmd.h"

#include "base/text.h"
#include "ctl/daemon.h"
#include "ctl/format.h"
#include "ctl/place.h"
#include "ctl/say.h"

static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static const char *why_invalid(const char *kind)
{
	return kind && streq(kind, "match")
		       ? ", which does not count while it is bound to another cgroup"
		       : ", which is for an earlier cgroup of this path";
}

/* One cgroup of those tried, and who claims it. */
static void print_tried(const char *label, const json_t *level)
{
	const char *path = text_of(level, "path"), *separator = ": ";
	size_t i;
	json_t *claim;

	printf("%-10s %s", label, path ? path : "?");
	json_array_foreach (json_object_get(level, "claims"), i, claim) {
		const char *instance = text_of(claim, "instance"), *kind = text_of(claim, "kind");
		bool is_valid = !json_is_false(json_object_get(claim, "valid"));

		printf("%s%s, by its %s%s", separator, instance ? instance : "?",
		       kind ? kind : "record", is_valid ? "" : why_invalid(kind));
		separator = "; ";
	}
	puts(i == 0 ? ": nobody's" : "");
}

static void print_uids(const json_t *seen)
{
	const json_t *root = json_object_get(seen, "root"), *uid = json_object_get(seen, "uid");
	const json_t *root_uid = json_object_get(root, "uid");
	const char *source = text_of(root, "source"), *error = text_of(root, "error");

	if (json_is_integer(uid))
		printf("%-10s %" JSON_INTEGER_FORMAT "\n", "uid:", json_integer_value(uid));
	if (json_is_integer(root_uid))
		printf("%-10s %" JSON_INTEGER_FORMAT ", from its %s; only this uid is answered\n",
		       "root:", json_integer_value(root_uid), source ? source : "record");
	else if (root && !json_is_null(root))
		printf("%-10s not known: %s\n", "root:", error ? error : "no reason given");
}

/* The process; its own number when @pid is only a thread of it. */
static void print_process(const json_t *seen, pid_t pid)
{
	const json_t *process = json_object_get(seen, "process");

	if (json_is_integer(process) && json_integer_value(process) != pid)
		printf("%-10s %" JSON_INTEGER_FORMAT ", of which %d is a thread\n",
		       "process:", json_integer_value(process), (int)pid);
	else
		printf("%-10s %d\n", "process:", (int)pid);
}

/* What it has at its /dev/lxd; @instance is what it was recognised as, or NULL. */
static void print_place(const struct call *c, pid_t pid, const char *instance)
{
	const struct place place = place_of(pid, c->context->run_dir, instance);

	if (place.kind == PLACE_DIRECTORY && *place.instance)
		printf("%-10s the directory of %s in this daemon's tree\n",
		       "/dev/lxd:", place.instance);
	else
		printf("%-10s %s\n", "/dev/lxd:", place_explain(place.kind));
}

static void print_steps(const struct call *c, const json_t *seen, pid_t pid)
{
	const char *path = text_of(json_object_get(seen, "cgroup"), "path");
	const char *instance = text_of(seen, "instance"), *outcome = text_of(seen, "outcome");
	const char *reason = text_of(seen, "reason"), *remedy = text_of(seen, "remedy");
	size_t i;
	json_t *level;

	print_process(seen, pid);
	printf("%-10s %s\n", "cgroup:", path ? path : "not known");
	json_array_foreach (json_object_get(seen, "tried"), i, level)
		print_tried(i == 0 ? "tried:" : "", level);
	print_uids(seen);
	print_place(c, pid, instance);
	if (instance && outcome && streq(outcome, "recognised"))
		printf("It is %s. What it sees, and why: devlxdfs check %s\n", instance, instance);
	else if (instance)
		printf("It is a process of %s, but is not answered: %s.\n", instance,
		       reason ? reason : "no reason given");
	else
		printf("It is no instance: %s.\n", reason ? reason : "no reason given");
	if (remedy)
		printf("Remedy: %s\n", remedy);
}

static int whois(const struct call *c)
{
	const char *word = command_value(c, "format");
	json_auto_t *seen = NULL;
	char target[40];
	uint64_t pid;
	int r;

	if (word && !streq(word, "text") && !streq(word, "json"))
		return command_misused(c, "the format is none of text and json");
	if (text_to_u64(c->operands[0], 1, 1U << 22, &pid) < 0)
		return command_misused(c, "\"%s\" is not a process id", c->operands[0]);
	snprintf(target, sizeof(target), "/1.0/whois/%u", (unsigned)pid);
	r = daemon_get(c->context, c->command->name, target, &seen);
	if (r == DAEMON_E_ABSENT)
		return daemon_say_absent(c->context, SAY_REFUSED, c->command->name,
					 "nobody decides");
	if (r == DAEMON_E_NOT_FOUND)
		return say(SAY_REFUSED, c->command->name,
			   "the daemon does not know whois; is it of another version?");
	if (r != 0)
		return SAY_REFUSED;
	if (json_is_false(json_object_get(seen, "exists")))
		return say(SAY_REFUSED, c->operands[0],
			   "no such process; give the id that the host's ps shows");
	if (word && streq(word, "json")) {
		r = format_json(stdout, seen);
		return r < 0 ? say_errno(c->command->name, r, "cannot print it") : SAY_DONE;
	}
	print_steps(c, seen, (pid_t)pid);
	return SAY_DONE;
}

static const struct command_option options[] = {
	{'f', "format", "FORMAT", "text or json"},
};

static const struct command commands[] = {
	{COMMAND("whois", "PID", 1, 1, OPERANDS_OTHER, whois,
		 "Say which instance a process is, step by step, and what to do if it is none"),
	 COMMAND_OPTIONS(options)},
};

struct command_group cmd_whois_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
