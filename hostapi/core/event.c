/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event: one line of JSON, as LXD's clients know it
 */
#include "core/event.h"

#include "base/json.h"
#include "base/text.h"
#include "core/diff.h"
#include "core/table.h"

/* A name that is longer is left out of what is truncated. */
#define NAME_MAX_TRUNCATED 1024

static const char *const type_names[_EVENT_TYPE_N] = {
	[EVENT_CONFIG] = "config",
	[EVENT_DEVICE] = "device",
	[EVENT_LIFECYCLE] = "lifecycle",
};

static const char *const lifecycle_names[_LIFECYCLE_N] = {
	[LIFECYCLE_LOG_STARTED] = "log-started",
	[LIFECYCLE_CREATED] = "instance-created",
	[LIFECYCLE_UPDATED] = "instance-updated",
	[LIFECYCLE_DELETED] = "instance-deleted",
	[LIFECYCLE_READY] = "instance-ready",
	[LIFECYCLE_STARTED] = "instance-started",
	[LIFECYCLE_STOPPED] = "instance-stopped",
	[LIFECYCLE_IMAGE_RETRIEVED] = "image-retrieved",
	[LIFECYCLE_RECORD_REJECTED] = "record-rejected",
	[LIFECYCLE_LIMIT_REACHED] = "limit-reached",
	[LIFECYCLE_IDENTITY_REFUSED] = "identity-refused",
	[LIFECYCLE_UPGRADED] = "daemon-upgraded",
	[LIFECYCLE_UPGRADE_FAILED] = "upgrade-failed",
};

const char *event_type_name(enum event_type type)
{
	return type_names[type];
}

const char *lifecycle_name(enum lifecycle action)
{
	return lifecycle_names[action];
}

unsigned event_types_parse(const char *list)
{
	unsigned types = 0;

	if (!list || !*list)
		return EVENT_TYPES_DEFAULT;
	for (;;) {
		size_t n = strcspn(list, ",");

		for (enum event_type t = 0; t < _EVENT_TYPE_N; t++)
			if (strlen(type_names[t]) == n && memcmp(type_names[t], list, n) == 0)
				types |= EVENT_TYPE_BIT(t);
		if (!list[n])
			return types;
		list += n + 1;
	}
}

bool event_is_of(const char *line, size_t n, unsigned types)
{
	static const char begin[] = "{\"type\":\"";
	size_t head = sizeof(begin) - 1;

	if (n < head || memcmp(line, begin, head) != 0)
		return false;
	for (enum event_type t = 0; t < _EVENT_TYPE_N; t++) {
		size_t len = strlen(type_names[t]);

		if ((types & EVENT_TYPE_BIT(t)) && n > head + len && line[head + len] == '"' &&
		    memcmp(line + head, type_names[t], len) == 0)
			return true;
	}
	return false;
}

bool event_is_for_guest(const struct change *c)
{
	return c->kind == CHANGE_DEVICE || text_has_prefix(c->name, "user.");
}

/* {"type":"config","timestamp":"2026-08-22T10:00:00.123456789+01:00","metadata": */
static int put_head(struct buf *b, enum event_type type, const struct timespec *time)
{
	char seconds[32], zone[8];
	struct tm tm;

	localtime_r(&time->tv_sec, &tm);
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
	/* "+0100"; as Go writes it, UTC is Z. */
	strftime(zone, sizeof(zone), "%z", &tm);
	if (tm.tm_gmtoff == 0)
		return buf_printf(b, "{\"type\":\"%s\",\"timestamp\":\"%s.%09ldZ\",\"metadata\":",
				  type_names[type], seconds, time->tv_nsec);
	return buf_printf(b, "{\"type\":\"%s\",\"timestamp\":\"%s.%09ld%.3s:%s\",\"metadata\":",
			  type_names[type], seconds, time->tv_nsec, zone, zone + 3);
}

/* @label, which begins with a comma or not, and the string. */
static int put_member(struct buf *b, const char *label, const char *text, size_t n)
{
	return buf_puts(b, label) < 0 ? -ENOMEM : json_append_string(b, text ?: "", n, true);
}

static int put_end(struct buf *b, const struct event_options *o)
{
	int r = 0;

	if (o->is_truncated)
		r = buf_puts(b, ",\"truncated\":true");
	if (r >= 0)
		r = buf_puts(b, "}");
	if (r >= 0 && o->instance)
		r = put_member(b, ",\"instance\":", o->instance, strlen(o->instance));
	return r < 0 ? r : buf_puts(b, "}\n");
}

static int put_config(struct buf *b, const struct change *c, const struct event_options *o,
		      const char *name)
{
	int r = put_member(b, "{\"key\":", name, strlen(name));

	if (r == 0 && !o->without_values) {
		r = put_member(b, ",\"old_value\":", c->old_value, c->old_len);
		if (r == 0)
			r = put_member(b, ",\"value\":", c->new_value, c->new_len);
	}
	return r;
}

/* A device's configuration, by key. */
static int put_table(struct buf *b, const struct table *t)
{
	int r = buf_puts(b, ",\"config\":{");

	for (size_t i = 0; i < table_size(t) && r >= 0; i++) {
		struct table_pair p = table_at(t, i);

		r = i > 0 ? buf_puts(b, ",") : 0;
		if (r >= 0)
			r = put_member(b, "", p.key, strlen(p.key));
		if (r >= 0)
			r = put_member(b, ":", p.value, p.value_len);
	}
	return r < 0 ? r : buf_puts(b, "}");
}

static int put_device(struct buf *b, const struct change *c, const struct event_options *o,
		      const char *name)
{
	static const char *const actions[] = {
		[CHANGE_ADDED] = "added",
		[CHANGE_UPDATED] = "updated",
		[CHANGE_REMOVED] = "removed",
	};
	int r = buf_printf(b, "{\"action\":\"%s\"", actions[c->action]);

	if (r >= 0 && !o->without_values)
		r = put_table(b, c->action == CHANGE_REMOVED ? c->old_config : c->new_config);
	return r < 0 ? r : put_member(b, ",\"name\":", name, strlen(name));
}

int event_put_change(struct buf *b, const struct change *c, const struct event_options *o)
{
	struct event_options put = *o;
	const char *name = c->name;
	int r = put_head(b, c->kind == CHANGE_CONFIG ? EVENT_CONFIG : EVENT_DEVICE, &o->time);

	put.without_values |= put.is_truncated;
	if (put.is_truncated && strlen(name) > NAME_MAX_TRUNCATED)
		name = "";
	if (r >= 0)
		r = c->kind == CHANGE_CONFIG ? put_config(b, c, &put, name)
					     : put_device(b, c, &put, name);
	return r < 0 ? r : put_end(b, &put);
}

int event_put_lifecycle(struct buf *b, enum lifecycle action, const char *name, const char *reason,
			const struct event_options *o)
{
	int r = put_head(b, EVENT_LIFECYCLE, &o->time);

	if (r >= 0)
		r = buf_printf(b, "{\"action\":\"%s\"", lifecycle_names[action]);
	if (r >= 0 && name)
		r = buf_puts(b, ",\"source\":\"/1.0/instances/") < 0
			    ? -ENOMEM
			    : buf_printf(b, "%s\"", name); /* letters, digits and - _ . */
	if (r >= 0 && reason)
		r = put_member(b, ",\"context\":{\"reason\":", reason, strlen(reason)) < 0
			    ? -ENOMEM
			    : buf_puts(b, "}");
	return r < 0 ? r : put_end(b, o);
}

int event_put_lost(struct buf *b, unsigned long long n_lost)
{
	return buf_printf(b, "{\"type\":\"lost\",\"metadata\":{\"events\":%llu}}\n", n_lost);
}
