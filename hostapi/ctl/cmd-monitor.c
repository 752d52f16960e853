/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor: what happens, as it happens
 *
 * Output is written line by line past stdio, so that a reader has each at once, and that one who has gone away
 * is no failure. It goes on when the daemon's worker was replaced.
 */
#include "ctl/cmd.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/buf.h"
#include "core/event.h"
#include "ctl/follow.h"
#include "ctl/say.h"

#define PIPE_WRITE_BYTES 4096 /* what a pipe that poll(2) calls writable takes at once */

static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

/* The one of the @n words in @list that is no type of event, or NULL. */
static const char *unknown_type(const char *list, size_t *ret_n)
{
	for (;; list += *ret_n + 1) {
		bool is_known = false;

		*ret_n = strcspn(list, ",");
		for (enum event_type t = 0; t < _EVENT_TYPE_N; t++)
			is_known |= strlen(event_type_name(t)) == *ret_n &&
				    memcmp(event_type_name(t), list, *ret_n) == 0;
		if (!is_known)
			return list;
		if (!list[*ret_n])
			return NULL;
	}
}

/* Puts "type=..." of all --type. Returns 0, or an exit status having said why. */
static int put_types(const struct call *c, struct buf *target)
{
	const char *list, *before = "?type=";
	size_t i = 0, n;
	int r = 0;

	while (r == 0 && (list = command_next(c, "type", &i))) {
		const char *unknown = unknown_type(list, &n);

		if (unknown)
			return command_misused(c,
					       "the type \"%.*s\" is none of config, device and "
					       "lifecycle",
					       (int)n, unknown);
		r = buf_printf(target, "%s%s", before, list);
		before = ",";
	}
	return r < 0 ? say_errno(c->command->name, r, "cannot begin") : 0;
}

/* SIGINT and SIGTERM become readable. Returns the descriptor or -errno. */
static int catch_signals(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Writes all of it, unless told to end. Returns 0, FOLLOW_E_STOPPED or -errno. */
static int print_bytes(const struct follow *f, const char *bytes, size_t n)
{
	while (n > 0) {
		struct pollfd fds[] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
				       {.fd = f->stop_fd, .events = POLLIN}};
		ssize_t k;

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return FOLLOW_E_STOPPED;
		k = write(STDOUT_FILENO, bytes, n < PIPE_WRITE_BYTES ? n : PIPE_WRITE_BYTES);
		if (k < 0 && errno == EPIPE)
			return FOLLOW_E_STOPPED;
		if (k < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		bytes += k > 0 ? k : 0;
		n -= k > 0 ? (size_t)k : 0;
	}
	return 0;
}

/* " LABEL" and the value as JSON has it, in one line. */
static int put_value(struct buf *b, const char *label, const json_t *value)
{
	_cleanup_(freep) char *text =
		value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	return text ? buf_printf(b, "%s%s", label, text) : 0;
}

static int put_pretty(struct buf *b, const json_t *event, const char *instance)
{
	const json_t *metadata = json_object_get(event, "metadata");
	const char *type = text_of(event, "type"), *timestamp = text_of(event, "timestamp");
	const char *action = text_of(metadata, "action"), *name = text_of(metadata, "name");
	const char *reason = text_of(json_object_get(metadata, "context"), "reason");
	int r = buf_printf(b, "%s %s", timestamp ? timestamp : "-", instance ? instance : "-");

	if (r == 0 && type && streq(type, "lifecycle"))
		r = buf_printf(b, " %s%s%s", action ? action : "?", reason ? ": " : "",
			       reason ? reason : "");
	else if (r == 0 && type && streq(type, "device"))
		r = buf_printf(b, " device %s %s", name ? name : "?", action ? action : "?")
			    ?: put_value(b, " ", json_object_get(metadata, "config"));
	else if (r == 0 && type && streq(type, "config"))
		r = buf_printf(b, " config %s", text_of(metadata, "key") ?: "?") ?:
		    put_value(b, " ", json_object_get(metadata, "old_value")) ?:
		    put_value(b, " -> ", json_object_get(metadata, "value"));
	else if (r == 0)
		r = buf_printf(b, " %s", type ? type : "?") ?: put_value(b, " ", metadata);
	for (size_t i = 0; r == 0 && i < b->len; i++)
		if ((unsigned char)b->data[i] < ' ' || b->data[i] == 0x7f)
			b->data[i] = '?'; /* for a terminal */
	return r;
}

static bool is_wanted(const struct call *c, const json_t *event, const char *instance)
{
	const char *type = text_of(event, "type");

	/* That something is lost concerns everybody. */
	if (c->n_operands == 0 || (type && streq(type, "lost")))
		return true;
	for (size_t i = 0; i < c->n_operands; i++)
		if (instance && streq(instance, c->operands[i]))
			return true;
	return false;
}

/* Returns 0, FOLLOW_E_STOPPED or -errno. */
static int print_event(const struct call *c, const struct follow *f, const char *line, size_t n)
{
	_cleanup_(buf_finish) struct buf text = {0};
	json_auto_t *event = json_loadb(line, n, JSON_ALLOW_NUL, NULL);
	const char *instance = text_of(event, "instance");
	int r;

	if (!is_wanted(c, event, instance))
		return 0;
	if (command_has(c, "pretty") && event)
		r = put_pretty(&text, event, instance);
	else
		r = buf_append(&text, line, n);
	if (r == 0)
		r = buf_putc(&text, '\n');
	return r < 0 ? r : print_bytes(f, text.data, text.len);
}

/* Until told to end. Returns an exit status. */
static int print_events(const struct call *c, struct follow *f)
{
	int r = follow_open(f, FOLLOW_FOREVER);

	if (r == FOLLOW_E_ENDED)
		r = follow_reopen(f, follow_patience(FOLLOW_FOREVER));
	if (r != 0 && r != FOLLOW_E_STOPPED)
		return follow_fail(f, r, "nobody tells");
	while (r == 0) {
		char *line;
		size_t n;

		r = follow_next(f, FOLLOW_FOREVER, &line, &n);
		if (r == 0)
			r = print_event(c, f, line, n);
		if (r != FOLLOW_E_ENDED)
			continue;
		say(SAY_DONE, c->command->name,
		    "the daemon has ended the connection, so events may have been missed; "
		    "connecting again");
		r = follow_reopen(f, follow_patience(FOLLOW_FOREVER));
		if (r != 0 && r != FOLLOW_E_STOPPED)
			return follow_fail(f, r, "it has gone");
	}
	if (r < 0)
		return say_errno(c->command->name, r, "cannot print");
	return r == FOLLOW_E_STOPPED ? SAY_DONE : SAY_REFUSED;
}

static int monitor(const struct call *c)
{
	_cleanup_(buf_finish) struct buf target = {0};
	_cleanup_(closep) int stop_fd = -1;
	_cleanup_(follow_finish) struct follow f = {
		.context = c->context, .subject = c->command->name, .out_fd = STDOUT_FILENO};
	int r = buf_puts(&target, "/1.0/events");

	if (r < 0)
		return say_errno(c->command->name, r, "cannot begin");
	r = put_types(c, &target);
	if (r != 0)
		return r;
	if (command_has(c, "values"))
		r = buf_puts(&target, command_has(c, "type") ? "&values=1" : "?values=1");
	stop_fd = r < 0 ? r : catch_signals();
	if (stop_fd < 0)
		return say_errno(c->command->name, stop_fd, "cannot begin");
	f.stop_fd = stop_fd;
	f.target = target.data;
	return print_events(c, &f);
}

static const struct command_option monitor_options[] = {
	{'t', "type", "TYPE,...", "config, device, lifecycle; default all"},
	{0, "pretty", NULL, "one readable line for each"},
	{0, "values", NULL, "with the values of keys and the configuration of devices"},
};
static const struct command commands[] = {
	{COMMAND("monitor", "[NAME]...", 0, COMMAND_MANY, OPERANDS_INSTANCES, monitor,
		 "Print what happens to instances, as it happens"),
	 COMMAND_OPTIONS(monitor_options)},
};

struct command_group cmd_monitor_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
