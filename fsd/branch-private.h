#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What branch.c, one instance, shares with branches.c, all of them
 */
#include <pthread.h>

/* Running out of memory leaves the element out, which its hh.tbl == NULL tells. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "branch.h"

struct branches {
	struct branches_options options;
	struct inval *inval;
	struct poke *poke; /* NULL: there is no poker */
	int told_fd;       /* RUN/published */
	int kept_fd;       /* kept.h */
	bool is_successor; /* there were workers before */
	int64_t started_ns; /* realtime, as times of changes: what is older an earlier worker may have shown */
	uint32_t started_ms; /* monotonic, as shared::retries */
	pthread_rwlock_t
		lock; /* of the two hashes and the list; never held while a branch's is taken */
	struct branch *by_serial, *by_name;
	_Atomic unsigned n_dropped; /* indexes, since memory was last given back */
	struct branch *untold;      /* their files are to be written; a reference each */
};

/* How many descriptors of a content are open. */
struct branch_opened {
	uint64_t id;
	unsigned n;
	UT_hash_handle hh; /* branch::opened */
};

/* A listing that the kernel was allowed to keep. */
struct branch_listing {
	uint64_t id;
	int64_t changed_ns;
	UT_hash_handle hh; /* branch::listings */
};

/* A thread that was told ESTALE, and what it has looked up since. */
struct branch_retry {
	pid_t tid;
	uint64_t id; /* counted as opened; 0: nothing yet */
	uint64_t since_us;
	struct branch_retry *prev, *next; /* branch::retries, oldest first */
};

struct branch {
	_Atomic unsigned refs;
	struct branches *all;
	uint32_t serial;
	struct instance *instance; /* a reference */
	struct inval_lane lane;
	_Atomic uint64_t run;   /* as of source_ops::check, when the owner was last asked for */
	UT_hash_handle hh;      /* branches::by_serial */
	UT_hash_handle hh_name; /* branches::by_name */
	struct branch *
		next_untold; /* branches::untold; itself at the end of that list; under branches::lock */

	pthread_mutex_t lock; /* of all below */
	struct index *
		index; /* NULL until somebody asks, and again once the kernel has forgotten all of it */
	unsigned n_telling; /* changes that the kernel has not been told of, or not of all */
	struct source_owner owner;
	bool wants_own_socket, is_own_socket_bound;
	struct branch_opened *opened;
	struct branch_listing *listings;
	struct kept *kept;
	_Atomic size_t n_kept;
	size_t n_kept_bytes;
	struct branch_retry *retries;
	_Atomic unsigned n_retries;
};

/*
 * @n of @old is not what its name stands for in @x any more, @n of @x not what it stood for in @old: appended to *@list if watchers
 * are to be told. Without memory they are not.
 */
void branch_poke_stale(const struct branch *b, const struct index *old, const struct index_node *n,
		       const struct index *x, struct poke_item **list);
void branch_poke_fresh(const struct branch *b, const struct index *x, const struct index_node *n,
		       const struct index *old, struct poke_item **list);

/* With the lock held: counts @id as opened once more. Returns 0 or -ENOMEM. */
int branch_count_open(struct branch *b, uint64_t id);
/* With the lock held. */
bool branch_has_open(const struct branch *b, uint64_t id);
/* With the lock held: the opposite of branch_count_open(); the last one drops what was kept for it. */
void branch_count_close(struct branch *b, uint64_t id);
/* With the lock held: whether @tid may open @id though it is not current; it is counted as opened then, else not. */
bool branch_take_reserved(struct branch *b, uint64_t id, pid_t tid);
/* With the lock held: forgets retries that are too old to come. */
void branch_expire_retries(struct branch *b);
/* With the lock held: forgets all retries. */
void branch_drop_retries(struct branch *b);

/* With the lock held: keeps the content @n of @x, for who has it open. Without memory, or when it is too large, they get ESTALE. */
void branch_keep(struct branch *b, const struct index *x, const struct index_node *n);
/* Takes over @k, which an earlier worker kept. */
void branch_inherit(struct branch *b, struct kept *k);
/* Whether an earlier worker may have opened @n. */
bool branch_is_inherited(const struct branch *b, const struct index_node *n);
/* With the lock held. */
bool branch_is_kept(const struct branch *b, uint64_t id);
/* The kernel has forgotten the content @id. */
void branch_content_forgotten(struct branch *b, uint64_t id);
/* With the lock held: nobody whom this worker knows has @id open any more. */
void branch_let_go(struct branch *b, uint64_t id);
/* Forgets all that is kept; its files stay, for the next worker. */
void branch_forget_kept(struct branch *b);

/* One with a reference, in no set. Takes a reference of @i. NULL = no memory. */
struct branch *branch_new(struct branches *all, struct instance *i, uint32_t serial);
/* Takes up @x, restored, in place of nothing. */
void branch_restore(struct branch *b, struct index *x);
/* Makes its index current if it has one, and settles whether it wants a socket of its own. */
void branch_changed(struct branch *b);
/* As branches_was(). */
void branch_was(struct branch *b, struct source_view *view);
/* Has its file written, some time soon. */
void branch_set_untold(struct branch *b);
