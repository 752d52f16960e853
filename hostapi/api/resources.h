#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest API's handlers, one file per resource (root.c config.c metadata.c
 * devices.c events.c images.c pro.c state.c), in route.h's form. The texts that the
 * tree will also show are functions of their own, so that both fronts answer
 * from one place.
 */
#include "api/reply.h"
#include "api/request.h"
#include "base/buf.h"

struct table;
struct table_pair;

/* GET / */
int root_get(const struct request *request, struct reply *reply);
/* GET /1.0 */
int state_get(const struct request *request, struct reply *reply);
/* PATCH /1.0 */
int state_patch(const struct request *request, struct reply *reply);
/* GET /1.0/config */
int config_list(const struct request *request, struct reply *reply);
/* GET /1.0/config/{key} */
int config_get(const struct request *request, struct reply *reply);
/* GET /1.0/meta-data */
int metadata_get(const struct request *request, struct reply *reply);
/* GET /1.0/devices */
int devices_get(const struct request *request, struct reply *reply);
/* GET /1.0/events */
int events_get(const struct request *request, struct reply *reply);
/* GET /1.0/images/{fingerprint}/export */
int images_export(const struct request *request, struct reply *reply);
/* GET /1.0/ubuntu-pro */
int pro_get(const struct request *request, struct reply *reply);
/* POST /1.0/ubuntu-pro/token */
int pro_token(const struct request *request, struct reply *reply);

/*
 * What a guest reads at config key @key of @s. Outcome OK: *ret_bytes (*ret_len of them) is owned by
 * @s, or is *ret_owned when that is set (caller frees). FORBIDDEN: outside user.* and cloud-init.*.
 * NOT_FOUND: unset or empty.
 * Returns 0 or -errno.
 */
int config_value(struct snapshot *s, const char *key, enum outcome *ret_outcome,
		 const char **ret_bytes, size_t *ret_len, char **ret_owned);

/* Whether a guest may read the key @key at all: user.* and cloud-init.*. */
bool config_is_readable(const char *key);

/*
 * The keys that a guest can read: calls @each for every one until it returns non-zero. Listed ones are those
 * that GET /1.0/config shows, in its order; the others can only be read by name. Keys live as long as @s.
 * Returns 0, what @each returned, or -ENOMEM.
 */
int config_each(struct snapshot *s, int (*each)(void *ctx, const char *key, bool is_listed),
		void *ctx);

/* instance-id, local-hostname, user.meta-data: exact text. Returns 0 or -ENOMEM. */
int metadata_text(const struct snapshot *s, struct buf *b);

/*
 * The pairs of the device @name with the config @config in key order, with the address of a NIC that has none of its own: calls
 * @each for every one until it returns non-zero. Texts live as long as @s. Returns 0 or what @each returned.
 */
int devices_each_pair(const struct snapshot *s, const char *name, const struct table *config,
		      int (*each)(void *ctx, const struct table_pair *pair), void *ctx);

/* The expanded devices as one JSON object with newline. Returns 0 or -ENOMEM. */
int devices_text(const struct snapshot *s, struct buf *b);
