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

bool owner_is_valid(const struct claim *claim, uint64_t cgroup_id)
{
	return claim->kind == CLAIM_MATCH || (cgroup_id != 0 && claim->cgroup_id == cgroup_id);
}

int owner_cgroup_id(int root_fd, const char *path, uint64_t *ret_id)
{
	int r = root_fd < 0 ? -ENOENT : cgroup_id(root_fd, path, ret_id);

	if (r != -ENOENT)
		return r;
	*ret_id = 0;
	return 0;
}

/* Judges the @n claims on one path, lent. */
static int judge(const struct claim *claims, size_t n, uint64_t cgroup_id, struct owner *ret)
{
	struct instance *winner = NULL;

	/* There may be more than these. */
	if (n >= CLAIMS_MAX)
		return IDENTITY_E_CONFLICT;
	for (size_t i = 0; i < n; i++) {
		if (!owner_is_valid(&claims[i], cgroup_id))
			continue;
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
		r = judge(claims, n, id, ret);
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
