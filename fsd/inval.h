#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Invalidation: telling the kernel that what it remembers of the tree is old
 *
 * Notifications of different nature, each a write(2) to the mount:
 *  - of a node: its attributes are asked for again. Takes no lock that a guest could hold. One thread,
 *    "notify", writes these, in order.
 *  - that a node is gone, in addition: what the kernel remembers of its name is dropped unless somebody uses it at the
 *    moment. For calls that ask for no attributes (O_PATH, inotify, mount), which would find the old node and then be told
 *    ESTALE again and again. Takes no such lock either. Linux 6.18; before, such calls are wrong until
 *    somebody opens the file or asks for its attributes by name.
 *  - of an entry: a name is looked up again. Needs the directory's lock in the kernel, which a guest of that directory can
 *    hold for as long as it likes, and its own lookups then wait behind us; so they are few (branch.c says which), an
 *    instance has one at a time, in its lane, and lanes are served by a small pool that grows by a thread for each that
 *    does not come back.
 *
 * What is told is never what makes contents right: opening a node that is not current is refused by itself.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct inval;
struct inval_batch;

/* One instance's; embedded, zeroed, and alive as long as a batch of it is. */
struct inval_lane {
	struct inval_batch *waiting;    /* whose entries are to be told */
	bool is_in_flight;              /* one of them is being told */
	struct inval_lane *prev, *next; /* inval::ready */
};

/* What one change of one instance makes old; done together. */
struct inval_batch {
	const char *name; /* of the instance, for whoever waits; lives until done() */
	struct inval_lane *lane;
	/* Called once all is told, by some thread, with no lock held. Frees the batch. */
	void (*done)(struct inval_batch *b);
	void *arg;
	size_t n_nodes, n_entries, nodes_size, entries_size;
	struct inval_node {
		uint64_t id;
		bool is_gone;
	} * nodes;
	struct inval_entry {
		uint64_t parent;
		char *name; /* the batch's */
	} * entries;
	/* inval.c's own */
	uint64_t ticket, submitted_us;
	struct inval_batch *prev, *next;             /* inval::unfinished */
	struct inval_batch *queue_prev, *queue_next; /* inval::fresh or inval_lane::waiting */
};

/*
 * @fuse_fd is borrowed. Starts its threads. @idle is called by one of them with @ctx and no lock held when no node is to be told,
 * until it returns false, and again after the next batch or inval_wake(). Returns 0 or -errno.
 */
int inval_new(int fuse_fd, bool (*idle)(void *ctx), void *ctx, struct inval **ret);

/* There is something for idle() to do. */
void inval_wake(struct inval *v);

/*
 * Ends the threads, except those that the kernel holds, which nothing can end but the guest; with those the memory
 * stays, and done() is not called any more. What was not told stays untold. NULL-safe; always NULL.
 */
struct inval *inval_free(struct inval *v);
DEFINE_CLEANUP(struct inval *, inval_free);

/* Zeroed batches may be filled by these. Return 0 or -ENOMEM. */
int inval_add_node(struct inval_batch *b, uint64_t id);
/* No name stands for it any more; directories before what is in them. */
int inval_add_gone(struct inval_batch *b, uint64_t id);
int inval_add_entry(struct inval_batch *b, uint64_t parent, const char *name);
/* Frees what it holds, and itself. */
void inval_batch_free(struct inval_batch *b);

/* Has the batch told; it is inval's until done() is called, which frees it. Never waits. */
void inval_submit(struct inval *v, struct inval_batch *b);

/*
 * Waits until all that was submitted before has been told, for each batch until @patience_us after it was submitted: what
 * has been held up for longer is waited for no more. Then calls @stalled (with the instance's name, under a lock: it
 * must not wait) for each batch that was not told.
 */
void inval_wait(struct inval *v, uint64_t patience_us, void (*stalled)(void *arg, const char *name),
		void *arg);

/* Whether the kernel remembers the node @id at all; its attributes are then asked for again. Never waits. */
bool inval_knows(struct inval *v, uint64_t id);

/* Drops what the kernel remembers of the name of the node @id, unless somebody uses it. Linux 6.18; before, does nothing. Never waits. */
void inval_drop(struct inval *v, uint64_t id);

/* How many instances are kept waiting for a second or more by a guest that holds a directory. */
unsigned inval_n_stalled(struct inval *v);
