#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Config keys by name: which mean something, which are LXD's own business,
 * and which look like a slip of the fingers. Knows no values.
 */
#include "base/buf.h"

/*
 * Whether @key is likely a typo; then *ret_meant (may be NULL to say only that no such key exists)
 * is what was meant.
 */
bool keys_is_typo(const char *key, const char **ret_meant);

/* Whether the daemon reads @key as true or false. */
bool keys_is_boolean(const char *key);

/* Whether a guest sees @key or the daemon acts on it. */
bool keys_matters(const char *key);
