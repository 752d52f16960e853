#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cloud-init.ssh-keys.* merged into user-data and vendor-data
 *
 * devlxd-api.md section 2, points 1 to 6, with the fix of section 12 #7: only
 * called when at least one ssh key is set. Pure: texts in, text out; libyaml
 * reads and writes. Guests' operators write these texts, so it is fuzzed.
 */
#include <stddef.h>

#include "base/buf.h"

struct seed_key {
	const char *value; /* USER:KEY or USER:import-id */
	size_t len;
};

/*
 * Merges @keys (in this order) into @text (@n bytes; may be empty). Appends
 * the result to @b. Returns 0, -EINVAL when @text is not mergeable (the caller then
 * answers it as it is), or -ENOMEM.
 */
int seed_merge(const char *text, size_t n, const struct seed_key *keys, size_t n_keys,
	       struct buf *b);

/*
 * Whether @text, a mergeable cloud-config, has a `users` member: 1, 0, or
 * -EINVAL when it is not mergeable, -ENOMEM.
 */
int seed_has_users(const char *text, size_t n);
