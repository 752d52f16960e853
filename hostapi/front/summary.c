/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One instance as the host's commands see it
 *
 * Names and numbers only: no value of a config key is in it, so that whoever may
 * list instances (a log, a support bundle) does not learn secrets.
 */
#include "front/summary.h"

#include "api/unnamed.h"
#include "core/cgroup.h"
#include "core/owner.h"
#include "core/registry.h"
#include "core/snapshot.h"

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *profiles_of(const struct record *r)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < r->n_profiles; i++)
		json_array_append_new(list, json_string(r->profiles[i]));
	return list;
}

static json_t *root_of(const struct record *r)
{
	return r->has_root ? json_pack("{s:I, s:I}", "uid", (json_int_t)r->root_uid, "gid",
				       (json_int_t)r->root_gid)
			   : json_null();
}

static json_int_t count_keys(const struct snapshot *s)
{
	const char *key = NULL, *value;
	size_t len;
	json_int_t n = 0;

	while (snapshot_config_next(s, &key, &value, &len))
		n++;
	return n;
}

static json_int_t count_devices(const struct snapshot *s)
{
	const char *name = NULL;
	const struct table *config;
	json_int_t n = 0;

	while (snapshot_device_next(s, &name, &config))
		n++;
	return n;
}

/* Whether a claim of @self's own is among those that count; they may be too many to see it. */
static bool has_valid_claim(struct registry *registry, const struct claim *claims, size_t n,
			    const struct instance *self, int root_fd, const char *path, uint64_t id)
{
	if (n == CLAIMS_MAX)
		return true;
	for (size_t i = 0; i < n; i++)
		if (claims[i].instance == self &&
		    owner_is_valid(registry, root_fd, &claims[i], path, id))
			return true;
	return false;
}

/* Appends to @list who else claims @path, if a claim of @self on it counts. */
static void add_rivals(json_t *list, struct registry *registry, const struct instance *self,
		       int cgroup_root_fd, const char *path)
{
	struct claim claims[CLAIMS_MAX] = {0};
	size_t n = registry_claims(registry, path, claims);
	uint64_t id = 0;
	bool is_ours = owner_cgroup_id(cgroup_root_fd, path, &id) == 0 &&
		       has_valid_claim(registry, claims, n, self, cgroup_root_fd, path, id);

	for (size_t i = 0; i < n; i++) {
		if (is_ours && claims[i].instance != self &&
		    owner_is_valid(registry, cgroup_root_fd, &claims[i], path, id))
			json_array_append_new(
				list, json_pack("{s:s, s:s, s:s}", "instance",
						instance_name(claims[i].instance), "kind",
						claims[i].kind == CLAIM_MATCH ? "match" : "binding",
						"path", path));
		claim_finish(&claims[i]);
	}
}

static json_t *tree_of(const struct api *api, struct instance *i, const struct snapshot *s)
{
	json_int_t n = (json_int_t)instance_account(i)->n_tree_requests;

	if (!api->tree)
		return json_null();
	return json_pack("{s:b, s:I, s:I}", "in_use",
			 n > 0 && api->tree->is_in_use(api->tree->ctx, instance_name(i)),
			 "requests", n, "unnamed", (json_int_t)unnamed_count(s));
}

/* The binding of @i, if its cgroup exists: at the same path there may be another guest by now. */
static bool find_binding(struct registry *registry, const struct instance *i, int root_fd,
			 char ret_path[CGROUP_PATH_MAX], uint64_t *ret_id)
{
	uint64_t now;

	return registry_binding(registry, instance_name(i), ret_path, ret_id) == 0 &&
	       owner_cgroup_id(root_fd, ret_path, &now) == 0 && now == *ret_id;
}

json_t *summary_of(const struct api *api, struct instance *i, int cgroup_root_fd)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(i);
	json_auto_t *conflict = json_array(), *binding = json_null();
	const struct account *a = instance_account(i);
	char path[CGROUP_PATH_MAX];
	const struct record *r;
	struct boot boot = {0};
	uint64_t id;
	bool is_running, has_boot;

	if (!s || !conflict)
		return NULL;
	r = snapshot_record(s);
	if (r->match_cgroup)
		add_rivals(conflict, api->registry, i, cgroup_root_fd, r->match_cgroup);
	if (find_binding(api->registry, i, cgroup_root_fd, path, &id)) {
		json_decref(binding);
		binding = json_pack("{s:s, s:I}", "cgroup", path, "cgroup_id", (json_int_t)id);
		if (!r->match_cgroup || !streq(path, r->match_cgroup))
			add_rivals(conflict, api->registry, i, cgroup_root_fd, path);
	}
	has_boot = identity_boot(api->identity, i, &boot);
	is_running = identity_is_running(api->identity, i);
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:b, s:o, s:I, s:I, s:{s:o, s:b}, s:O, s:o, s:s, s:s, s:O, "
		"s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
		"name", instance_name(i), "type", instance_type_name(r->type), "source", r->source,
		"state",
		json_array_size(conflict) ? "Conflict"
		: is_running              ? "Running"
		: r->match_mount          ? "Unknown"
					  : "Stopped",
		"ready", has_boot && instance_is_ready(i, &boot), "profiles", profiles_of(r),
		"keys", count_keys(s), "devices", count_devices(s), "match", "cgroup",
		text_or_null(r->match_cgroup), "mount", r->match_mount, "binding", binding, "root",
		root_of(r), "hostname", snapshot_hostname(s), "instance_id",
		snapshot_instance_id(s), "conflict", conflict, "connections",
		(json_int_t)a->n_connections, "event_listeners", (json_int_t)a->n_event_listeners,
		"requests", (json_int_t)a->n_requests, "refused",
		(json_int_t)(a->n_refused_connections + a->n_refused_requests), "forbidden",
		(json_int_t)a->n_forbidden, "not_root", (json_int_t)a->n_not_root, "tree",
		tree_of(api, i, s));
}
