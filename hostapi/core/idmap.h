#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who the ids of a user namespace are outside of it
 *
 * The texts of /proc/PID/uid_map and gid_map, as the reader's own namespace sees them. Pure. A
 * table is as large as what it says; one without extents maps nobody.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define IDMAP_EXTENTS_MAX 340 /* what the kernel keeps of a map */

/* @count ids from @inside on are those from @host on. */
struct idmap_extent {
	uint32_t inside, host, count;
};

struct idmap_table {
	size_t n;
	struct idmap_extent *extents; /* owned; NULL when there are none */
};

struct idmap {
	struct idmap_table uid, gid;
};

/* Zeroed ones are fine; leaves an empty map. */
void idmap_finish(struct idmap *map);
void idmap_table_finish(struct idmap_table *table);

/*
 * Reads the text of one map. Extents that the reader has no ids for are left out. *ret is the
 * caller's to finish. Returns 0, -EINVAL for what no kernel writes, or -ENOMEM; *ret is set only
 * with 0.
 */
int idmap_table_parse(const char *text, struct idmap_table *ret);

/* Both maps of a namespace. As idmap_table_parse(). */
int idmap_parse(const char *uid_text, const char *gid_text, struct idmap *ret);

/*
 * The map of the ids from 0 to @count - 1 to those from @uid and @gid on, less what would go
 * beyond the largest id. *ret is the caller's to finish. Returns 0 or -ENOMEM.
 */
int idmap_of_range(uint32_t uid, uint32_t gid, uint32_t count, struct idmap *ret);

/* Whether the id @inside has one on the host, then *ret_host. */
bool idmap_to_host(const struct idmap_table *table, uint32_t inside, uint32_t *ret_host);
