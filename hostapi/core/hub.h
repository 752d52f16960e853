#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub: where events are published, and whoever listens waits
 *
 * One log for each instance (eventlog.h), and two for the host, of all instances, which are fed while somebody
 * listens to them. A listener is a cursor in a log and, while it has read all of it, a waiter. Events are
 * ordered in each log; one that a log has no room for any more is lost to who has not read it, and it can tell.
 *
 * A waiter is woken once, by the thread "events", with no lock held, and instances take turns in that: what one of them does holds up
 * no other. Publishing costs the same whoever listens.
 *
 * Thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "core/event.h"
#include "core/eventlog.h"

struct diff;
struct registry;
struct hub;
struct hub_log;
struct instance;
struct snapshot;

struct hub_options {
	int fd; /* borrowed: memory that outlives the process, as eventlog_new(); -1: its own */
	size_t offset;
	uint32_t window; /* bytes of events kept for each instance */
};

/* Starts the thread. Returns 0 or -errno. */
int hub_new(const struct hub_options *options, struct hub **ret);
/* Nobody may wait. NULL-safe; always NULL. */
struct hub *hub_free(struct hub *h);
DEFINE_CLEANUP(struct hub *, hub_free);

/*
 * Goes on where an earlier hub ended, before anybody listens: completes what that had begun to publish, publishes what is different
 * in @registry from what was published last, each key once, and forgets what there is of instances that are not there any more. Of an
 * instance that is new nothing is published. Calls @before (may be NULL) with what was published last of each instance that is different
 * or gone: keys that a guest hears of, and devices. Call it once, while nothing changes. Returns 0 or -errno.
 */
int hub_take_up(struct hub *h, struct registry *registry,
		void (*before)(void *ctx, struct snapshot *s), void *ctx);

/*
 * Publishes what @diff says: to the guest, what it may know, if it may and might ask before and after; to the host, all of it, and
 * that the instance was created, updated or deleted. Listeners of an instance that may not ask any more, or is gone, are woken. Call it
 * in the order of the changes. What a hub that dies in the middle of it leaves is completed by hub_take_up() of the next.
 *
 * Calls @committed (may be NULL) as soon as the next hub would know of the change, and before anybody hears of it: others are to
 * show it by then.
 */
typedef void (*hub_committed)(void *ctx, const char *name);
void hub_changed(struct hub *h, const struct diff *diff, hub_committed committed, void *ctx);

/* Publishes to the host only; see event_put_lifecycle(). */
void hub_lifecycle(struct hub *h, enum lifecycle action, const char *name, const char *reason);

/* Wakes all who wait for @i: they are to look whether they may still listen. */
void hub_kick(struct hub *h, struct instance *i);

/*
 * The log of @i, made if there is none; a reference. Returns 0, -ENOSPC when there are as many as can be, or -ENOMEM.
 */
int hub_log_of(struct hub *h, struct instance *i, struct hub_log **ret);

/* The host's log, with values or without; fed while there are references to it. NULL = no memory. */
struct hub_log *hub_host_log(struct hub *h, bool with_values);

/* Another reference. */
struct hub_log *hub_log_ref(struct hub_log *l);
struct hub_log *hub_log_unref(struct hub_log *l); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct hub_log *, hub_log_unref);

/* Where the next event will be. */
void hub_end(struct hub_log *l, struct eventlog_cursor *ret);

/*
 * Copies whole lines of one of @types from *cursor on, as many as fit into @size bytes, at least hub_line_max(), and moves
 * *cursor past all it has looked at. Returns the bytes copied, 0 when there is nothing more yet, or -ENODATA when what comes next is
 * lost: hub_skip_lost() goes on behind it.
 */
ssize_t hub_read(struct hub_log *l, struct eventlog_cursor *cursor, unsigned types, char *bytes,
		 size_t size);

/* Moves *cursor behind what is lost; returns how many events that were. */
uint64_t hub_skip_lost(struct hub_log *l, struct eventlog_cursor *cursor);

/* Bytes that hub_read() needs at most for one line of @l. */
size_t hub_line_max(const struct hub_log *l);

/* Somebody who waits. Zeroed before the first time; wake is the owner's. */
struct hub_waiter {
	void (*wake)(struct hub_waiter *w); /* in the thread "events": must not wait */
	struct hub_waiter *prev, *next;     /* hub_log::waiters */
	struct hub_log *log;                /* while it waits */
};

/*
 * Waits until there is something behind @at (a cursor's position), or hub_kick(). Returns true: wake() will be called once, unless
 * hub_cancel() comes first; false: there is already, and it is not called.
 */
bool hub_wait(struct hub_log *l, uint64_t at, struct hub_waiter *w);

/* True: it waits no more and wake() is not called. False: wake() was called, or is being called, or will be, and its owner must reckon with it. */
bool hub_cancel(struct hub_log *l, struct hub_waiter *w);

/*
 * Readers of the file of events, by id: eventlog.h's, under the log's lock. hub_open() returns 0 with *ret_id, or -ENFILE; the others -EBADF for
 * an id that is not known. *ret_at is the position of @offset.
 */
int hub_open(struct hub_log *l, uint64_t *ret_id);
void hub_close(struct hub_log *l, uint64_t id);
ssize_t hub_read_file(struct hub_log *l, uint64_t id, uint64_t offset, char *bytes, size_t size,
		      uint64_t *ret_at);
int hub_seek_end(struct hub_log *l, uint64_t id);
/* *ret_has_more: as eventlog_has_more(); *ret_at: the position it has read up to; *ret_has_seen_end. Each may be NULL. */
int hub_reader(struct hub_log *l, uint64_t id, bool *ret_has_more, uint64_t *ret_at,
	       bool *ret_has_seen_end);
/* The base of the current file, the position of the end, and when that last moved (may be NULL). */
void hub_file(struct hub_log *l, uint64_t *ret_base, uint64_t *ret_end, int64_t *ret_changed_ns);

struct hub_stats {
	size_t n_logs;        /* instances that have one */
	size_t n_waiters;     /* listeners that have read all there is */
	uint64_t n_published; /* events in guests' logs, so far */
};
/* Counts over all. */
void hub_count(struct hub *h, struct hub_stats *ret);
