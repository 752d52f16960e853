/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owner: from a cgroup path to the one instance that claims it
 *
 * Knows neither processes nor sockets. Invariant: of two instances that both
 * validly claim a cgroup neither is its owner, however they claim it.
 */
#include "core/owner.h"

#include "core/identity.h"
#include "core/registry.h"

void owner_finish(struct owner *o)
{
	o->instance = instance_unref(o->instance);
}

int owner_cgroup_id(int root_fd, const char *path, uint64_t *ret_id)
{
	int r = root_fd < 0 ? -ENOENT : cgroup_id(root_fd, path, ret_id);

	if (r != -ENOENT)
		return r;
	*ret_id = 0;
	return 0;
}

/* Whether @i is bound to a cgroup that exists and is not within @path. What cannot be told is not believed. */
static bool is_bound_elsewhere(struct registry *registry, int root_fd, const struct instance *i,
			       const char *path)
{
	char bound[CGROUP_PATH_MAX];
	uint64_t bound_id, now;

	if (registry_binding(registry, instance_name(i), bound, &bound_id) < 0)
		return false;
	if (owner_cgroup_id(root_fd, bound, &now) < 0)
		return true;
	return now == bound_id && !cgroup_is_within(bound, path);
}

bool owner_is_valid(struct registry *registry, int root_fd, const struct claim *claim,
		    const char *path, uint64_t cgroup_id)
{
	if (claim->kind == CLAIM_BINDING)
		return cgroup_id != 0 && claim->cgroup_id == cgroup_id;
	return !is_bound_elsewhere(registry, root_fd, claim->instance, path);
}

struct question {
	struct registry *registry;
	int root_fd;
	const char *path;
};

/* Judges the @n claims on one path, lent. */
static int judge(const struct question *q, const struct claim *claims, size_t n, uint64_t cgroup_id,
		 struct owner *ret)
{
	struct instance *winner = NULL;

	/* There may be more than these. */
	if (n >= CLAIMS_MAX)
		return IDENTITY_E_CONFLICT;
	for (size_t i = 0; i < n; i++) {
		if (!owner_is_valid(q->registry, q->root_fd, &claims[i], q->path, cgroup_id)) {
			/* The end of a cgroup makes a match count again, and nobody says so. */
			ret->is_passing |= claims[i].kind == CLAIM_MATCH;
			continue;
		}
		if (winner && winner != claims[i].instance)
			return IDENTITY_E_CONFLICT;
		winner = claims[i].instance;
	}
	if (!winner)
		return IDENTITY_E_UNKNOWN;
	ret->instance = instance_ref(winner);
	ret->claimed_id = cgroup_id;
	return 0;
}

static int judge_path(struct registry *registry, int root_fd, const char *path, struct owner *ret)
{
	struct claim claims[CLAIMS_MAX];
	size_t n = registry_claims(registry, path, claims);
	uint64_t id;
	int r = n == 0 ? IDENTITY_E_UNKNOWN : owner_cgroup_id(root_fd, path, &id);

	if (r == 0)
		r = judge(&(struct question){registry, root_fd, path}, claims, n, id, ret);
	for (size_t i = 0; i < n; i++)
		claim_finish(&claims[i]);
	return r;
}

int owner_find(struct registry *r, int root_fd, const char *path, struct owner *ret)
{
	char level[CGROUP_PATH_MAX];

	memcpy(level, path, strlen(path) + 1);
	/* The root is everybody's. */
	for (bool more = !streq(level, "/"); more; more = cgroup_parent(level)) {
		int err = judge_path(r, root_fd, level, ret);

		if (err == 0)
			ret->n_claimed = strlen(level);
		if (err != IDENTITY_E_UNKNOWN)
			return err;
	}
	return IDENTITY_E_UNKNOWN;
}
