#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owner: from a cgroup path to the one instance that claims it
 *
 * The judgement over the registry's claims: the longest path with valid claims
 * that is it or an ancestor decides. A binding is valid while the cgroup at its path is the one that was
 * bound. A match (a path in a record) is a guess, and valid unless the instance has such a binding
 * somewhere else: who is known is not looked for, and another manager's guest may have that path.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "core/cgroup.h"

struct claim;
struct instance;
struct registry;

struct owner {
	struct instance *instance; /* a reference; NULL unless there is one owner */
	size_t n_claimed;          /* length of the claimed path, a prefix of the one asked for */
	uint64_t claimed_id;       /* id of the cgroup there; 0 when not known */
	bool is_passing;           /* may change without a change of claims: not to be remembered */
};
void owner_finish(struct owner *o);

/*
 * Who owns the cgroup at @path; @root_fd is the hierarchy's (negative: not mounted, bindings then
 * cannot be checked and are not valid). Returns 0, IDENTITY_E_UNKNOWN, IDENTITY_E_CONFLICT, or
 * -errno; *ret is set only with 0, is_passing always.
 */
int owner_find(struct registry *r, int root_fd, const char *path, struct owner *ret);

/* The id of the cgroup at @path for owner_is_valid(); 0 when there is none. 0 or -errno. */
int owner_cgroup_id(int root_fd, const char *path, uint64_t *ret_id);

/* Whether @claim on @path counts while the cgroup there has @cgroup_id; @root_fd as above. */
bool owner_is_valid(struct registry *registry, int root_fd, const struct claim *claim,
		    const char *path, uint64_t cgroup_id);
