#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting records into force
 *
 * From a record and its profiles to the registry: finds the instance-id, which
 * lives in STATE/volatile, publishes the snapshot, restores what the daemon
 * kept of an instance that appears (its binding and readiness), and tells the
 * observer. Everything that writes volatile files is here.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "store/store.h"

struct publisher {
	struct registry *registry; /* borrowed, as identity */
	struct identity *identity;
	store_observer observer; /* may be NULL */
	void *observer_ctx;
	struct store_listener listener;
	char *state_dir;
	json_t *changes; /* borrowed: an array that changes are added to; NULL: not wanted */
	bool is_trial;   /* volatile files are not written */
	bool in_trouble; /* said that volatile files cannot be written */
	/*
	 * Guards the volatile files, which front threads change while the store is locked by a
	 * long load. Taken inside the store's lock, held while one file is read and written.
	 */
	pthread_mutex_t lock;
};

/* Returns 0 or -ENOMEM. */
int publish_init(struct publisher *p, const struct store_options *options);
void publish_finish(struct publisher *p);

/*
 * Makes @record with its @profiles (in the order it names them) the state of its instance. *ret_n_changes
 * is how many keys and devices differ. Returns 0 or -errno (nothing changed).
 */
int publish_record(struct publisher *p, struct record *record, struct record *const *profiles,
		   size_t n_profiles, size_t *ret_n_changes);

/* Takes the instance out of force. Returns 0 or -ENOMEM. */
int publish_withdraw(struct publisher *p, const char *name);

/* Tells the listener that the record of @name (NULL: of no instance) is rejected. */
void publish_rejection(const struct publisher *p, const char *name, const char *reason);

/* See store.h. Thread-safe by p->lock alone. */
int publish_ready(struct publisher *p, struct instance *i, const struct boot *boot, bool ready);
int publish_bind(struct publisher *p, const char *name, pid_t pid, const char *top);
int publish_unbind(struct publisher *p, const char *name);
