/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The admin API: the host's own routes on admin.sock, root only
 *
 * A guest never reaches these handlers: another table, another server. Replies
 * name keys and never carry their values, but for events if asked to.
 */
#include "front/admin.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "api/events.h"
#include "base/log.h"
#include "base/text.h"
#include "config.h"
#include "core/cgroup.h"
#include "core/hub.h"
#include "core/images.h"
#include "core/registry.h"
#include "core/settings.h"
#include "core/snapshot.h"
#include "front/metrics.h"
#include "front/summary.h"
#include "store/store.h"

#define PID_MAX (1U << 22) /* the kernel's PID_MAX_LIMIT */

static json_int_t uptime_s(const struct api *api)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (json_int_t)now.tv_sec - (json_int_t)(api->started_us / 1000000);
}

static json_t *limits_of(const struct settings *s)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "max_connections",
			 (json_int_t)s->max_connections, "max_event_listeners",
			 (json_int_t)s->max_event_listeners, "max_header_bytes",
			 (json_int_t)s->max_header_bytes, "max_body_bytes",
			 (json_int_t)s->max_body_bytes, "first_header_timeout_ms",
			 (json_int_t)s->first_header_timeout_ms, "idle_timeout_s",
			 (json_int_t)s->idle_timeout_s, "max_requests_per_s",
			 (json_int_t)s->max_requests_per_s);
}

static int daemon_get(const struct request *q, struct reply *reply)
{
	const struct api *api = q->api;

	return reply_json(reply,
			  json_pack("{s:s, s:i, s:I, s:s, s:o, s:o, s:o}", "version",
				    DEVLXDFS_VERSION, "pid", (int)getpid(), "uptime_s",
				    uptime_s(api), "location", api->location, "features",
				    identity_features(api->identity), "limits",
				    limits_of(api->settings), "store", store_status(api->store)));
}

static int instances_get(const struct request *q, struct reply *reply)
{
	_cleanup_(closep) int root_fd = cgroup_open_root(NULL);
	json_auto_t *all = json_array();
	struct instance **list = NULL;
	size_t n = 0;
	int r = registry_list(q->api->registry, &list, &n);

	for (size_t i = 0; i < n && r == 0; i++) {
		json_t *one = summary_of(q->api, list[i], root_fd);

		/* One that was withdrawn in the meantime is simply not in the list. */
		if (one && json_array_append_new(all, one) < 0)
			r = -ENOMEM;
	}
	registry_list_free(list, n);
	return r < 0 ? r : reply_json(reply, json_incref(all));
}

static int instance_get(const struct request *q, struct reply *reply)
{
	_cleanup_(closep) int root_fd = cgroup_open_root(NULL);
	_cleanup_(instance_unrefp) struct instance *i =
		registry_find(q->api->registry, q->params[0]);
	json_t *one = i ? summary_of(q->api, i, root_fd) : NULL;

	if (!one) {
		reply_error(reply, OUTCOME_NOT_FOUND, "No instance \"%s\" is in force",
			    q->params[0]);
		return 0;
	}
	return reply_json(reply, one);
}

/* Names in a path are checked before they become part of a file's name. */
static bool name_is_good(const struct request *q, struct reply *reply)
{
	if (text_is_name(q->params[0]))
		return true;
	reply_error(reply, OUTCOME_BAD_REQUEST, "Not a valid name");
	return false;
}

/* Waits for the tree, outside of every lock; the names of those who hold it up, only @name unless that is NULL. */
static json_t *settle_tree(const struct api *api, const char *name)
{
	json_t *stalled = json_array();

	if (api->tree)
		api->tree->settle(api->tree->ctx, name, stalled);
	return stalled;
}

/* What guests that may read images are shown has changed. */
static int tell_of_images(const struct api *api)
{
	struct instance **list = NULL;
	size_t n = 0;
	int r = api->tree ? registry_list(api->registry, &list, &n) : 0;

	for (size_t i = 0; i < n; i++) {
		_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(list[i]);

		if (s && snapshot_images_are_on(s))
			api->tree->changed(api->tree->ctx, instance_name(list[i]));
	}
	registry_list_free(list, n);
	return r;
}

static int images_load_post(const struct request *q, struct reply *reply)
{
	_cleanup_(buf_finish) struct buf complaints = {0};
	bool is_changed = false;
	int r = images_load(q->api->images, &is_changed, &complaints);

	if (complaints.len)
		log_warn("%.*s", (int)complaints.len - 1, complaints.data);
	if (r == 0 && is_changed)
		r = tell_of_images(q->api);
	if (r < 0)
		return r;
	return reply_json(reply, json_pack("{s:b, s:o}", "changed", is_changed, "stalled",
					   settle_tree(q->api, NULL)));
}

static int load(const struct request *q, struct reply *reply, enum record_kind kind)
{
	_cleanup_(buf_finish) struct buf error = {0};
	json_t *changes = NULL;
	int r;

	if (!name_is_good(q, reply))
		return 0;
	r = store_load(q->api->store, kind, q->params[0], &changes, &error);
	if (r < 0)
		return r;
	if (r == STORE_E_NOT_FOUND)
		reply_error(reply, OUTCOME_NOT_FOUND, "No such %s",
			    kind == RECORD_PROFILE ? "profile" : "instance");
	else if (r == STORE_E_REJECTED)
		reply_error(reply, OUTCOME_CONFLICT, "%s", error.len ? error.data : "rejected");
	else
		return reply_json(
			reply, json_pack("{s:o, s:o}", "changes", changes ? changes : json_array(),
					 "stalled",
					 settle_tree(q->api, kind == RECORD_INSTANCE ? q->params[0]
										     : NULL)));
	json_decref(changes);
	return 0;
}

static int instance_load(const struct request *q, struct reply *reply)
{
	return load(q, reply, RECORD_INSTANCE);
}

static int profile_load(const struct request *q, struct reply *reply)
{
	return load(q, reply, RECORD_PROFILE);
}

/* The "pid" of a JSON body; 0 and a reply when there is none. */
static pid_t pid_of_body(const json_t *body, struct reply *reply)
{
	const json_t *cgroup = json_object_get(body, "cgroup");
	json_int_t pid = json_integer_value(json_object_get(body, "pid"));

	if (pid > 0 && pid <= PID_MAX && (!cgroup || json_is_string(cgroup)))
		return (pid_t)pid;
	reply_error(reply, OUTCOME_BAD_REQUEST, "Expected {\"pid\": N} and perhaps \"cgroup\"");
	return 0;
}

/* Another guest may be meant now, with other ids. */
static int reply_rebound(const struct request *q, struct reply *reply)
{
	const struct api_tree *tree = q->api->tree;
	_cleanup_(instance_unrefp) struct instance *i =
		registry_find(q->api->registry, q->params[0]);

	/* Who listens as it may be nobody now. */
	if (i)
		hub_kick(q->api->hub, i);
	if (tree)
		tree->changed(tree->ctx, q->params[0]);
	return reply_json(reply, json_pack("{s:o}", "stalled", settle_tree(q->api, q->params[0])));
}

static int binding_post(const struct request *q, struct reply *reply)
{
	json_auto_t *body = json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, NULL);
	pid_t pid;
	int r;

	if (!name_is_good(q, reply))
		return 0;
	pid = pid_of_body(body, reply);
	if (pid == 0)
		return 0;
	r = store_bind(q->api->store, q->params[0], pid,
		       json_string_value(json_object_get(body, "cgroup")));
	if (r == STORE_E_NOT_FOUND)
		reply_error(reply, OUTCOME_NOT_FOUND, "No instance \"%s\" is in force",
			    q->params[0]);
	else if (r == -ESRCH)
		reply_error(reply, OUTCOME_NOT_FOUND, "No process %d", (int)pid);
	else if (r == -ENOENT)
		reply_error(reply, OUTCOME_CONFLICT, "Process %d has no cgroup of its own",
			    (int)pid);
	else if (r == -EXDEV)
		reply_error(reply, OUTCOME_CONFLICT, "Process %d is not in that cgroup", (int)pid);
	else if (r < 0)
		return r;
	else
		return reply_rebound(q, reply);
	return 0;
}

static int binding_delete(const struct request *q, struct reply *reply)
{
	int r;

	if (!name_is_good(q, reply))
		return 0;
	r = store_unbind(q->api->store, q->params[0]);
	if (r == STORE_E_NOT_FOUND)
		reply_error(reply, OUTCOME_NOT_FOUND, "No instance \"%s\" is in force",
			    q->params[0]);
	else if (r == -ENOENT)
		reply_error(reply, OUTCOME_NOT_FOUND, "Instance \"%s\" is not bound", q->params[0]);
	else if (r < 0)
		return r;
	else
		return reply_rebound(q, reply);
	return 0;
}

static int whois_get(const struct request *q, struct reply *reply)
{
	uint64_t pid;

	if (text_to_u64(q->params[0], 1, PID_MAX, &pid) < 0) {
		reply_error(reply, OUTCOME_BAD_REQUEST, "Not a process id");
		return 0;
	}
	return reply_json(reply, identity_explain(q->api->identity, (pid_t)pid));
}

static int rejected_get(const struct request *q, struct reply *reply)
{
	return reply_json(reply, store_rejected(q->api->store));
}

static int status_get(const struct request *q, struct reply *reply)
{
	const struct api *api = q->api;
	const struct front_stats *s = api->guest_stats;
	json_t *refused =
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "unknown", (json_int_t)s->n_unknown,
			  "conflict", (json_int_t)s->n_conflict, "gone", (json_int_t)s->n_gone,
			  "not_root", (json_int_t)s->n_not_root, "limit", (json_int_t)s->n_limited,
			  "trouble", (json_int_t)s->n_own_trouble);
	json_auto_t *rejected = store_rejected(api->store);
	json_t *tree = api->tree ? api->tree->status(api->tree->ctx) : json_null();

	return reply_json(reply, json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
					   "version", DEVLXDFS_VERSION, "pid", (int)getpid(),
					   "uptime_s", uptime_s(api), "instances",
					   (json_int_t)registry_size(api->registry), "rejected",
					   (json_int_t)json_array_size(rejected), "accepted",
					   (json_int_t)s->n_accepted, "refused", refused, "store",
					   store_status(api->store), "upgrades",
					   api->keeper->upgrades(api->keeper->ctx), "tree", tree));
}

static int upgrade_post(const struct request *q, struct reply *reply)
{
	int r = q->api->keeper->upgrade(q->api->keeper->ctx);

	return r < 0 ? r : reply_json(reply, json_object());
}

static int events_get_host(const struct request *q, struct reply *reply)
{
	_cleanup_(freep) char *values = NULL;
	int r = query_get(q->target->query, "values", &values);
	struct hub_log *log = NULL;

	if (r < 0 && r != -ENOENT) {
		reply_error(reply, OUTCOME_BAD_REQUEST, NULL);
		return 0;
	}
	if (q->method != METHOD_HEAD) {
		log = hub_host_log(q->api->hub, values && streq(values, "1"));
		if (!log)
			return -ENOMEM;
	}
	return events_stream(q, reply, log, EVENT_TYPES_ALL);
}

static int metrics_get(const struct request *q, struct reply *reply)
{
	_cleanup_(buf_finish) struct buf b = {0};
	int r = metrics_text(q->api, &b);

	if (r == 0)
		r = reply_bytes(reply, REPLY_TEXT, &b);
	if (r == 0)
		reply->content_type = METRICS_CONTENT_TYPE;
	return r;
}

static const struct route routes[] = {
	{METHOD_GET, "/1.0", daemon_get, .help = "version, uptime, features, limits"},
	{METHOD_GET, "/1.0/events", events_get_host, .help = "events of all instances as lines"},
	{METHOD_POST, "/1.0/images/load", images_load_post, .help = "read the images again"},
	{METHOD_GET, "/1.0/instances", instances_get, .help = "all instances"},
	{METHOD_GET, "/1.0/instances/{name}", instance_get, .help = "one instance"},
	{METHOD_POST, "/1.0/instances/{name}/bind", binding_post,
	 .help = "bind a process's cgroup"},
	{METHOD_DELETE, "/1.0/instances/{name}/bind", binding_delete, .help = "drop the binding"},
	{METHOD_POST, "/1.0/instances/{name}/load", instance_load, .help = "load the record now"},
	{METHOD_GET, "/1.0/metrics", metrics_get, .help = "counters as OpenMetrics text"},
	{METHOD_POST, "/1.0/profiles/{name}/load", profile_load, .help = "load the profile now"},
	{METHOD_GET, "/1.0/rejected", rejected_get, .help = "records not in force as written"},
	{METHOD_GET, "/1.0/status", status_get, .help = "counters"},
	{METHOD_POST, "/1.0/upgrade", upgrade_post, .help = "serve with the program on disk"},
	{METHOD_GET, "/1.0/whois/{pid}", whois_get, .help = "which instance a process is, and why"},
};

const struct route_table *admin_routes(void)
{
	static const struct route_table table = {routes, ARRAY_SIZE(routes)};

	return &table;
}
