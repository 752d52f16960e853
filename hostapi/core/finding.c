/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding: from a pidfd, or a thread that waits, to a cgroup and the instance that owns it
 *
 * Knows no sockets and no uids. What makes a finding believable, way by way:
 *
 * PIDFD_GET_INFO tells the id of the process's cgroup, also after its end. A
 * path read from /proc/PID/cgroup is believed when the pidfd still is of a
 * process afterwards: GET_INFO gives the same cgroup id again, or, without GET_INFO, the
 * process has not ended; either way the process id was not given to another meanwhile. Of a
 * thread that the kernel keeps waiting for us this is certain, so there it takes no pidfd.
 *
 * A path is judged by names, but a name can be given to another cgroup. So after the
 * judgement the process's own cgroup must still be at that path with the id it had. Cgroup ids are
 * not reused and a cgroup outlives all below it, so then every ancestor was there all the time, too.
 *
 * Hence a finding, under one generation of claims, holds for its cgroup id for
 * ever, refusals included.
 */
#include "core/finding.h"

#include "core/callers.h"
#include "core/identity-private.h"
#include "core/identity.h"
#include "core/lru.h"
#include "core/owner.h"
#include "core/pidfd.h"
#include "core/process.h"
#include "core/registry.h"

/* How often a process may change its cgroup under our eyes before we stop looking. */
#define TRIES 3

bool finding_is_own_trouble(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

static struct finding *finding_new(const char *path, uint64_t cgroup_id, uint64_t generation)
{
	size_t size = strlen(path) + 1;
	struct finding *f = calloc(1, sizeof(*f) + size);

	if (!f)
		return NULL;
	f->refs = 1;
	f->cgroup_id = cgroup_id;
	f->generation = generation;
	memcpy(f->path, path, size);
	return f;
}

struct finding *finding_unref(struct finding *f)
{
	if (f && --f->refs == 0) {
		instance_unref(f->instance);
		free(f->claimed);
		free(f);
	}
	return NULL;
}

static void take_finding(void *value)
{
	(*(struct finding **)value)->refs++;
}

static void drop_finding(void *value)
{
	finding_unref(*(struct finding **)value);
}

struct lru *finding_cache_new(size_t max)
{
	return lru_new(max, sizeof(struct finding *), take_finding, drop_finding);
}

/* Takes from the cache what was found under the claims of now. */
static bool recall(struct identity *id, uint64_t cgroup_id, struct finding **ret)
{
	_cleanup_(finding_unrefp) struct finding *f = NULL;

	if (!lru_get(id->findings, cgroup_id, &f) ||
	    f->generation != registry_claims_generation(id->registry))
		return false;
	*ret = steal_ptr(&f);
	return true;
}

/* Whether the cgroup at @path is @cgroup_id still. 0, IDENTITY_E_GONE, or -errno. */
static int check_in_place(struct identity *id, const char *path, uint64_t cgroup_id_expected)
{
	uint64_t now;
	int r = owner_cgroup_id(id->root_fd, path, &now);

	if (r < 0)
		return r;
	return now == cgroup_id_expected ? 0 : IDENTITY_E_GONE;
}

/* Judges the claims on @path and remembers the finding by @cgroup_id (0: not known). */
static int judge(struct identity *id, const char *path, uint64_t cgroup_id_known,
		 struct finding **ret)
{
	uint64_t generation = registry_claims_generation(id->registry);
	_cleanup_(finding_unrefp) struct finding *f =
		finding_new(path, cgroup_id_known, generation);
	_cleanup_(owner_finish) struct owner owner = {0};
	int r;

	if (!f)
		return -ENOMEM;
	f->outcome = owner_find(id->registry, id->root_fd, path, &owner);
	if (f->outcome < 0)
		return f->outcome;
	r = id->root_fd < 0 ? 0 : check_in_place(id, path, cgroup_id_known);
	if (r != 0)
		return r;
	if (f->outcome == 0) {
		f->instance = steal_ptr(&owner.instance);
		f->claimed_id = owner.claimed_id;
		f->claimed = strndup(path, owner.n_claimed);
		if (!f->claimed)
			return -ENOMEM;
	}
	if (owner.is_passing)
		f->generation = 0; /* that of no claims: everybody asks again */
	else if (cgroup_id_known)
		lru_put(id->findings, cgroup_id_known, &f);
	*ret = steal_ptr(&f);
	return 0;
}

/* What a failure to read a living process's path makes of it. */
static int without_path(int r)
{
	if (finding_is_own_trouble(r))
		return r;
	return r == -ESTALE ? IDENTITY_E_GONE : IDENTITY_E_UNKNOWN;
}

/* The path of the cgroup of a process that has ended, or that /proc hides from us. */
static int path_by_id(struct identity *id, uint64_t cgroup_id, int otherwise,
		      char ret_path[CGROUP_PATH_MAX])
{
	_cleanup_(closep) int fd = -1;
	int r;

	if (id->root_fd < 0)
		return otherwise;
	fd = id->open_cgroup ? id->open_cgroup(id->open_cgroup_ctx, cgroup_id)
			     : cgroup_open_id(id->root_fd, cgroup_id);
	r = fd < 0 ? fd : cgroup_path_of_fd(id->root_fd, fd, ret_path);
	return r == 0 || finding_is_own_trouble(r) ? r : otherwise;
}

/* The path of @cgroup_id, where @pidfd is. 0, an outcome, -EAGAIN: it is elsewhere now, or -errno. */
static int path_by_info(struct identity *id, int pidfd, pid_t pid, uint64_t cgroup_id,
			char ret_path[CGROUP_PATH_MAX])
{
	char path[CGROUP_PATH_MAX];
	uint64_t id_after;
	bool is_reaped;
	int read_error = process_cgroup(pid, path);
	int r = pidfd_cgroup(pidfd, &id_after, &is_reaped);

	if (r < 0)
		return r == -ESRCH ? IDENTITY_E_GONE : r;
	if (id_after != cgroup_id)
		return -EAGAIN;
	if (is_reaped) /* What was read may be of the next process with that id. */
		return path_by_id(id, cgroup_id, IDENTITY_E_GONE, ret_path);
	if (read_error == -ESRCH || read_error == -EACCES || read_error == -EPERM)
		return path_by_id(id, cgroup_id, IDENTITY_E_UNKNOWN, ret_path);
	if (read_error < 0)
		return without_path(read_error);
	memcpy(ret_path, path, strlen(path) + 1);
	return 0;
}

/* By PIDFD_GET_INFO. As finding_of_process(); -ENOTTY when the call is missing; -EAGAIN: try again. */
static int locate_by_info(struct identity *id, int pidfd, pid_t pid, bool fresh,
			  struct finding **ret)
{
	char path[CGROUP_PATH_MAX];
	uint64_t cgroup_id;
	bool is_reaped;
	int r = pidfd_cgroup(pidfd, &cgroup_id, &is_reaped);

	if (r < 0)
		return r == -ESRCH ? IDENTITY_E_GONE : r;
	if (!fresh && recall(id, cgroup_id, ret))
		return 0;
	r = path_by_info(id, pidfd, pid, cgroup_id, path);
	return r != 0 ? r : judge(id, path, cgroup_id, ret);
}

/* False without a pidfd (negative): the thread waits for us. */
static bool has_ended(int pidfd)
{
	return pidfd >= 0 && pidfd_has_ended(pidfd);
}

/* By /proc/PID/cgroup alone; @pidfd as has_ended(). As finding_of_process(); -EAGAIN: try again. */
static int locate_by_proc(struct identity *id, int pidfd, pid_t pid, bool fresh,
			  struct finding **ret)
{
	_cleanup_(finding_unrefp) struct finding *f = NULL;
	char path[CGROUP_PATH_MAX];
	uint64_t cgroup_id;
	int r = process_cgroup(pid, path);

	if (r == -ESRCH && pidfd < 0)
		return IDENTITY_E_GONE;
	if (r < 0)
		return has_ended(pidfd) ? IDENTITY_E_GONE : without_path(r);
	r = owner_cgroup_id(id->root_fd, path, &cgroup_id);
	if (r < 0)
		return r;
	if (cgroup_id == 0 && id->root_fd >= 0)
		return has_ended(pidfd) ? IDENTITY_E_GONE : -EAGAIN;
	if (fresh || cgroup_id == 0 || !recall(id, cgroup_id, &f) || !streq(f->path, path)) {
		f = finding_unref(f);
		r = judge(id, path, cgroup_id, &f);
	}
	if (r == 0 && has_ended(pidfd))
		return IDENTITY_E_GONE;
	if (r == 0)
		*ret = steal_ptr(&f);
	return r;
}

/* By the best way that there is; without a pidfd (negative) that is /proc. */
static int locate(struct identity *id, int pidfd, pid_t pid, bool fresh, struct finding **ret)
{
	int r = -EAGAIN;

	for (int tries = 0; r == -EAGAIN && tries < TRIES; tries++) {
		bool has_info = pidfd >= 0 && !id->lacks_get_info;

		if (has_info)
			r = locate_by_info(id, pidfd, pid, fresh, ret);
		if (has_info && r == -ENOTTY)
			id->lacks_get_info = true;
		if (!has_info || r == -ENOTTY)
			r = locate_by_proc(id, pidfd, pid, fresh, ret);
	}
	return r == -EAGAIN ? IDENTITY_E_UNKNOWN : r;
}

int finding_of_process(struct identity *id, int pidfd, pid_t pid, bool fresh, struct finding **ret)
{
	if (pid <= 0) /* not visible in our pid namespace */
		return IDENTITY_E_UNKNOWN;
	return locate(id, pidfd, pid, fresh, ret);
}

/* By a pidfd from an earlier request, if what it says is cached. */
static bool recall_thread(struct identity *id, pid_t tid, struct finding **ret)
{
	uint64_t cgroup_id;

	return callers_cgroup(id->callers, tid, &cgroup_id) == 0 && recall(id, cgroup_id, ret);
}

int finding_of_thread(struct identity *id, pid_t tid, struct finding **ret)
{
	_cleanup_(closep) int pidfd = -1;
	int r;

	if (tid <= 0)
		return IDENTITY_E_UNKNOWN;
	if (id->lacks_pidfd_thread || id->lacks_get_info)
		return locate(id, -1, tid, false, ret);
	if (recall_thread(id, tid, ret))
		return 0;
	pidfd = pidfd_of_thread(tid);
	if (pidfd == -ESRCH)
		return IDENTITY_E_GONE;
	if (pidfd < 0 && pidfd != -ENOSYS)
		return pidfd;
	if (pidfd < 0)
		id->lacks_pidfd_thread = true;
	r = locate(id, pidfd, tid, false, ret);
	if (pidfd >= 0 && r == 0)
		callers_put(id->callers, tid, steal_fd(&pidfd));
	return r;
}
