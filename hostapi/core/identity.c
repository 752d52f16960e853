/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identity: from a caller to an instance, by the kernel's word alone
 *
 * The only file that names SO_PEER*. What makes an answer believable, way by way:
 *
 * A pidfd from SO_PEERPIDFD is the process that connected, for ever. One from
 * pidfd_open() is whoever had that process id at that moment: the window on kernels before 6.5.
 *
 * A thread of which a pending FUSE request tells the id sleeps in the kernel until the request is
 * answered, so its id is its own for as long as we look; no pidfd makes that surer.
 * A listener that only one guest was given says nothing of the process, only that it was let in there.
 *
 * What is found with it is in finding.c. The uid rule is applied to each caller anew.
 */
#include "core/identity.h"

#include <sys/socket.h>

#include "core/callers.h"
#include "core/explain.h"
#include "core/finding.h"
#include "core/identity-private.h"
#include "core/lru.h"
#include "core/owner.h"
#include "core/pidfd.h"
#include "core/process.h"
#include "core/registry.h"
#include "core/snapshot.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* 6.5; the same on all architectures but sparc and parisc */
#endif

const char *identity_reason(int outcome)
{
	static const char *const reasons[_IDENTITY_E_N] = {
		[_IDENTITY_E_SUCCESS] = "recognised",
		[IDENTITY_E_UNKNOWN] = "no instance claims its cgroup",
		[IDENTITY_E_CONFLICT] = "more than one instance claims its cgroup",
		[IDENTITY_E_GONE] = "the process ended before it was recognised",
		[IDENTITY_E_NOT_ROOT] = "it is not the guest's root",
		[IDENTITY_E_HOST] = "it is the host's root",
	};

	return outcome >= 0 && outcome < _IDENTITY_E_N ? reasons[outcome] : strerror(-outcome);
}

void caller_finish(struct caller *c)
{
	c->instance = instance_unref(c->instance);
	free(c->cgroup_path);
	c->cgroup_path = NULL;
}

int identity_new(struct registry *registry, size_t cache_max, struct identity **ret)
{
	_cleanup_(identity_freep) struct identity *id = calloc(1, sizeof(*id));

	if (!id)
		return -ENOMEM;
	id->registry = registry;
	id->findings = finding_cache_new(cache_max);
	id->runs = runs_new(cache_max);
	id->callers = callers_new();
	id->root_fd = cgroup_open_root(&id->where);
	if (!id->findings || !id->runs || !id->callers)
		return -ENOMEM;
	if (finding_is_own_trouble(id->root_fd))
		return id->root_fd;
	*ret = steal_ptr(&id);
	return 0;
}

struct identity *identity_free(struct identity *id)
{
	if (!id)
		return NULL;
	lru_free(id->findings);
	runs_free(id->runs);
	callers_free(id->callers);
	closep(&id->root_fd);
	free(id->where);
	free(id);
	return NULL;
}

void identity_set_opener(struct identity *id, int (*open_cgroup)(void *ctx, uint64_t cgroup_id),
			 void *ctx)
{
	id->open_cgroup = open_cgroup;
	id->open_cgroup_ctx = ctx;
}

int identity_peer_uid(int fd, uid_t *ret_uid, pid_t *ret_pid)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	*ret_uid = cred.uid;
	*ret_pid = cred.pid;
	return 0;
}

/* A descriptor, -ESRCH when the process is gone, -ENOPROTOOPT when the call is missing, or -errno. */
static int peer_pidfd(int fd)
{
	int pidfd = -1;
	socklen_t size = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return pidfd;
	if (errno == EINVAL) /* before 6.15: reaped */
		return -ESRCH;
	return errno == EPERM || errno == ENOSYS ? -ENOPROTOOPT : -errno;
}

/* The best pidfd of the peer that this kernel has; errors as of pidfd_of_process(). */
static int open_peer(struct identity *id, int fd, pid_t pid)
{
	int pidfd = id->lacks_peerpidfd ? -ENOPROTOOPT : peer_pidfd(fd);

	if (pidfd != -ENOPROTOOPT)
		return pidfd;
	id->lacks_peerpidfd = true;
	return pidfd_of_process(pid);
}

int identity_root(struct identity *id, const struct finding *finding, struct identity_root *ret)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(finding->instance);
	struct identity_root root = {.uid = PROCESS_NO_UID, .run_error = -ENODEV};
	const struct record *record;

	if (!s)
		return IDENTITY_E_UNKNOWN;
	if (id->root_fd >= 0)
		root.run_error = runs_current(id->runs, id->root_fd, finding->claimed,
					      finding->claimed_id, &root.run);
	if (finding_is_own_trouble(root.run_error))
		return root.run_error;
	record = snapshot_record(s);
	root.from_record = record->has_root;
	root.by_mount = record->match_mount;
	if (record->has_root)
		root.uid = record->root_uid;
	else if (root.run_error == 0)
		root.uid = root.run.root_uid;
	*ret = root;
	return 0;
}

/* The uid rule, for a caller that was recognised. */
static int check_uid(struct identity *id, const struct finding *finding, struct caller *caller)
{
	struct identity_root root = {0};
	int r = identity_root(id, finding, &root);

	if (r != 0)
		return r;
	caller->instance = instance_ref(finding->instance);
	caller->boot = root.by_mount ? boot_by_mount() : root.run.boot;
	if (!root.from_record && root.run_error == 0 && caller->uid != root.uid &&
	    runs_reread_root(id->runs, &root.run) == 0)
		root.uid = root.run.root_uid;
	if (caller->uid == root.uid && root.uid != PROCESS_NO_UID)
		return 0;
	if (!root.from_record && root.run_error == -ENOENT) {
		caller->instance = instance_unref(caller->instance);
		return IDENTITY_E_GONE;
	}
	return IDENTITY_E_NOT_ROOT;
}

int identity_peer(struct identity *id, int fd, struct caller *ret)
{
	_cleanup_(finding_unrefp) struct finding *f = NULL;
	_cleanup_(closep) int pidfd = -1;
	int r = identity_peer_uid(fd, &ret->uid, &ret->pid);

	if (r < 0)
		return r;
	pidfd = open_peer(id, fd, ret->pid);
	if (pidfd < 0)
		return pidfd == -ESRCH ? IDENTITY_E_GONE : pidfd;
	r = finding_of_process(id, pidfd, ret->pid, false, &f);
	if (r != 0)
		return r;
	ret->cgroup_path = strdup(f->path);
	if (!ret->cgroup_path)
		return -ENOMEM;
	ret->cgroup_id = f->cgroup_id;
	ret->generation = f->generation;
	return f->outcome != 0 ? f->outcome : check_uid(id, f, ret);
}

/* What a caller is that no claim covers. */
static int judge_outsider(pid_t tid, uid_t uid)
{
	unsigned depth;
	int r;

	if (uid != 0)
		return IDENTITY_E_UNKNOWN;
	r = process_depth(tid, &depth);
	if (finding_is_own_trouble(r))
		return r;
	if (r == -ESRCH)
		return IDENTITY_E_GONE;
	return r == 0 && depth == 1 ? IDENTITY_E_HOST : IDENTITY_E_UNKNOWN;
}

int identity_thread(struct identity *id, pid_t tid, uid_t uid, struct instance **ret_instance,
		    uint64_t *ret_claimed_id)
{
	_cleanup_(finding_unrefp) struct finding *f = NULL;
	int r = finding_of_thread(id, tid, &f);

	if (r != 0)
		return r;
	/* Only of one whose cgroup is known can be said that no claim covers it. */
	if (f->outcome == IDENTITY_E_UNKNOWN)
		return judge_outsider(tid, uid);
	if (f->outcome != 0)
		return f->outcome;
	*ret_instance = instance_ref(f->instance);
	*ret_claimed_id = f->claimed_id;
	return 0;
}

int identity_mount(struct identity *id, int fd, struct instance *i, struct caller *ret)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(i);
	const struct record *record = s ? snapshot_record(s) : NULL;
	int r = identity_peer_uid(fd, &ret->uid, &ret->pid);

	ret->by_mount = true;
	if (r < 0)
		return r;
	if (!record || !record->match_mount)
		return IDENTITY_E_UNKNOWN;
	ret->instance = instance_ref(i);
	ret->boot = boot_by_mount();
	return ret->uid == (record->has_root ? record->root_uid : 0) ? 0 : IDENTITY_E_NOT_ROOT;
}

/* No claim stands for it, so no generation tells of a change. */
static bool is_by_mount(struct instance *i)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(i);

	return s && snapshot_record(s)->match_mount;
}

int identity_confirm(struct identity *id, struct caller *c)
{
	uint64_t generation = registry_claims_generation(id->registry);
	_cleanup_(owner_finish) struct owner owner = {0};
	int r;

	if (c->by_mount)
		return is_by_mount(c->instance) ? 0 : IDENTITY_E_UNKNOWN;
	if (c->generation == generation)
		return 0;
	r = owner_find(id->registry, id->root_fd, c->cgroup_path, &owner);
	if (r == IDENTITY_E_CONFLICT)
		return r;
	if (r != 0 || owner.instance != c->instance)
		return IDENTITY_E_UNKNOWN;
	if (!owner.is_passing)
		c->generation = generation;
	return 0;
}

int identity_cgroup_of(struct identity *id, pid_t pid, char ret_path[CGROUP_PATH_MAX],
		       uint64_t *ret_id)
{
	_cleanup_(finding_unrefp) struct finding *f = NULL;
	_cleanup_(closep) int pidfd = pidfd_of_process(pid);
	int r;

	if (pidfd < 0)
		return pidfd;
	r = finding_of_process(id, pidfd, pid, true, &f);
	if (r < 0)
		return r;
	if (r == IDENTITY_E_GONE)
		return -ESRCH;
	if (r != 0 || streq(f->path, "/"))
		return -ENOENT;
	if (f->cgroup_id == 0)
		return -EOPNOTSUPP;
	memcpy(ret_path, f->path, strlen(f->path) + 1);
	*ret_id = f->cgroup_id;
	return 0;
}

/* The run in @path, if that is claimed for @i and for nobody else. As current_run(). */
static int run_at(struct identity *id, struct instance *i, const char *path, struct run *ret)
{
	_cleanup_(owner_finish) struct owner owner = {0};
	int r = owner_find(id->registry, id->root_fd, path, &owner);

	if (r == 0 && (owner.instance != i || owner.claimed_id == 0 || path[owner.n_claimed]))
		return IDENTITY_E_UNKNOWN;
	if (r == 0)
		r = runs_current(id->runs, id->root_fd, path, owner.claimed_id, ret);
	return r == 0 || finding_is_own_trouble(r) ? r : IDENTITY_E_UNKNOWN;
}

/* The run of @i by its binding, else its match, and where it is. 0, IDENTITY_E_UNKNOWN: none, or -errno. */
static int find_run(struct identity *id, struct instance *i, char path[CGROUP_PATH_MAX],
		    struct run *ret)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(i);
	const char *match = s ? snapshot_record(s)->match_cgroup : NULL;
	uint64_t bound_id;
	int r = IDENTITY_E_UNKNOWN;

	if (id->root_fd < 0)
		return r;
	if (registry_binding(id->registry, instance_name(i), path, &bound_id) == 0)
		r = run_at(id, i, path, ret);
	if (r == IDENTITY_E_UNKNOWN && match) {
		snprintf(path, CGROUP_PATH_MAX, "%s", match);
		r = run_at(id, i, path, ret);
	}
	return r;
}

static int current_run(struct identity *id, struct instance *i, struct run *ret)
{
	char path[CGROUP_PATH_MAX];

	return find_run(id, i, path, ret);
}

static bool boot_by_claims(struct identity *id, struct instance *i, struct boot *ret)
{
	struct run run;

	if (current_run(id, i, &run) != 0)
		return false;
	*ret = run.boot;
	return true;
}

void guest_ids_finish(struct guest_ids *ids)
{
	idmap_finish(&ids->map);
}

/* By the first process, which may end while we look. As identity_guest_ids(). */
static int ids_of_run(struct identity *id, struct instance *i, struct guest_ids *ret)
{
	int r = -ESRCH;

	for (int tries = 0; r == -ESRCH && tries < 3; tries++) {
		struct run run;

		r = current_run(id, i, &run);
		if (r != 0)
			return r;
		r = runs_idmap(&run.boot, &ret->map);
		if (r == 0)
			ret->boot = run.boot;
	}
	return r == -ESRCH ? IDENTITY_E_UNKNOWN : r;
}

int identity_guest_ids(struct identity *id, struct instance *i, struct guest_ids *ret)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = instance_snapshot(i);
	const struct record *record = s ? snapshot_record(s) : NULL;
	struct guest_ids ids = {0};
	int r;

	if (!record)
		return IDENTITY_E_UNKNOWN;
	if (record->has_root)
		r = idmap_of_range(record->root_uid, record->root_gid, GUEST_IDS_OF_RECORD,
				   &ids.map);
	else
		r = ids_of_run(id, i, &ids);
	/* It may be in a cgroup that nobody knows, so none of its processes can be asked. */
	if (r == IDENTITY_E_UNKNOWN && record->match_mount)
		r = idmap_of_range(0, 0, 1, &ids.map);
	if (r == 0)
		*ret = ids;
	return r;
}

bool identity_boot(struct identity *id, struct instance *i, struct boot *ret)
{
	if (!is_by_mount(i))
		return boot_by_claims(id, i, ret);
	*ret = boot_by_mount();
	return true;
}

bool identity_is_running(struct identity *id, struct instance *i)
{
	char path[CGROUP_PATH_MAX];
	struct run run;

	/* The first process may be there for a while after it has left its cgroup, until it is reaped. */
	return find_run(id, i, path, &run) == 0 && cgroup_is_populated(id->root_fd, path);
}

json_t *identity_explain(struct identity *id, pid_t pid)
{
	return explain_process(id, pid);
}

json_t *identity_features(struct identity *id)
{
	int sockets[2], pidfd = -1;
	bool has_peerpidfd = false;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0) {
		pidfd = peer_pidfd(sockets[0]);
		has_peerpidfd = pidfd >= 0;
		closep(&pidfd);
		closep(&sockets[0]);
		closep(&sockets[1]);
	}
	return explain_features(id, has_peerpidfd);
}
