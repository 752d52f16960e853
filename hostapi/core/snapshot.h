#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot: one instance as it stands, immutable and reference-counted
 *
 * The instance's own record, the records of its profiles (shared between all
 * instances that use them, so that a large profile is held once) and its
 * cloud-init instance-id. Both fronts answer from a snapshot only. "Expanded"
 * means profiles in order, then the instance; the last one that has the key wins.
 */
#include <stddef.h>
#include <time.h>

#include "base/cleanup.h"
#include "core/record.h"

#define INSTANCE_ID_MAX 64 /* bytes of an instance-id, NUL not counted */

struct snapshot;

/*
 * Takes references to @record and to @n_profiles @profiles (in order). @instance_id
 * is copied (at most INSTANCE_ID_MAX bytes). NULL = no memory. Release with snapshot_unref().
 */
struct snapshot *snapshot_new(struct record *record, struct record *const *profiles,
			      size_t n_profiles, const char *instance_id);
struct snapshot *snapshot_ref(struct snapshot *s);
struct snapshot *snapshot_unref(struct snapshot *s); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct snapshot *, snapshot_unref);

/* The instance's own record; this and the texts below live as long as the snapshot. */
const struct record *snapshot_record(const struct snapshot *s);
/* The records of its profiles, in the order of application; @i < snapshot_n_profiles(). */
size_t snapshot_n_profiles(const struct snapshot *s);
struct record *snapshot_profile(const struct snapshot *s, size_t i);
/* The instance's name. */
const char *snapshot_name(const struct snapshot *s);
const char *snapshot_hostname(const struct snapshot *s);    /* the record's, else the name */
const char *snapshot_instance_id(const struct snapshot *s); /* never NULL */

/*
 * Expanded value of @key, NUL-terminated; NULL when no layer has it. An empty value hides that of a
 * weaker layer and means unset to the caller. @ret_len may be NULL. Lives as long as the snapshot.
 */
const char *snapshot_config(const struct snapshot *s, const char *key, size_t *ret_len);

/* text_to_bool() of the expanded value: 1, 0, or -1 when unset or neither. */
int snapshot_config_bool(const struct snapshot *s, const char *key);

/*
 * security.devlxd and security.devlxd.socket are on unless explicitly false; security.devlxd.images is on
 * when set and not false. Each is the value of its key alone: who serves the socket asks the first two.
 */
bool snapshot_devlxd_is_on(const struct snapshot *s);
bool snapshot_socket_is_on(const struct snapshot *s);
bool snapshot_images_are_on(const struct snapshot *s);

/*
 * Walks the expanded config in key order, each key once with its winning
 * value. Start with *key = NULL; the call sets *key, *ret_value and *ret_len and returns true,
 * or false at the end. O(log n) a step, no allocation.
 */
bool snapshot_config_next(const struct snapshot *s, const char **key, const char **ret_value,
			  size_t *ret_len);

/*
 * Walks the expanded devices in name order; a device of a later layer replaces one of the same name whole.
 * Start with *name = NULL. *ret_config is owned by the snapshot.
 */
bool snapshot_device_next(const struct snapshot *s, const char **name,
			  const struct table **ret_config);

/* Whether there is a device @name; *ret_config as above. O(log n). */
bool snapshot_device(const struct snapshot *s, const char *name, const struct table **ret_config);

/* When the youngest of its records was written. */
struct timespec snapshot_written(const struct snapshot *s);

/* The address of a NIC without one: volatile.NAME.hwaddr of the instance's own config, or NULL. */
const char *snapshot_device_hwaddr(const struct snapshot *s, const char *device);
