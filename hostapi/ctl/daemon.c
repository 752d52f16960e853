/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See daemon.h. The daemon's own words are passed on: it never quotes a value either. */
#include "ctl/daemon.h"

#include "base/buf.h"
#include "base/json.h"
#include "ctl/say.h"

static int sock_path(const struct context *context, struct buf *ret)
{
	return buf_printf(ret, "%s/admin.sock", context->run_dir);
}

int daemon_request(const struct context *context, const char *subject, const char *method,
		   const char *target, const char *body, struct httpc_reply *ret)
{
	_cleanup_(httpc_reply_finish) struct httpc_reply reply = {0};
	_cleanup_(buf_finish) struct buf path = {0};
	int r = sock_path(context, &path);

	if (r == 0)
		r = httpc_request(path.data, method, target, body, body ? strlen(body) : 0, &reply);
	if (r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR)
		return DAEMON_E_ABSENT;
	if (r < 0) {
		say_errno(subject, r, "cannot ask the daemon");
		return DAEMON_E_FAILED;
	}
	if (reply.status >= 400 && reply.status != 404) {
		say(SAY_REFUSED, subject, "the daemon answers %u: %.*s", reply.status,
		    (int)strcspn(reply.body, "\n"), reply.body);
		return DAEMON_E_FAILED;
	}
	*ret = reply;
	reply = (struct httpc_reply){0};
	return 0;
}

int daemon_get(const struct context *context, const char *subject, const char *target, json_t **ret)
{
	_cleanup_(httpc_reply_finish) struct httpc_reply reply = {0};
	json_t *json;
	int r = daemon_request(context, subject, "GET", target, NULL, &reply);

	if (r != 0)
		return r;
	if (reply.status == 404)
		return DAEMON_E_NOT_FOUND;
	json = json_loadb(reply.body, reply.body_len, JSON_DECODE_ANY, NULL);
	if (!json) {
		say(SAY_REFUSED, subject, "the daemon's answer to %s is not JSON", target);
		return DAEMON_E_FAILED;
	}
	*ret = json;
	return 0;
}

int daemon_say_absent(const struct context *context, int status, const char *subject,
		      const char *consequence)
{
	return say(status, subject, "%s: " DAEMON_ABSENT, consequence, context->run_dir);
}

/* One warning for each instance in the reply's "stalled"; an older daemon has none. */
static void warn_of_stalled(const struct httpc_reply *reply)
{
	json_auto_t *json = json_loadb(reply->body, reply->body_len, 0, NULL);
	size_t i;
	json_t *name;

	json_array_foreach (json_object_get(json, "stalled"), i, name) {
		if (json_is_string(name))
			say(SAY_DONE, json_string_value(name),
			    "its guest holds its directory, so it may still list what was there "
			    "before; new opens see the change");
	}
}

int daemon_load(const struct context *context, enum record_kind kind, const char *name,
		bool is_gone)
{
	_cleanup_(httpc_reply_finish) struct httpc_reply reply = {0};
	_cleanup_(buf_finish) struct buf target = {0};
	const char *done = is_gone ? "removed, not loaded" : "written, not loaded";
	char subject[SAY_SUBJECT_MAX];
	int r;

	say_subject(kind, name, subject);
	r = buf_printf(&target, "/1.0/%s/%s/load",
		       kind == RECORD_PROFILE ? "profiles" : "instances", name);
	if (r < 0)
		return say(SAY_NOT_LOADED, subject, "%s: out of memory", done);
	r = daemon_request(context, subject, "POST", target.data, NULL, &reply);
	if (r == DAEMON_E_ABSENT)
		return daemon_say_absent(context, SAY_NOT_LOADED, subject, done);
	if (r != 0)
		return say(SAY_NOT_LOADED, subject, "%s: what was in force before stays in force",
			   done);
	if (reply.status == 404 && !is_gone)
		return say(
			SAY_NOT_LOADED, subject,
			"written, but the daemon does not find it: does it use this --state-dir?");
	warn_of_stalled(&reply);
	return SAY_DONE;
}

int daemon_load_images(const struct context *context, const char *subject, const char *done)
{
	_cleanup_(httpc_reply_finish) struct httpc_reply reply = {0};
	_cleanup_(buf_finish) struct buf consequence = {0};
	int r = buf_printf(&consequence, "%s, not loaded", done);

	if (r < 0)
		return say(SAY_NOT_LOADED, subject, "out of memory");
	r = daemon_request(context, subject, "POST", "/1.0/images/load", NULL, &reply);
	if (r == DAEMON_E_ABSENT)
		return daemon_say_absent(context, SAY_NOT_LOADED, subject, consequence.data);
	if (r != 0)
		return say(SAY_NOT_LOADED, subject, "%s: what was in force before stays in force",
			   consequence.data);
	if (reply.status != 200)
		return say(SAY_NOT_LOADED, subject, "%s: the daemon knows no images; upgrade it",
			   consequence.data);
	warn_of_stalled(&reply);
	return SAY_DONE;
}
