/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See check.h: one guest's part, in the order in which things must be right for it to see anything
 */
#include "ctl/check.h"

#include "base/text.h"
#include "core/cgroup.h"
#include "core/process.h"
#include "ctl/change.h"
#include "ctl/daemon.h"
#include "ctl/member.h"
#include "ctl/place.h"

/* Is there a record, and what does a guest see of it. */
static bool check_record(struct check_run *run, struct change *change, const char *name)
{
	static const struct {
		const char *key, *means;
	} switches[] = {
		{"security.devlxd", "the guest gets 403"},
		{"security.devlxd.socket", "the guest gets 403 on the socket, its files stay"},
	};
	json_auto_t *config = NULL;
	const char *key;
	json_t *value;
	size_t n_seen = 0;

	if (change_begin(change, run->context, RECORD_INSTANCE, name, CHANGE_LOOK) != 0 ||
	    !(config = change_expanded(change, "config"))) {
		check_fail(run, "no record of %s that can be used; create or correct it", name);
		return false;
	}
	check_ok(run, "its record is %s", change->path);
	if (change_check_profiles(change, change->record, NULL) != 0)
		check_fail(run, "it uses a profile that is missing");
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		value = json_object_get(config, switches[i].key);
		if (json_is_false(value) ||
		    (json_is_string(value) && text_to_bool(json_string_value(value)) == 0))
			check_fail(run, "%s is off, %s; devlxdfs config unset %s %s",
				   switches[i].key, switches[i].means, name, switches[i].key);
	}
	json_object_foreach (config, key, value)
		n_seen += text_has_prefix(key, "user.") || text_has_prefix(key, "cloud-init.");
	if (n_seen == 0)
		check_note(run,
			   "it has no user. or cloud-init. key, so its guest sees none; "
			   "devlxdfs config set %s user.KEY=VALUE",
			   name);
	else
		check_ok(run, "keys that its guest sees: %zu", n_seen);
	return true;
}

/* Asks for the summary of what is in force. */
static bool check_in_force(struct check_run *run, const char *name, bool has_record, json_t **ret)
{
	_cleanup_(freep) char *target = NULL;
	int r;

	if (asprintf(&target, "/1.0/instances/%s", name) < 0) {
		target = NULL;
		return false;
	}
	r = daemon_get(run->context, "check", target, ret);
	if (r == 0)
		check_ok(run, "it is in force");
	else if (r == DAEMON_E_ABSENT)
		check_fail(run, DAEMON_ABSENT, run->context->run_dir);
	else if (r == DAEMON_E_NOT_FOUND && has_record)
		check_fail(run, "it is not in force; does the daemon use this --conf-dir and "
				"--state-dir?");
	else if (r != DAEMON_E_NOT_FOUND)
		check_fail(run, "the daemon does not say whether it is in force; see its log");
	return r == 0;
}

static void check_conflicts(struct check_run *run, const json_t *summary)
{
	size_t i;
	json_t *item;

	json_array_foreach (json_object_get(summary, "conflict"), i, item) {
		const char *other = json_string_value(json_object_get(item, "instance"));
		const char *kind = json_string_value(json_object_get(item, "kind"));
		const char *path = json_string_value(json_object_get(item, "path"));

		check_fail(run,
			   "%s claims the cgroup %s too, by its %s, so neither is believed; "
			   "change the match of one of them",
			   other ? other : "another", path ? path : "?", kind ? kind : "record");
	}
}

/* The guest's first process: who its root is, and what it finds at its /dev/lxd. */
static void check_process(struct check_run *run, const json_t *summary, pid_t pid)
{
	const json_t *root = json_object_get(json_object_get(summary, "root"), "uid");
	enum place place = place_of(pid, run->context->run_dir);
	uid_t uid;

	if (json_is_integer(root))
		check_ok(run, "its root is host uid %" JSON_INTEGER_FORMAT ", as the record says",
			 json_integer_value(root));
	else if (process_root_uid(pid, &uid) == 0 && uid != PROCESS_NO_UID)
		check_ok(run, "its root is host uid %u", uid);
	else
		check_fail(run,
			   "the host uid of its root cannot be read from process %d; set root: "
			   "devlxdfs config edit",
			   (int)pid);
	if (place == PLACE_OURS)
		check_ok(run, "at its /dev/lxd/sock is %s", place_explain(place));
	else if (place == PLACE_UNKNOWN)
		check_note(run, "what is at its /dev/lxd/sock is %s", place_explain(place));
	else
		check_fail(run, "at its /dev/lxd/sock is %s", place_explain(place));
}

/* Which cgroup it is recognised by, and whether a guest runs there. */
static void check_match(struct check_run *run, const char *name, const json_t *summary)
{
	const json_t *match = json_object_get(summary, "match");
	const char *path =
		json_string_value(json_object_get(json_object_get(summary, "binding"), "cgroup"));
	_cleanup_(closep) int root_fd = cgroup_open_root(NULL);
	uint64_t start;
	pid_t pid;
	int r;

	if (!path)
		path = json_string_value(json_object_get(match, "cgroup"));
	if (!path && json_is_true(json_object_get(match, "mount")))
		return check_note(run, "it is recognised by its mount, which takes effect with the "
				       "tree; the socket does not know it");
	if (!path)
		return check_fail(run,
				  "nothing says which processes it is; set match.cgroup: "
				  "devlxdfs config edit %s",
				  name);
	if (root_fd < 0)
		return check_fail(run,
				  "no cgroup2 hierarchy, no guest can be recognised; see devlxdfs "
				  "check");
	r = cgroup_first_process(root_fd, path, &pid, &start);
	if (r < 0)
		return check_fail(run,
				  "no process in its cgroup %s; start the guest, or ask for "
				  "its real cgroup: devlxdfs whois PID",
				  path);
	check_ok(run, "its cgroup %s runs, first process %d", path, (int)pid);
	check_process(run, summary, pid);
}

static void check_counters(struct check_run *run, const json_t *summary)
{
	json_int_t requests = json_integer_value(json_object_get(summary, "requests"));
	json_int_t refused = json_integer_value(json_object_get(summary, "refused"));
	json_int_t forbidden = json_integer_value(json_object_get(summary, "forbidden"));
	json_int_t not_root = json_integer_value(json_object_get(summary, "not_root"));

	if (requests > 0)
		check_ok(run, "requests since the daemon started: %" JSON_INTEGER_FORMAT, requests);
	else
		check_note(run,
			   "it has never asked since the daemon started; try in the guest: curl "
			   "--unix-socket /dev/lxd/sock http://lxd/1.0");
	if (refused > 0)
		check_note(run,
			   "connections or requests over its limit: %" JSON_INTEGER_FORMAT
			   "; see devlxdfsd.conf(5)",
			   refused);
	if (forbidden > 0)
		check_note(run, "requests answered 403: %" JSON_INTEGER_FORMAT, forbidden);
	if (not_root > 0)
		check_note(
			run,
			"connections of others than its root, answered 401: %" JSON_INTEGER_FORMAT
			"; ask as root in the guest",
			not_root);
}

void check_guest(struct check_run *run, const char *name)
{
	_cleanup_(change_finish) struct change change = {0};
	json_auto_t *summary = NULL;
	bool has_record = check_record(run, &change, name), is_in_force;

	if (!text_is_name(name))
		return;
	is_in_force = check_in_force(run, name, has_record, &summary);
	check_rejected(run, name);
	if (!is_in_force)
		return;
	check_conflicts(run, summary);
	check_match(run, name, summary);
	check_counters(run, summary);
}
