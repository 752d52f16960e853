/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Explain: the steps of identity, one by one, in words for the operator
 *
 * Decides nothing: it takes the same steps through the same functions and says
 * what each gave, with a remedy where there is one. Values of config keys are
 * never looked at; neither are the guest's files, because a guest may mount
 * what never answers. Running out of memory anywhere makes the whole NULL,
 * because jansson's setters pass it on.
 */
#include "core/explain.h"

#include "core/finding.h"
#include "core/identity-private.h"
#include "core/identity.h"
#include "core/owner.h"
#include "core/pidfd.h"
#include "core/process.h"
#include "core/registry.h"

static const char *outcome_word(int outcome)
{
	static const char *const words[_IDENTITY_E_N] = {
		[_IDENTITY_E_SUCCESS] = "recognised", [IDENTITY_E_UNKNOWN] = "unknown",
		[IDENTITY_E_CONFLICT] = "conflict",   [IDENTITY_E_GONE] = "gone",
		[IDENTITY_E_NOT_ROOT] = "not-root",   [IDENTITY_E_HOST] = "host",
	};

	return outcome < 0 ? "trouble" : words[outcome];
}

json_t *explain_features(struct identity *id, bool has_peerpidfd)
{
	_cleanup_(closep) int self = pidfd_of_process(getpid()), thread = pidfd_of_thread(getpid());
	uint64_t cgroup_id;
	bool is_reaped, has_info = self >= 0 && pidfd_cgroup(self, &cgroup_id, &is_reaped) == 0;

	return json_pack("{s:b, s:b, s:b, s:b, s:s?, s:b}", "SO_PEERPIDFD", has_peerpidfd,
			 "PIDFD_GET_INFO", has_info, "pidfd_open", self >= 0, "PIDFD_THREAD",
			 thread >= 0, "cgroup2", id->where, "proc_hidepid",
			 access("/proc/1/cgroup", R_OK) < 0);
}

static json_t *claims_of(const struct identity *id, const char *path, uint64_t cgroup_id_now)
{
	struct claim claims[CLAIMS_MAX];
	size_t n = registry_claims(id->registry, path, claims);
	json_auto_t *list = json_array();
	bool ok = list;

	for (size_t i = 0; i < n; i++) {
		const struct claim *c = &claims[i];
		json_t *bound = c->kind == CLAIM_MATCH ? json_null()
						       : json_integer((json_int_t)c->cgroup_id);

		ok = ok && json_array_append_new(
				   list, json_pack("{s:s, s:s, s:o, s:b}", "kind",
						   c->kind == CLAIM_MATCH ? "match" : "binding",
						   "instance", instance_name(c->instance),
						   "cgroup_id", bound, "valid",
						   owner_is_valid(id->registry, id->root_fd, c,
								  path, cgroup_id_now))) == 0;
		claim_finish(&claims[i]);
	}
	return ok ? json_incref(list) : NULL;
}

/* The id, or null for 0. */
static json_t *id_or_null(uint64_t cgroup_id)
{
	return cgroup_id ? json_integer((json_int_t)cgroup_id) : json_null();
}

static json_t *tried(struct identity *id, const char *path)
{
	json_auto_t *list = json_array();
	char level[CGROUP_PATH_MAX];
	bool ok = list;

	memcpy(level, path, strlen(path) + 1);
	for (bool more = !streq(level, "/"); ok && more; more = cgroup_parent(level)) {
		uint64_t now;

		if (owner_cgroup_id(id->root_fd, level, &now) < 0)
			now = 0;
		ok = json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "path", level, "id",
							   id_or_null(now), "claims",
							   claims_of(id, level, now))) == 0;
	}
	return ok ? json_incref(list) : NULL;
}

static const char *root_error(int run_error)
{
	switch (run_error) {
	case 0:
		return NULL;
	case -ENODEV:
		return "no cgroup2 hierarchy is mounted, so the guest's first process cannot be found";
	case -ENOENT:
		return "the guest's cgroup has no process any more";
	case -E2BIG:
		return "the guest has too many processes to tell the first one";
	default:
		return strerror(-run_error);
	}
}

static json_t *describe_root(const struct identity_root *root)
{
	const char *source = root->from_record ? "record" : root->run_error == 0 ? "uid_map" : NULL;
	json_t *uid = root->uid == PROCESS_NO_UID ? json_null() : json_integer(root->uid);
	json_t *init = root->run_error == 0 ? json_integer(root->run.boot.init_pid) : json_null();

	return json_pack("{s:o, s:s?, s:o, s:s?}", "uid", uid, "source", source, "init", init,
			 "error", root_error(root->run_error));
}

/* The uid rule for a process of @f's instance. Adds "uid" and "root" to @out; returns the outcome. */
static int explain_uid(struct identity *id, pid_t pid, const struct finding *f, json_t *out)
{
	struct identity_root root = {0};
	uid_t uid;
	int r = process_uid(pid, &uid);

	if (r < 0)
		return IDENTITY_E_GONE;
	if (json_object_set_new(out, "uid", json_integer(uid)) < 0)
		return -ENOMEM;
	if (f->outcome != 0)
		return f->outcome;
	r = identity_root(id, f, &root);
	if (r != 0)
		return r;
	if (!root.from_record && root.run_error == 0 && runs_reread_root(id->runs, &root.run) == 0)
		root.uid = root.run.root_uid;
	if (json_object_set_new(out, "root", describe_root(&root)) < 0)
		return -ENOMEM;
	return uid == root.uid && uid != PROCESS_NO_UID ? 0 : IDENTITY_E_NOT_ROOT;
}

static const char *remedy(struct identity *id, int outcome, const char *path)
{
	switch (outcome) {
	case IDENTITY_E_UNKNOWN:
		if (!path)
			return "its cgroup cannot be read: is /proc mounted with hidepid, or is the "
			       "process outside our pid or cgroup namespace?";
		if (streq(path, "/"))
			return "it is in the root cgroup, which is everybody's: start the guest in "
			       "a cgroup of its own";
		return "put the guest's cgroup into the record (match: {cgroup: PATH}), or bind the "
		       "guest when it starts; a binding is for one cgroup id and ends with it";
	case IDENTITY_E_CONFLICT:
		return "give each of the instances that are listed a cgroup of its own, or remove "
		       "the claim that is wrong";
	case IDENTITY_E_NOT_ROOT:
		if (id->root_fd < 0)
			return "mount the cgroup2 hierarchy, or say in the record who is root "
			       "(root: {uid: N, gid: N})";
		return "ask as the guest's root; if the uid shown for root is not right, say so in "
		       "the record (root: {uid: N, gid: N})";
	case -ENOSYS:
		return "this kernel has no pidfd_open(), or a filter denies it: Linux 5.3 is needed";
	default:
		return NULL;
	}
}

/*
 * A pidfd of the process, or of the thread, that has the id *pid. Where the kernel has none of a
 * thread, its process, which *pid then is, has to do.
 */
static int open_either(pid_t *pid)
{
	pid_t process;
	int fd = pidfd_of_process(*pid);

	if (fd != -ESRCH)
		return fd;
	fd = pidfd_of_thread(*pid);
	if (fd != -ENOSYS || process_of_thread(*pid, &process) < 0)
		return fd == -ENOSYS ? -ESRCH : fd;
	*pid = process;
	return pidfd_of_process(process);
}

/* Finds the process and adds what is known to @out. Returns the outcome. */
static int explain_steps(struct identity *id, pid_t pid, json_t *out)
{
	_cleanup_(finding_unrefp) struct finding *f = NULL;
	_cleanup_(closep) int pidfd = open_either(&pid);
	pid_t process;
	int r = pidfd < 0 ? pidfd : finding_of_process(id, pidfd, pid, true, &f);

	if (r == -ESRCH)
		return IDENTITY_E_GONE;
	if (json_object_set_new(out, "exists", json_true()) < 0)
		return -ENOMEM;
	if (process_of_thread(pid, &process) == 0 &&
	    json_object_set_new(out, "process", json_integer(process)) < 0)
		return -ENOMEM;
	if (r != 0)
		return r;
	if (json_object_set_new(
		    out, "cgroup",
		    json_pack("{s:s, s:o}", "path", f->path, "id", id_or_null(f->cgroup_id))) < 0 ||
	    json_object_set_new(out, "tried", tried(id, f->path)) < 0)
		return -ENOMEM;
	r = explain_uid(id, pid, f, out);
	if ((r == 0 || r == IDENTITY_E_NOT_ROOT) &&
	    json_object_set_new(out, "instance", json_string(instance_name(f->instance))) < 0)
		return -ENOMEM;
	return r;
}

json_t *explain_process(struct identity *id, pid_t pid)
{
	json_auto_t *out =
		json_pack("{s:i, s:n, s:b, s:o, s:{s:n, s:n}, s:[], s:n, s:n, s:n}", "pid", pid,
			  "process", "exists", false, "ways", identity_features(id), "cgroup",
			  "path", "id", "tried", "uid", "root", "instance");
	const char *path;
	int r;

	if (!out)
		return NULL;
	r = explain_steps(id, pid, out);
	path = json_string_value(json_object_get(json_object_get(out, "cgroup"), "path"));
	if (r == -ENOMEM ||
	    json_object_update_new(out, json_pack("{s:s, s:s, s:s?}", "outcome", outcome_word(r),
						  "reason", identity_reason(r), "remedy",
						  remedy(id, r, path))) < 0)
		return NULL;
	return json_incref(out);
}
