#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owner: from a cgroup path to the one instance that claims it
 *
 * The judgement over the registry's claims: the longest path with valid claims
 * that is it or an ancestor decides. A match (a path in a record) is always
 * valid; a binding only while the cgroup at its path is the one that was bound.
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
};
void owner_finish(struct owner *o);

/*
 * Who owns the cgroup at @path; @root_fd is the hierarchy's (negative: not mounted, bindings then
 * cannot be checked and are not valid). Returns 0, IDENTITY_E_UNKNOWN, IDENTITY_E_CONFLICT, or
 * -errno; *ret is set only with 0.
 */
int owner_find(struct registry *r, int root_fd, const char *path, struct owner *ret);

/* The id of the cgroup at @path for owner_is_valid(); 0 when there is none. 0 or -errno. */
int owner_cgroup_id(int root_fd, const char *path, uint64_t *ret_id);

/* Whether @claim counts while the cgroup at its path has @cgroup_id. */
bool owner_is_valid(const struct claim *claim, uint64_t cgroup_id);
