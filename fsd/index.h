#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Index: all nodes of one instance as it stands
 *
 * Immutable once built, and counted. Made of a view when the first of its nodes is asked for; a worker that has never seen
 * an id finds it by making the index again, because ids are computed: a keyed hash of the path, and for
 * contents of the bytes, the mode and the owner too. So a node never changes; what changes is which node a
 * name stands for, and comparing two indexes says all there is to say to the kernel.
 *
 * Nodes of one directory stand side by side, sorted by name; parents before children; the
 * instance's directory is the first.
 */
#include "base/cleanup.h"
#include "tree.h"

struct shared;

struct index_node {
	uint64_t hash;      /* id in the low TREE_LOW_BITS bits, generation above */
	int64_t changed_ns; /* realtime: when the value, or the listing, became what it is */
	const char *name;   /* file name */
	const char *key;    /* what stands for {…} in its path; NULL when nothing does */
	union {
		uint64_t size; /* of a TREE_CONTENT or TREE_FILE */
		struct {
			uint32_t first, n_children;
		}; /* of a TREE_DIRECTORY */
	};
	uint32_t parent;
	uint32_t
		cookie; /* its place in listings, above INDEX_COOKIE_MIN, whatever else is listed */
	uint8_t row;    /* enum tree_row */
	bool is_listed;
	bool is_shared; /* of a TREE_SOCKET or TREE_FILE: the node is the one for all */
};

/* Offsets of "." and ".." in a listing are below. */
#define INDEX_COOKIE_MIN 3

struct index {
	_Atomic unsigned refs;
	uint32_t serial;
	uint32_t n_nodes;
	bool is_hidden; /* nothing is shown: directories are there for those inside them, and empty */
	bool is_socket_bound, is_own_socket_bound; /* as given */
	const struct source *source;               /* NULL: it was restored, without contents */
	struct source_view *view;                  /* NULL when hidden or restored */
	struct source_images *images;              /* NULL when none are shown */
	struct source_owner owner;
	struct source_ids *ids; /* of the same run; may be NULL */
	char **owned;           /* names that are nobody else's, NULL at the end */
	uint32_t *by_id;        /* positions by id, but of what all share */
	uint32_t n_by_id;
	uint32_t *by_cookie; /* positions, each directory's by cookie */
	struct index_node nodes[];
};

struct index_input {
	const struct source *source;
	struct instance *instance;
	struct source_view *
		view; /* NULL: nothing to show; the index takes a reference of its own by ref_view */
	struct source_images *images;     /* the same */
	const struct source_owner *owner; /* copied */
	const unsigned char *secret;      /* SHARED_SECRET_SIZE bytes */
	uint32_t serial;
	bool is_socket_bound;     /* the one for all */
	bool is_own_socket_bound; /* the instance's own */
	bool is_by_mount;         /* its files are its own nodes */
};

/* Builds it; takes over the references in @input->view and @input->images on success only. changed_ns is when the view was written. Returns 0 or -ENOMEM. */
int index_new(const struct index_input *input, struct index **ret);
struct index *index_ref(struct index *x);
struct index *index_unref(struct index *x); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct index *, index_unref);

/* One node of an index that was kept elsewhere (told.h). */
struct index_kept {
	const char *path;
	uint64_t hash;
	int64_t changed_ns;
};

/*
 * An index without contents, of the @n @kept nodes (sorted by path, parents before children), to compare a real one with. What
 * the table does not know is left out. Returns 0 or -ENOMEM.
 */
int index_restore(const struct index_kept *kept, size_t n, uint32_t serial, struct index **ret);

/* The node with the id, or NULL. */
const struct index_node *index_find(const struct index *x, uint64_t id);
/* The child of @dir called @name, shown or not, or NULL. */
const struct index_node *index_child(const struct index *x, const struct index_node *dir,
				     const char *name);
/* The child of @dir that is listed first after the offset @cookie, or NULL. */
const struct index_node *index_next(const struct index *x, const struct index_node *dir,
				    uint64_t cookie);

/* Its number for the kernel, and the number that tells it from an earlier node of the same. */
uint64_t index_id(const struct index *x, const struct index_node *n);
uint64_t index_generation(const struct index_node *n);

/* Appends its path below the instance's directory. Returns 0 or -ENOMEM. */
int index_path(const struct index *x, const struct index_node *n, struct buf *path);

/* The value of a TREE_CONTENT. Returns 0, SOURCE_E_ABSENT or -ENOMEM. */
int index_read(const struct index *x, const struct index_node *n, struct source_bytes *ret);

/* What a TREE_FILE is. False: it was restored. */
bool index_file(const struct index *x, const struct index_node *n, struct source_file *ret);

/* Permission bits and owner. Returns 0 or -ENOMEM. */
int index_access(const struct index *x, const struct index_node *n, mode_t *ret_mode,
		 uid_t *ret_uid, gid_t *ret_gid);

/* What index_compare() finds. */
struct index_changes {
	/* @n of the old one is not what its name stands for any more. */
	void (*stale)(void *arg, const struct index *old, const struct index_node *n);
	/* The listing of the directory @n of the new one is another; in case of doubt, too. */
	void (*listing)(void *arg, const struct index *x, const struct index_node *n);
	/* The name of @n of the new one stands for it now: for another, or for nothing, before. */
	void (*fresh)(void *arg, const struct index *x, const struct index_node *n);
	void *arg;
};

/*
 * Carries over to @x, which nobody else has yet, the times of what has not changed since @old; what has gets @now_ns, and
 * directories a time above their old one. Calls back for what is different.
 */
void index_compare(const struct index *old, struct index *x, int64_t now_ns,
		   const struct index_changes *changes);
