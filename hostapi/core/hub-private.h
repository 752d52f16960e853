#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hub.c, publishing, shares with hub-log.c, which is one log and who listens to it
 *
 * A log has its own lock, for its slot and for who waits; the hub's is for which logs there are, and one more for those in which
 * somebody is to be woken. They are taken in this order.
 */
#include <pthread.h>

/* Running out of memory leaves the element out, which its hh.tbl == NULL tells. */
#define HASH_NONFATAL_OOM 1
/* The default one falls through its switch in a way that clang warns of. */
#define HASH_FUNCTION HASH_OAT
#include <uthash.h>

#include "base/log.h"
#include "core/hub.h"
#include "core/pubstate.h"

struct snapshot;

struct hub_log {
	_Atomic unsigned refs; /* the hub's own is one */
	struct hub *hub;
	char *name; /* NULL: a log of the host */
	bool with_values;
	UT_hash_handle hh; /* hub::logs */

	pthread_mutex_t lock;       /* of what follows */
	struct eventlog_slot *slot; /* NULL: a log of the host that nobody listens to */
	struct hub_waiter *waiters;

	/* Under hub::queue_lock. */
	bool is_queued;
	struct hub_log *prev, *next; /* hub::queue */
};

struct hub {
	pthread_mutex_t
		changing; /* of who publishes to guests, and of the journal; before all other locks */
	struct published *published; /* NULL: nothing outlives the process */
	struct eventlog *memory;
	pthread_rwlock_t lock; /* of logs, and of the memory's slots */
	struct hub_log *logs;  /* by name */
	struct hub_log host[2];
	pthread_mutex_t queue_lock; /* of what follows */
	pthread_cond_t queue_cond;
	struct hub_log *queue;
	bool is_stopping;
	bool is_started;
	pthread_t thread;
	_Atomic size_t n_waiters;
	_Atomic uint64_t n_published;
	struct log_limit trouble_log;
};

/* One with a reference, in no hub's table. NULL = no memory. */
struct hub_log *hub_log_new(struct hub *h, const char *name, struct eventlog_slot *slot);
/* With its lock held: appends a line of @n bytes and has its waiters woken. */
void hub_log_append(struct hub_log *l, const char *line, size_t n);
/* With its lock held: has its waiters woken. */
void hub_log_wake(struct hub_log *l);
/* With its lock held: its first line. The file is never empty, which some who read it could not cope with. */
void hub_log_begin(struct hub_log *l);
/* Takes as many waiters as have their turn, and queues it again if there are more. */
struct hub_waiter *hub_log_take(struct hub_log *l);

/* A reference to the log of that name, or NULL. */
struct hub_log *hub_log_find(struct hub *h, const char *name);
/*
 * The instance is gone: what its log has is not for another one of the same name. Who has the file open still may see that come, in the
 * same place; if nobody has, and nobody but the caller holds it, it goes.
 */
void hub_log_forget(struct hub_log *l);
/* The lines that a guest gets of @d at @time, one behind the other, for @l. Returns how many, or -ENOMEM. */
ssize_t hub_log_lines(const struct hub_log *l, const struct diff *d, const struct timespec *time,
		      struct buf *lines);
/* Appends @lines but the first @n_skipped, and has its waiters woken. */
void hub_log_append_lines(struct hub_log *l, const struct buf *lines, uint64_t n_skipped);

/* With changing held: publishes as hub_changed(). */
void hub_publish(struct hub *h, const struct diff *d, hub_committed committed, void *ctx);
/*
 * With changing held: commits that @s (NULL: gone) is what is published of @name, with the @n_lines that @l (NULL: there is no log) is to get
 * next. What cannot be kept is logged: the next hub then publishes nothing of what changed before it.
 */
void hub_keep(struct hub *h, const char *name, struct snapshot *s, struct hub_log *l,
	      uint64_t n_lines, const struct timespec *time);
/* With changing held, when all lines have reached their logs. */
void hub_tidy(struct hub *h);
