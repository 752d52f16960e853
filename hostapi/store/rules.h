#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks of the members that are devlxdfs's own: match, root, files
 *
 * Each is called for its member with the right JSON type, fills c->record, and
 * returns 0, -EINVAL with the complaint written, or -ENOMEM. Called by parse.c.
 */
#include "store/check.h"

/* {cgroup: PATH} or {mount: true} or {}. */
int rules_check_match(struct check *c, const json_t *value);

/* {uid: N, gid: N}; gid is the uid when left out. */
int rules_check_root(struct check *c, const json_t *value);

/* [{path, mode, owner}]: checked, kept by nobody before the tree reads it. */
int rules_check_files(struct check *c, const json_t *value);
