#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store: record files -> snapshots in the registry
 *
 * Owns the rules of design section 5: CONF and STATE together, a name in both
 * is an error naming both files, the last good snapshot outlives a bad record,
 * a vanished record is believed after one second (or at once when told), a
 * profile change reaches every instance that uses it. Watches through dir.h in
 * a thread of its own; the admin socket asks it to load one record now. One
 * lock orders both.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "core/identity.h"
#include "core/registry.h"
#include "store/parse.h"

struct diff;
struct settings;
struct store;

/*
 * Told of every change after the registry has it; called without the registry's lock, from the loading thread. The store's
 * lock is held: it must not call the store, except store_set_ready().
 */
typedef void (*store_observer)(void *ctx, const struct diff *diff);

/*
 * What there is to tell besides changes; each may be NULL and gets observer_ctx. A front's thread calls with no lock of the
 * store's held, a loading one as it calls the observer.
 */
struct store_listener {
	/* The guest has said Ready, for the first time or again. */
	void (*ready)(void *ctx, const char *name);
	/* The instance has another binding, or none any more. */
	void (*bound)(void *ctx, const char *name);
	/* A record is rejected, once for each version; @name is NULL unless it is an instance's. @reason has no values. */
	void (*rejected)(void *ctx, const char *name, const char *reason);
};

struct store_options {
	const char *conf_dir, *state_dir;
	const char *
		group; /* borrowed: whose right to read the operator is told to mend; NULL: nobody's */
	const struct settings *settings; /* borrowed for the life of the store */
	struct registry *registry;       /* borrowed */
	struct identity *identity;       /* borrowed */
	store_observer observer;         /* may be NULL */
	void *observer_ctx;
	const struct store_listener *listener; /* borrowed; may be NULL */
	bool is_trial;                         /* reads, and writes nothing */
};

/*
 * dir_init() must have been called. Sets up watches, reads every record, and
 * publishes what is good. Bad records are logged and listed, never fatal; a
 * missing directory is waited for. Returns 0 or -errno (-EACCES on a directory that is there).
 */
int store_new(const struct store_options *options, struct store **ret);

/* Starts the watch thread, which lives as long as the process. Returns 0 or -errno. */
int store_start(struct store *s);

/* Only for tests and tools that never called store_start(). NULL-safe; always NULL. */
struct store *store_free(struct store *s);
DEFINE_CLEANUP(struct store *, store_free);

enum {
	_STORE_E_SUCCESS,
	STORE_E_NOT_FOUND, /* no such record in CONF or STATE: withdrawn at once if it was in force */
	STORE_E_REJECTED, /* does not parse, or stands in both: *error says so, the old snapshot stays */
};

/*
 * Loads the record @name now, and for a profile the instances that use it. *ret_changes (may be
 * NULL) becomes an array of {"instance","kind","action","name"}, also with STORE_E_* codes. Returns 0,
 * a STORE_E_* code, or -errno.
 */
int store_load(struct store *s, enum record_kind kind, const char *name, json_t **ret_changes,
	       struct buf *error);

/*
 * Ready or Started for the run @boot of @i, kept in volatile/; nothing is done for a run that is not known. Never
 * waits for records being loaded. Returns 0, STORE_E_NOT_FOUND when @i has no record, or -errno (nothing changed).
 */
int store_set_ready(struct store *s, struct instance *i, const struct boot *boot, bool ready);

/*
 * Binds a cgroup to the instance @name and keeps that in volatile/: @top, which that of @pid is or is in; NULL: that of @pid itself.
 * Returns 0, STORE_E_NOT_FOUND, -ESRCH (no such process), -ENOENT (no cgroup of its own), -EXDEV (it is not in @top), or -errno.
 */
int store_bind(struct store *s, const char *name, pid_t pid, const char *top);
/* Returns 0, STORE_E_NOT_FOUND, -ENOENT (not bound), or -errno. */
int store_unbind(struct store *s, const char *name);

/*
 * Records that are not in force as written: an array of {"kind","name","file","error","since"} ("since" in
 * seconds of the wall clock), and for each whether an older snapshot is "in_force". A file whose name is none of a
 * record has the kind "file" and its path as name. NULL = no memory. A new reference.
 */
json_t *store_rejected(struct store *s);

/*
 * {"directories": [{"path", "error": null|"text"}], "instances", "profiles" (in force), "rejected",
 * "files_read" (since the start)}. NULL = no memory. A new reference.
 */
json_t *store_status(struct store *s);
