#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cloud-init.ssh-keys.* merged into user-data and vendor-data
 *
 * Pure: texts in, text out. Which text is merged when is config.c's decision;
 * reading and writing YAML is cloudcfg.c's.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SEED_KEYS_MAX 1024 /* more are not merged */

/* One ssh key value, USER:KEY, taken apart; points into the value. */
struct seed_key {
	const char *user, *key;
	size_t user_len, key_len;
};

/*
 * Takes @value (@n bytes) apart at its first colon, white space around either side dropped. False when
 * there is nothing to merge: no colon ("none" switches an inherited key off), an empty side, not
 * UTF-8, or a NUL.
 */
bool seed_key_parse(const char *value, size_t n, struct seed_key *ret);

/*
 * Merges @keys (in this order) into @text (@n bytes; may be empty). Appends
 * the result to @b. Returns 0, -EINVAL when @text is not mergeable or there are more than SEED_KEYS_MAX
 * keys (the caller then answers @text as it is), or -ENOMEM; @b is unchanged on failure.
 */
int seed_merge(const char *text, size_t n, const struct seed_key *keys, size_t n_keys,
	       struct buf *b);

enum {
	SEED_USERS_NONE,  /* no such member */
	SEED_USERS_EMPTY, /* there, but null, "", [] or {} */
	SEED_USERS_SOME,
};

/*
 * What @text, a cloud-config, says about `users`: a SEED_USERS_* value, -EINVAL
 * when it is not mergeable, or -ENOMEM.
 */
int seed_users(const char *text, size_t n);
