#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event: one line of JSON, as LXD's clients know it
 *
 * {"type":...,"timestamp":...,"metadata":{...}} and a newline: members in this order, strings escaped as
 * Go's encoder does. Pure text; knows neither logs nor who reads them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/buf.h"

struct change;

enum event_type {
	EVENT_CONFIG,
	EVENT_DEVICE,
	EVENT_LIFECYCLE,
	_EVENT_TYPE_N,
};

#define EVENT_TYPE_BIT(type) (1U << (type))
#define EVENT_TYPES_ALL      (EVENT_TYPE_BIT(_EVENT_TYPE_N) - 1)
/* What who does not say gets. */
#define EVENT_TYPES_DEFAULT (EVENT_TYPE_BIT(EVENT_CONFIG) | EVENT_TYPE_BIT(EVENT_DEVICE))

/* "config", ...; constant. */
const char *event_type_name(enum event_type type);

/* The bits of a comma list, decoded: unknown types are nothing, NULL or empty is EVENT_TYPES_DEFAULT. */
unsigned event_types_parse(const char *list);

/* Whether the line of @n bytes is of one of @types. */
bool event_is_of(const char *line, size_t n, unsigned types);

/* What happened to an instance or to the daemon, for the host; the first also to the guest's log. */
enum lifecycle {
	LIFECYCLE_LOG_STARTED, /* a log begins: only in the file of events */
	LIFECYCLE_CREATED,
	LIFECYCLE_UPDATED,
	LIFECYCLE_DELETED,
	LIFECYCLE_READY,
	LIFECYCLE_STARTED, /* its cgroup has processes */
	LIFECYCLE_STOPPED,
	LIFECYCLE_IMAGE_RETRIEVED,
	LIFECYCLE_RECORD_REJECTED,
	LIFECYCLE_LIMIT_REACHED,
	LIFECYCLE_IDENTITY_REFUSED,
	LIFECYCLE_UPGRADED, /* the daemon; the next, too */
	LIFECYCLE_UPGRADE_FAILED,
	_LIFECYCLE_N,
};

/* "instance-created", ...; constant. */
const char *lifecycle_name(enum lifecycle action);

/*
 * Whether a guest hears of the change: of user.* keys and of all devices.
 */
bool event_is_for_guest(const struct change *c);

struct event_options {
	struct timespec time;
	const char *instance; /* appended as the last member for who hears of many; NULL: not */
	bool without_values;  /* neither values of keys nor devices' configuration */
	bool is_truncated;    /* says that values were left out because they are too large */
};

/*
 * Appends the line for the change. Returns 0 or -ENOMEM.
 */
int event_put_change(struct buf *b, const struct change *c, const struct event_options *o);

/*
 * Appends the line for @action on the instance @name (NULL: not known which); @reason (NULL: none) says why, in words without values.
 * Returns 0 or -ENOMEM.
 */
int event_put_lifecycle(struct buf *b, enum lifecycle action, const char *name, const char *reason,
			const struct event_options *o);

/* Appends the line that stands for @n_lost events which a reader missed. Returns 0 or -ENOMEM. */
int event_put_lost(struct buf *b, unsigned long long n_lost);
