/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /1.0/devices
 *
 * The expanded devices with every key, all values strings (clients decode a
 * map of maps of strings), sorted. A NIC without an address gets the one its
 * manager keeps in volatile.NAME.hwaddr: cloud-init matches interfaces by it.
 */
#include "api/resources.h"
#include "base/json.h"
#include "core/snapshot.h"
#include "core/table.h"

/* The address to fill in for device @name, or NULL. */
static const char *missing_hwaddr(const struct snapshot *s, const char *name,
				  const struct table *config)
{
	const char *type = table_get(config, "type", NULL);
	const char *hwaddr = table_get(config, "hwaddr", NULL);

	if (!type || !streq(type, "nic") || (hwaddr && *hwaddr))
		return NULL;
	return snapshot_device_hwaddr(s, name);
}

int devices_each_pair(const struct snapshot *s, const char *name, const struct table *config,
		      int (*each)(void *ctx, const struct table_pair *pair), void *ctx)
{
	const char *hwaddr = missing_hwaddr(s, name, config);
	int r = 0;

	for (size_t i = 0; r == 0 && i < table_size(config); i++) {
		struct table_pair pair = table_at(config, i);
		int order = hwaddr ? strcmp("hwaddr", pair.key) : 1;

		if (order <= 0) {
			r = each(ctx, &(struct table_pair){"hwaddr", hwaddr, strlen(hwaddr)});
			hwaddr = NULL;
		}
		if (r == 0 && order != 0)
			r = each(ctx, &pair);
	}
	if (r == 0 && hwaddr)
		r = each(ctx, &(struct table_pair){"hwaddr", hwaddr, strlen(hwaddr)});
	return r;
}

struct object {
	struct buf *json;
	bool is_begun;
};

static int append_pair(void *ctx, const struct table_pair *pair)
{
	struct object *o = ctx;
	int r = o->is_begun ? buf_putc(o->json, ',') : 0;

	o->is_begun = true;
	if (r >= 0)
		r = json_append_string(o->json, pair->key, strlen(pair->key), false);
	if (r >= 0)
		r = buf_putc(o->json, ':');
	return r < 0 ? r : json_append_string(o->json, pair->value, pair->value_len, false);
}

static int append_device(const struct snapshot *s, const char *name, const struct table *config,
			 struct buf *b)
{
	struct object o = {.json = b};
	int r = buf_putc(b, '{');

	if (r >= 0)
		r = devices_each_pair(s, name, config, append_pair, &o);
	return r < 0 ? r : buf_putc(b, '}');
}

int devices_text(const struct snapshot *s, struct buf *b)
{
	const struct table *config;
	const char *name = NULL;
	int r = buf_putc(b, '{');

	for (bool first = true; r >= 0 && snapshot_device_next(s, &name, &config); first = false) {
		if (!first)
			r = buf_putc(b, ',');
		if (r >= 0)
			r = json_append_string(b, name, strlen(name), false);
		if (r >= 0)
			r = buf_putc(b, ':');
		if (r >= 0)
			r = append_device(s, name, config, b);
	}
	return r < 0 ? r : buf_puts(b, "}\n");
}

int devices_get(const struct request *request, struct reply *reply)
{
	_cleanup_(buf_finish) struct buf b = {0};
	int r = devices_text(request->snapshot, &b);

	return r < 0 ? r : reply_bytes(reply, REPLY_JSON, &b);
}
