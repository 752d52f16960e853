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
#include "ctl/starter.h"

struct subject {
	const char *name;
	bool has_record, is_socket_off; /* as its record says */
	json_t *summary;                /* of what is in force */
};

static bool is_off(const json_t *config, const char *key)
{
	const json_t *value = json_object_get(config, key);

	return json_is_false(value) ||
	       (json_is_string(value) && text_to_bool(json_string_value(value)) == 0);
}

/* Is there a record, and what does a guest see of it. */
static bool check_record(struct check_run *run, struct change *change, struct subject *s)
{
	json_auto_t *config = NULL;
	const char *name = s->name, *key;
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
	if (is_off(config, "security.devlxd"))
		check_fail(
			run,
			"security.devlxd is off, the guest gets 403 and finds an empty directory; "
			"devlxdfs config unset %s security.devlxd",
			name);
	s->is_socket_off = is_off(config, "security.devlxd.socket");
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

/* Files alone can be what is wanted, if there are any. */
static void check_socket_switch(struct check_run *run, const struct subject *s)
{
	if (!s->is_socket_off)
		return;
	if (json_is_object(json_object_get(s->summary, "tree")))
		check_note(run,
			   "security.devlxd.socket is off, the guest has its files and no socket; "
			   "devlxdfs config unset %s security.devlxd.socket",
			   s->name);
	else
		check_fail(run,
			   "security.devlxd.socket is off, the guest gets 403 on the socket, its "
			   "files stay; devlxdfs config unset %s security.devlxd.socket",
			   s->name);
}

/* Asks for the summary of what is in force. */
static bool check_in_force(struct check_run *run, struct subject *s)
{
	_cleanup_(freep) char *target = NULL;
	int r;

	if (asprintf(&target, "/1.0/instances/%s", s->name) < 0) {
		target = NULL;
		return false;
	}
	r = daemon_get(run->context, "check", target, &s->summary);
	if (r == 0)
		check_ok(run, "it is in force");
	else if (r == DAEMON_E_ABSENT)
		check_fail(run, DAEMON_ABSENT, run->context->run_dir);
	else if (r == DAEMON_E_NOT_FOUND && s->has_record)
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

static bool is_tree_in_use(const struct subject *s)
{
	const json_t *tree = json_object_get(s->summary, "tree");

	return json_is_true(json_object_get(tree, "in_use"));
}

/* What the guest finds at its /dev/lxd. */
static void check_place(struct check_run *run, const struct subject *s, pid_t pid)
{
	const char *run_dir = run->context->run_dir;
	const struct place place = place_of(pid, run_dir, s->name);
	bool is_absent = place.kind == PLACE_OTHER || place.kind == PLACE_NOTHING;

	if (place.kind == PLACE_DIRECTORY && streq(place.instance, s->name))
		check_ok(run, "at its /dev/lxd is its directory of the tree");
	else if (place.kind == PLACE_DIRECTORY)
		check_fail(run,
			   "at its /dev/lxd is the directory of %s, not its own; bind-mount "
			   "%s/tree/%s there",
			   *place.instance ? place.instance : "another instance", run_dir, s->name);
	else if (place.kind == PLACE_SOCKET && s->is_socket_off)
		check_fail(
			run,
			"at its /dev/lxd/sock is %s, which security.devlxd.socket has switched off; "
			"for its files bind-mount %s/tree/%s to its /dev/lxd",
			place_explain(place.kind), run_dir, s->name);
	else if (place.kind == PLACE_SOCKET)
		check_ok(run, "at its /dev/lxd/sock is %s", place_explain(place.kind));
	else if (place.kind == PLACE_UNKNOWN)
		check_note(run, "what is at its /dev/lxd is %s", place_explain(place.kind));
	else if (is_absent && is_tree_in_use(s))
		check_note(run, "its directory is in use, but not at its /dev/lxd, where %s",
			   place.kind == PLACE_OTHER ? "another daemon's socket is" : "nothing is");
	else if (is_absent)
		check_fail(run, "at its /dev/lxd/sock is %s", place_explain(place.kind));
	else
		check_fail(run, "at its /dev/lxd is %s", place_explain(place.kind));
}

/* The guest's first process: who its root is, and what it finds at its /dev/lxd. */
static void check_process(struct check_run *run, const struct subject *s, pid_t pid)
{
	const json_t *root = json_object_get(json_object_get(s->summary, "root"), "uid");
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
	check_place(run, s, pid);
}

/* It is recognised by its mount: what the host can see of that. */
static void check_match_mount(struct check_run *run, const struct subject *s)
{
	const json_t *tree = json_object_get(s->summary, "tree");
	const char *run_dir = run->context->run_dir;

	if (!json_is_object(tree))
		return check_fail(
			run,
			"it is recognised by its mount, and the daemon has no tree; start it "
			"without --no-fuse, or set match.cgroup: devlxdfs config edit %s",
			s->name);
	check_ok(
		run,
		"it is recognised by its mount: whoever has %s/tree/%s is it, so no other guest may "
		"be given that",
		run_dir, s->name);
	if (is_tree_in_use(s))
		check_ok(run, "its directory is in use");
	else
		check_note(run,
			   "nobody has asked in its directory since the daemon started; bind-mount "
			   "%s/tree/%s to the guest's /dev/lxd",
			   run_dir, s->name);
}

/* A process runs in the cgroup at @path: whose it is, and what it finds. */
static void check_runs(struct check_run *run, const struct subject *s, const char *path, pid_t pid)
{
	_cleanup_(buf_finish) struct buf whose = {0};

	if (starter_describe(pid, &whose) == 0 && whose.len > 0)
		check_ok(run, "its cgroup %s runs, first process %d of %s", path, (int)pid,
			 whose.data);
	else
		check_ok(run, "its cgroup %s runs, first process %d", path, (int)pid);
	check_process(run, s, pid);
}

/* Which cgroup it is recognised by, and whether a guest runs there. */
static void check_match(struct check_run *run, const struct subject *s)
{
	const json_t *match = json_object_get(s->summary, "match");
	bool by_mount = json_is_true(json_object_get(match, "mount"));
	_cleanup_(closep) int root_fd = cgroup_open_root(NULL);
	const char *path = json_string_value(
		json_object_get(json_object_get(s->summary, "binding"), "cgroup"));
	uint64_t start;
	pid_t pid;
	int r;

	if (path)
		check_ok(run, "it is bound to the cgroup %s", path);
	else
		path = json_string_value(json_object_get(match, "cgroup"));
	if (by_mount)
		check_match_mount(run, s);
	if (!path && by_mount)
		return;
	if (!path)
		return check_fail(run,
				  "nothing says which processes it is; set match.cgroup: "
				  "devlxdfs config edit %s",
				  s->name);
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
	check_runs(run, s, path, pid);
}

static void check_counters(struct check_run *run, const json_t *summary)
{
	const json_t *tree = json_object_get(summary, "tree");
	json_int_t in_tree = json_integer_value(json_object_get(tree, "requests"));
	json_int_t unnamed = json_integer_value(json_object_get(tree, "unnamed"));
	json_int_t requests = json_integer_value(json_object_get(summary, "requests"));
	json_int_t refused = json_integer_value(json_object_get(summary, "refused"));
	json_int_t forbidden = json_integer_value(json_object_get(summary, "forbidden"));
	json_int_t not_root = json_integer_value(json_object_get(summary, "not_root"));

	if (requests > 0)
		check_ok(run, "requests since the daemon started: %" JSON_INTEGER_FORMAT, requests);
	if (in_tree > 0)
		check_ok(
			run,
			"requests in its directory since the daemon started: %" JSON_INTEGER_FORMAT,
			in_tree);
	if (requests == 0 && in_tree == 0)
		check_note(run,
			   "it has never asked since the daemon started; try in the guest: curl "
			   "--unix-socket /dev/lxd/sock http://lxd/1.0");
	if (unnamed > 0)
		check_note(run,
			   "keys and devices whose names are too long for a file, so that only the "
			   "socket has them: %" JSON_INTEGER_FORMAT,
			   unnamed);
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
	struct subject s = {.name = name};
	json_auto_t *summary = NULL;
	bool is_in_force;

	s.has_record = check_record(run, &change, &s);
	if (!text_is_name(name))
		return;
	is_in_force = check_in_force(run, &s);
	summary = s.summary;
	check_socket_switch(run, &s);
	check_rejected(run, name);
	if (!is_in_force)
		return;
	check_conflicts(run, summary);
	check_match(run, &s);
	check_counters(run, summary);
}
