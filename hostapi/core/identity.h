#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identity: from a caller to an instance, by the kernel's word alone
 *
 * The only file that reads peer credentials. A caller is a connected unix
 * socket, or a thread whose FUSE request is pending. Steps: its pidfd, its
 * cgroup id, the path of that cgroup, the longest path with valid claims that
 * is it or an ancestor, by whole components. The uid of a socket's peer (at
 * connect time) must then be the host uid of that guest's root; of a thread none
 * is asked, modes decide. Answers are cached by cgroup id, which the kernel never
 * reuses, in a bounded cache that is dropped when claims change.
 * On a listener that one instance alone was given only the uid is asked.
 *
 * Ways, newest first; each call that a kernel lacks falls back alone:
 *   SO_PEERPIDFD (6.5) | SO_PEERCRED pid + pidfd_open
 *   PIDFD_GET_INFO (6.13) | pid + /proc/PID/cgroup, pidfd still alive afterwards
 *   PIDFD_THREAD (6.9) and PIDFD_GET_INFO | thread id + /proc/TID/cgroup, while it waits for us
 *
 * Thread-safe.
 */
#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "core/cgroup.h"
#include "core/idmap.h"
#include "core/instance.h"

struct identity;
struct registry;

enum {
	_IDENTITY_E_SUCCESS,
	IDENTITY_E_UNKNOWN,  /* no claim covers its cgroup, or it has none of its own */
	IDENTITY_E_CONFLICT, /* more than one instance claims its cgroup: neither wins */
	IDENTITY_E_GONE,     /* the peer died before it could be recognised */
	IDENTITY_E_NOT_ROOT, /* recognised, but not the guest's root */
	IDENTITY_E_HOST,     /* identity_thread() only: no guest, but the host's root */
	_IDENTITY_E_N,
};

/* The reason in words, for logs and whois. */
const char *identity_reason(int outcome);

struct caller {
	struct instance *instance; /* a reference; set for _IDENTITY_E_SUCCESS and NOT_ROOT */
	struct boot boot;          /* which run of the guest */
	uint64_t cgroup_id;        /* the caller's own (leaf) cgroup; 0 when not known */
	char *cgroup_path;         /* its path; NULL when not known */
	uint64_t generation; /* claims generation under which this was decided; 0: ask again */
	bool by_mount;       /* judged by identity_mount(): no cgroup is known */
	pid_t pid;           /* for the log only: never an identity */
	uid_t uid;
};
void caller_finish(struct caller *c);

/* @registry is borrowed and must outlive it. @cache_max entries. 0 or -errno. */
int identity_new(struct registry *registry, size_t cache_max, struct identity **ret);
struct identity *identity_free(struct identity *id); /* NULL-safe; always NULL */

/*
 * Has cgroups opened by their id in another way than by the privileged call: @open_cgroup returns a descriptor (O_PATH),
 * which is the caller's, or -errno. It may wait. Before any thread asks.
 */
void identity_set_opener(struct identity *id, int (*open_cgroup)(void *ctx, uint64_t cgroup_id),
			 void *ctx);
DEFINE_CLEANUP(struct identity *, identity_free);

/*
 * Who is on the other end of the connected unix socket @fd. Fills *ret (also
 * on refusal, as far as known; finish it). Never blocks. Returns an
 * IDENTITY_E_* code or a negative errno that is our own trouble (-EMFILE, -ENOMEM; -ENOSYS: the kernel
 * has no pidfds, or a filter denies them, so nobody can be recognised).
 */
int identity_peer(struct identity *id, int fd, struct caller *ret);

/*
 * Who asks in a FUSE request that is not answered yet: @tid and @uid are what the kernel says of
 * it, any thread, and its fsuid. The thread waits for us, which is what makes its id an identity:
 * never call it with an id from elsewhere. Does not block.
 *
 * Returns 0 with a reference in *ret_instance and in *ret_claimed_id the id of the cgroup by which
 * it was recognised (0: not known), whatever @uid is; IDENTITY_E_HOST for uid 0, in a cgroup that
 * is known and nobody's, and in no pid namespace below that of our /proc (where a privileged
 * container is); IDENTITY_E_UNKNOWN, also for @tid <= 0, which the kernel says of a caller that we
 * cannot see; IDENTITY_E_CONFLICT; IDENTITY_E_GONE when there is no such thread; or a negative
 * errno that is our own trouble. The outputs are set only with 0.
 */
int identity_thread(struct identity *id, pid_t tid, uid_t uid, struct instance **ret_instance,
		    uint64_t *ret_claimed_id);

/*
 * Who is on the other end of @fd, accepted on the listener of @i alone (http_listen()): whoever holds
 * that socket is @i while a record in force says match.mount and the peer's uid (at connect time) is the
 * record's root, 0 when it names none. Weaker than identity_peer(), for who may have been handed the
 * directory; no process, pidfd or cgroup is looked at, and no descriptor is opened. ret->boot is
 * boot_by_mount(): Ready lasts until Started is written or the record goes. Fills *ret as
 * identity_peer(), with by_mount. Returns 0, IDENTITY_E_UNKNOWN, IDENTITY_E_NOT_ROOT or -errno.
 */
int identity_mount(struct identity *id, int fd, struct instance *i, struct caller *ret);

/*
 * Asks again for a connection decided earlier: one by mount is kept while the record still says
 * match.mount; else from its cgroup, when claims have changed since: the same instance must still
 * own it. Cheap when nothing changed. Returns 0, IDENTITY_E_UNKNOWN or IDENTITY_E_CONFLICT.
 */
int identity_confirm(struct identity *id, struct caller *c);

/* The peer's uid and pid at connect time, for the admin socket. 0 or -errno. */
int identity_peer_uid(int fd, uid_t *ret_uid, pid_t *ret_pid);

/*
 * The cgroup of @pid as bindings need it: path and id, consistent with one
 * living process. 0, -ESRCH, -ENOENT (root cgroup or none of its own), -EOPNOTSUPP when the id
 * cannot be known (no cgroup2 hierarchy is mounted), or -errno.
 */
int identity_cgroup_of(struct identity *id, pid_t pid, char ret_path[CGROUP_PATH_MAX],
		       uint64_t *ret_id);

/*
 * Which run of the guest @i is going on now, by its claims; boot_by_mount() when its record says match.mount,
 * however its callers are recognised, so that all ways in agree on Ready. False when none.
 */
bool identity_boot(struct identity *id, struct instance *i, struct boot *ret);

#define GUEST_IDS_OF_RECORD 65536 /* how many ids a record's root stands for */

/* How a guest's own ids look to the host. */
struct guest_ids {
	struct boot boot; /* of the run whose maps these are; all zero: of every run */
	struct idmap map;
};
/* Zeroed ones are fine. */
void guest_ids_finish(struct guest_ids *ids);
/* Whether a cgroup that @i alone claims has processes. False says little of one with match.mount. */
bool identity_is_running(struct identity *id, struct instance *i);

/*
 * How the ids of the guest @i look to the host now: by its record's root, else by the maps of its
 * first process, else, for one that is matched by mount, 0 alone, as 0. A map is empty while the
 * guest is being started and has none yet, and may be the host's own shortly before that.
 *
 * Returns 0 with *ret, which the caller finishes; IDENTITY_E_UNKNOWN when the record does not say
 * and no run is known; or a negative errno that is our own trouble. *ret is set only with 0.
 */
int identity_guest_ids(struct identity *id, struct instance *i, struct guest_ids *ret);

/*
 * The steps for the process, or the thread, with the id @pid, for whois. Reads nothing from the
 * cache. NULL = no memory. A new reference:
 *   pid, exists
 *   process    of which it is a thread, itself for a first one; or null. What follows is said of
 *              the thread where the kernel has PIDFD_THREAD, else of its process.
 *   ways       as identity_features()
 *   cgroup     {path, id}, both null when not known
 *   tried      [{path, id, claims: [{kind: "match"|"binding", instance, cgroup_id, valid}]}], longest first
 *   uid        the process's effective uid, or null
 *   root       {uid, source: "record"|"uid_map"|null, init: pid|null, error: text|null}, or null
 *   instance   whose it is, also when it is not root there; or null
 *   outcome    "recognised", "unknown", "conflict", "gone", "not-root" or "trouble"
 *   reason     the outcome in words
 *   remedy     what to do about it, or null
 */
json_t *identity_explain(struct identity *id, pid_t pid);

/*
 * What this kernel and host offer to this process, tried now: {SO_PEERPIDFD, PIDFD_GET_INFO,
 * pidfd_open, PIDFD_THREAD: bool, cgroup2: "/path"|null, proc_hidepid: bool}. NULL = no memory.
 * A new reference.
 */
json_t *identity_features(struct identity *id);
