/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Node: one node of the tree, found by its id or its name, and its attributes
 */
#include "node.h"

#include <time.h>

#include "imagefiles.h"

/* The kernel is told of changes, and asks when it opens. */
#define FOR_EVER (1e9)

void node_finish(struct node *n)
{
	index_unref(n->index);
	kept_unref(n->kept);
	branch_unref(n->branch);
	*n = (struct node){0};
}

/* The log, whichever of its nodes is meant. */
static int find_log(struct node *n)
{
	n->at = index_find(n->index, tree_id(branch_serial(n->branch), TREE_LOG_LOW));
	if (!n->at)
		return -ESTALE;
	n->row = n->at->row;
	return stream_file_of(branches_hub(n->all), n->branch, n->id & TREE_LOW_MASK, &n->file)
		       ? 0
		       : -ENOMEM;
}

/* Finds it in the current index, else among what is kept. */
static int find_in_branch(struct node *n)
{
	int r = branch_index(n->branch, &n->index);

	if (r < 0)
		return r;
	if (tree_id_is_log(n->id))
		return find_log(n);
	n->at = index_find(n->index, n->id);
	if (n->at) {
		n->row = n->at->row;
		return 0;
	}
	n->kept = branch_find_kept(n->branch, n->id);
	if (!n->kept)
		return -ESTALE;
	n->row = TREE_CONFIG_KEY; /* any content */
	return 0;
}

static int find_file(struct branches *all, uint64_t id, struct node *ret)
{
	ret->row = TREE_IMAGE_FILE;
	return branches_images(all) ? imagefiles_find(branches_images(all), id, &ret->file_on_disk)
				    : -ESTALE;
}

/* @uid: who must not be refused for an owner that is wrong; NULL: nobody. */
static int find(struct branches *all, uint64_t id, const uid_t *uid, struct node *ret)
{
	ret->id = id;
	ret->all = all;
	if (id == TREE_ROOT_ID) {
		ret->row = TREE_TOP;
		return 0;
	}
	if (id == TREE_SOCKET_ID)
		return node_shared_socket(ret);
	if (tree_id_is_file(id))
		return find_file(all, id, ret);
	ret->branch = branches_find(all, tree_serial(id));
	if (!ret->branch)
		return -ESTALE;
	if ((id & TREE_LOW_MASK) == TREE_OWN_SOCKET_LOW) {
		ret->row = TREE_SOCK;
		return 0;
	}
	if (uid)
		branch_refresh_owner(ret->branch, *uid);
	return find_in_branch(ret);
}

int node_find(struct branches *all, uint64_t id, struct node *ret)
{
	return find(all, id, NULL, ret);
}

int node_find_owned(struct branches *all, uint64_t id, uid_t uid, struct node *ret)
{
	return find(all, id, &uid, ret);
}

int node_top(struct branches *all, const char *name, struct node *ret)
{
	ret->all = all;
	ret->branch = branches_get(all, name);
	if (!ret->branch)
		return -ENOENT;
	ret->id = tree_id(branch_serial(ret->branch), TREE_TOP_LOW);
	return find_in_branch(ret);
}

int node_child(struct node *dir, const char *name, struct node *ret)
{
	const struct index_node *at;

	if (!dir->at || tree_row(dir->row)->kind != TREE_DIRECTORY)
		return -ENOTDIR;
	at = dir->index->is_hidden ? NULL : index_child(dir->index, dir->at, name);
	if (!at)
		return -ENOENT;
	node_of(dir, at, ret);
	return 0;
}

void node_of(const struct node *dir, const struct index_node *at, struct node *ret)
{
	*ret = *dir;
	ret->at = at;
	ret->row = at->row;
	ret->id = index_id(dir->index, at);
	ret->is_child = true;
	if (tree_row(at->row)->kind == TREE_LOG &&
	    stream_file(branches_hub(dir->all), dir->branch, &ret->file))
		ret->id = tree_id(branch_serial(dir->branch), ret->file.low);
}

int node_shared_socket(struct node *ret)
{
	ret->id = TREE_SOCKET_ID;
	ret->row = TREE_SOCK;
	return 0;
}

int node_own_socket(struct branches *all, uint32_t serial, struct node *ret)
{
	int r = find(all, tree_id(serial, TREE_OWN_SOCKET_LOW), NULL, ret);

	return r == -ESTALE ? -ENOENT : r;
}

static void fill_stat(const struct node *n, mode_t mode, uint64_t size, int64_t changed_ns,
		      struct stat *st)
{
	static const mode_t types[] = {
		[TREE_DIRECTORY] = S_IFDIR, [TREE_CONTENT] = S_IFREG, [TREE_STREAM] = S_IFREG,
		[TREE_LOG] = S_IFREG,       [TREE_SOCKET] = S_IFSOCK, [TREE_FILE] = S_IFREG,
	};
	enum tree_kind kind = tree_row(n->row)->kind;

	st->st_ino = n->id;
	st->st_mode = types[kind] | mode;
	st->st_nlink = kind == TREE_DIRECTORY ? 2 : 1;
	st->st_size = (off_t)size;
	st->st_blksize = 4096;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
	st->st_mtim.tv_sec = changed_ns / 1000000000;
	st->st_mtim.tv_nsec = changed_ns % 1000000000;
	st->st_ctim = st->st_atim = st->st_mtim;
}

/* "Started\n" or "Ready\n". */
static uint64_t state_size(const struct node *n)
{
	const struct source *s = n->index->source;

	return strlen(s->ops->state(s->ctx, branch_instance(n->branch))) + 1;
}

static uint64_t size_of(const struct node *n)
{
	switch (tree_row(n->row)->kind) {
	case TREE_CONTENT:
	case TREE_FILE:
		return n->at->size;
	case TREE_STREAM:
		return state_size(n);
	case TREE_LOG:
		return n->file.size;
	default:
		return 0;
	}
}

static int64_t changed_ns_of(const struct node *n)
{
	switch (tree_row(n->row)->kind) {
	case TREE_SOCKET:
		return 0; /* however it is found: others see the socket for all, too */
	case TREE_LOG:
		return n->file.changed_ns;
	default:
		return n->at->changed_ns;
	}
}

bool node_file(const struct node *n, struct source_file *ret)
{
	if (tree_row(n->row)->kind != TREE_FILE)
		return false;
	if (n->at)
		return index_file(n->index, n->at, ret);
	*ret = n->file_on_disk;
	return true;
}

int node_stat(const struct node *n, struct stat *ret, double *ret_timeout)
{
	struct stat st = {0};
	mode_t mode;
	int r;

	*ret_timeout = FOR_EVER;
	if (n->kept) {
		fill_stat(n, n->kept->mode, n->kept->size, n->kept->changed_ns, &st);
		st.st_uid = n->kept->uid;
		st.st_gid = n->kept->gid;
	} else if (n->at) {
		enum tree_kind kind = tree_row(n->row)->kind;

		r = index_access(n->index, n->at, &mode, &st.st_uid, &st.st_gid);
		if (r < 0)
			return r;
		fill_stat(n, mode, size_of(n), changed_ns_of(n), &st);
		if (kind == TREE_STREAM || kind == TREE_LOG)
			*ret_timeout = 0;
		/* For people, and for tail -F, it is the same file whichever node has the name. */
		if (kind == TREE_LOG)
			st.st_ino = index_id(n->index, n->at);
	} else if (n->row == TREE_IMAGE_FILE) {
		fill_stat(n, tree_row(n->row)->mode, n->file_on_disk.size, n->file_on_disk.mtime_ns,
			  &st);
	} else {
		/* Names in the root can be entered by whoever knows them, as managers have to. */
		fill_stat(n, n->row == TREE_TOP ? 0711 : tree_row(n->row)->mode, 0, 0, &st);
	}
	*ret = st;
	return 0;
}

int node_entry(const struct node *n, struct fuse_entry_param *ret)
{
	struct fuse_entry_param e = {.ino = n->id, .entry_timeout = FOR_EVER};
	int r = node_stat(n, &e.attr, &e.attr_timeout);

	if (r < 0)
		return r;
	if (n->at)
		e.generation = index_generation(n->at);
	/* In the root: an instance's directory, and what the helper binds. A log's name may get another node at any time. */
	if (!n->is_child || tree_row(n->row)->kind == TREE_LOG)
		e.entry_timeout = 0;
	*ret = e;
	return 0;
}

void node_forgotten(struct branches *all, uint64_t id)
{
	if (tree_id_is_file(id))
		return;
	if ((id & TREE_LOW_MASK) == TREE_TOP_LOW)
		branches_forgotten(all, tree_serial(id));
	else
		branches_content_forgotten(all, id);
}
