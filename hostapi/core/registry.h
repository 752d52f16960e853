#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registry: all instances, by name and by the cgroups that claim to be them
 *
 * Lookups are O(1) in the number of instances and return references; changes
 * swap pointers under a lock that is never held while calling out. A claim says
 * "processes in this cgroup are that instance": by path (match.cgroup of a
 * record) or by cgroup id (a binding a hook made). Whether claims agree is
 * judged in identity.c; the registry only keeps them.
 *
 * A name stays known as long as its record is in force or anybody holds its
 * instance, so that a record that returns fills the same instance again. When
 * the last holder has gone, the next change of the registry forgets the name;
 * a record of that name is then a new instance.
 *
 * Thread-safe. Changes are ordered by one lock, in which differences are
 * computed; lookups wait only for the swap itself.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "core/cgroup.h"
#include "core/instance.h"

struct diff;
struct registry;
struct snapshot;

/* NULL = no memory. */
struct registry *registry_new(void);
/* Instances live on with those who hold them. NULL-safe; always NULL. */
struct registry *registry_free(struct registry *r);
DEFINE_CLEANUP(struct registry *, registry_free);

/* A reference, or NULL when no record of that name is or was in force while somebody holds it. */
struct instance *registry_find(struct registry *r, const char *name);

/* The same for any name: a record of that name will be that instance's while somebody holds it. NULL = no memory. */
struct instance *registry_remember(struct registry *r, const char *name);

/*
 * Makes @s (a reference is taken) the current snapshot of its name, creating
 * the instance if needed, and its match.cgroup the instance's path claim.
 * *ret_diff (never NULL on success, caller frees) is the difference.
 * Returns 0 or -ENOMEM (nothing changed).
 */
int registry_publish(struct registry *r, struct snapshot *s, struct diff **ret_diff);

/*
 * The record is gone: no snapshot, no claims. The instance stays for those who hold it.
 * Returns 0, -ENOENT, or -ENOMEM (nothing changed). *ret_diff as above.
 */
int registry_withdraw(struct registry *r, const char *name, struct diff **ret_diff);

/*
 * All instances with a snapshot, sorted by name, one reference each; release
 * with registry_list_free(). Returns 0 or -ENOMEM.
 */
int registry_list(struct registry *r, struct instance ***ret, size_t *ret_n);
void registry_list_free(struct instance **list, size_t n); /* NULL-safe */
size_t registry_size(struct registry *r);                  /* instances with a snapshot */

enum claim_kind {
	CLAIM_MATCH,
	CLAIM_BINDING
};

struct claim {
	enum claim_kind kind;
	struct instance *instance; /* a reference */
	uint64_t cgroup_id;        /* CLAIM_BINDING: only while the path has this id */
};

#define CLAIMS_MAX 8 /* claims on one path that are told apart; more are a conflict anyway */

/* Copies the claims on exactly @path; returns how many, at most CLAIMS_MAX. Release each with claim_finish(). */
size_t registry_claims(struct registry *r, const char *path, struct claim ret[CLAIMS_MAX]);
/* Releases what registry_claims() filled in; zeroed ones are fine. */
void claim_finish(struct claim *c);

/*
 * Binds the cgroup @path (as the kernel prints it) with id @cgroup_id to the instance @name; an earlier
 * binding of the same instance is replaced. Returns 0, -EINVAL for a path that is too long, -ENOENT when no such
 * instance is in force, or -ENOMEM; nothing changed unless 0.
 */
int registry_bind(struct registry *r, const char *name, const char *path, uint64_t cgroup_id);
int registry_unbind(struct registry *r, const char *name); /* 0 or -ENOENT */
/* The binding of @name. 0 or -ENOENT. */
int registry_binding(struct registry *r, const char *name, char ret_path[CGROUP_PATH_MAX],
		     uint64_t *ret_cgroup_id);

/* Changes whenever any claim does: what was resolved under another number must be resolved again. */
uint64_t registry_claims_generation(struct registry *r);
