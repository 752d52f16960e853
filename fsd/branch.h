#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Branch: the part of the tree that belongs to one instance
 *
 * Binds the instance's name to a serial for the life of the mount, has its current index made when somebody asks, and
 * when that changes tells the kernel. A branch stays while the kernel remembers its directory, so that a
 * record that goes and comes back fills the same mount again.
 *
 * How the kernel is told of a content that was replaced: that its node's attributes are to be asked for again; the
 * answer is ESTALE, on which the kernel looks the name up anew by itself; and that the node is gone. While somebody has
 * the old content open, that would also strike who holds it; then the name is told instead (inval.h says what that can
 * cost), the old content is kept, and its descriptors go on reading it.
 *
 * Thread-safe. Locks are held in the order: the store's, a branch's, invalidation's; none while a reply or a
 * notification is written.
 */
#include "index.h"
#include "inval.h"
#include "kept.h"
#include "poke.h"

struct account;
struct imagefiles;
struct branch;
struct branches;

struct branches_options {
	const struct source *source; /* borrowed, as all here */
	struct hub *hub;
	struct shared *shared;
	struct imagefiles *images; /* NULL: there are none */
	const char *run_dir;
	int fuse_fd;
	int poke_fd; /* poker.h; -1: there is no poker */
	/*
	 * An instance wants a socket of its own, or wants it no more; called under a branch's lock: must neither wait nor come
	 * back.
	 */
	void (*want_socket)(void *ctx, uint32_t serial, struct instance *i, bool wanted);
	void *ctx;
};

/*
 * Takes up what an earlier worker told the kernel, and tells what has changed since. Returns 0 or -errno.
 */
int branches_new(const struct branches_options *options, struct branches **ret);
struct branches *branches_free(struct branches *all); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct branches *, branches_free);

/* The branch of the instance @name, made if there is that one; NULL when not, or without memory. A reference. */
struct branch *branches_get(struct branches *all, const char *name);
/* The same, if it has one already, whether there is such an instance now or not. */
struct branch *branches_find_named(struct branches *all, const char *name);
/* By the serial, the first part of its nodes' ids. A reference, or NULL. */
struct branch *branches_find(struct branches *all, uint32_t serial);

/* The nodes of images; NULL: there are none. */
struct imagefiles *branches_images(struct branches *all);

/* Where events are published. */
struct hub *branches_hub(struct branches *all);

/* The instance @name has changed, come or gone. */
void branches_changed(struct branches *all, const char *name);
/*
 * An earlier worker showed the instance @name as @view, whose reference is taken over: contents of that which the kernel remembers are
 * kept, and their names looked up again. Before anybody is served.
 */
void branches_was(struct branches *all, const char *name, struct source_view *view);
/* The kernel has forgotten the directory of the instance @serial, and with it all below. */
void branches_forgotten(struct branches *all, uint32_t serial);
/* The kernel has forgotten the content @id: nobody has it open. */
void branches_content_forgotten(struct branches *all, uint64_t id);
/* The socket for all is bound now. */
void branches_socket_bound(struct branches *all);
/* An instance's own socket is served now, or not any more. Whether it wants to have one: else it is to be taken away. */
bool branches_own_socket(struct branches *all, uint32_t serial, bool is_bound);

/* Whether the kernel remembers the directory of the instance @name. */
bool branches_knows(struct branches *all, const char *name);

/* What the poker is asked; NULL: there is none. */
struct poke *branches_poke(struct branches *all);

/* As inval_wait(). */
void branches_wait(struct branches *all, uint64_t patience_us,
		   void (*stalled)(void *arg, const char *name), void *arg);

struct branches_stats {
	size_t n_branches, n_indexes, n_nodes, n_kept_bytes;
	unsigned n_stalled;
};
/* Counts over all. */
void branches_count(struct branches *all, struct branches_stats *ret);

/* Another reference. */
struct branch *branch_ref(struct branch *b);
struct branch *branch_unref(struct branch *b); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct branch *, branch_unref);

/* Never given to another instance in the life of the mount. */
uint32_t branch_serial(const struct branch *b);
struct instance *branch_instance(const struct branch *b); /* lives as long as the branch */
/* Whether the kernel remembers its directory: somebody has it mounted, or has looked at it lately. */
bool branch_is_known(struct branch *b);

/* As source_ops::check, and notices another run of the guest. */
int branch_check(struct branch *b, const struct source_caller *caller);

/* Asks again who owns the nodes for @uid, who was told that he does not, or perhaps. */
void branch_refresh_owner(struct branch *b, uid_t uid);

/* The index as things are now; a reference. Returns 0 or -ENOMEM. */
int branch_index(struct branch *b, struct index **ret);

/*
 * Opens the file @id for the thread @tid, which @writes or not; to be closed with branch_close(). Returns 0 with its row,
 * -ESTALE when it is not what any name stands for now, -EACCES when nothing is shown, -EROFS, or -ENOMEM.
 *
 * On ESTALE the kernel looks the name up again and opens what it then finds, once. So that the next change in between
 * is no error to the program, a thread that was told ESTALE (branch_note_stale()) has what it looks up next
 * (branch_note_lookup()) reserved: that was current after its call began, and it may still open it. Both are also known
 * to a worker that takes over in between.
 */
int branch_open(struct branch *b, uint64_t id, pid_t tid, bool writes, enum tree_row *ret_row);
/* @tid was told ESTALE. */
void branch_note_stale(struct branch *b, pid_t tid);
/*
 * @tid is about to be told that a name stands for the content @id of @x. False: another index has taken the place of that
 * one, in which it could not be reserved; it is to be looked up again.
 */
bool branch_note_lookup(struct branch *b, const struct index *x, uint64_t id, pid_t tid);
void branch_close(struct branch *b, uint64_t id);
/* A replaced content that is kept because somebody has it open; a reference, or NULL. */
struct kept *branch_find_kept(struct branch *b, uint64_t id);

/*
 * The directory @n of @x is opened. Whether the kernel's listing of it can be kept: it was made after the last change.
 */
bool branch_keeps_listing(struct branch *b, const struct index *x, const struct index_node *n);

/* Drops what there is only while the kernel remembers the instance's directory. */
void branch_forgotten(struct branch *b);
