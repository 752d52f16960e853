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

/* Most rules in `files` of a record, and bytes of a rule's pattern. */
#define RULES_FILES_MAX   1024
#define RULES_PATTERN_MAX 4096

/* [{path: PATTERN, mode: "0440", owner: "UID:GID"}]; without mode and owner only the guest's root may read. */
int rules_check_files(struct check *c, const json_t *value);
