/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Index: all nodes of one instance as it stands
 *
 * Here is finding and comparing; building is in index-build.c.
 */
#include "index.h"

struct index *index_ref(struct index *x)
{
	if (x)
		x->refs++;
	return x;
}

struct index *index_unref(struct index *x)
{
	if (!x || --x->refs > 0)
		return NULL;
	if (x->view)
		x->source->ops->view_unref(x->view);
	if (x->images)
		x->source->ops->images_unref(x->images);
	if (x->ids)
		x->source->ops->free_ids(x->ids);
	for (size_t i = 0; x->owned && x->owned[i]; i++)
		free(x->owned[i]);
	free(x->owned);
	free(x->by_id);
	free(x->by_cookie);
	free(x);
	return NULL;
}

uint64_t index_id(const struct index *x, const struct index_node *n)
{
	if (n->is_shared)
		return n->row == TREE_SOCK ? TREE_SOCKET_ID : n->hash;
	return tree_id(x->serial, n->hash);
}

uint64_t index_generation(const struct index_node *n)
{
	return n->is_shared ? 0 : n->hash >> TREE_LOW_BITS;
}

const struct index_node *index_find(const struct index *x, uint64_t id)
{
	uint64_t low = id & TREE_LOW_MASK;
	size_t from = 0, to = x->n_by_id;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		const struct index_node *n = &x->nodes[x->by_id[middle]];
		uint64_t at = n->hash & TREE_LOW_MASK;

		if (at == low)
			return n;
		if (at < low)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

const struct index_node *index_child(const struct index *x, const struct index_node *dir,
				     const char *name)
{
	size_t from = dir->first, to = from + dir->n_children;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int order = strcmp(x->nodes[middle].name, name);

		if (order == 0)
			return &x->nodes[middle];
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

const struct index_node *index_next(const struct index *x, const struct index_node *dir,
				    uint64_t cookie)
{
	size_t from = dir->first, end = from + dir->n_children, to = end;

	if (x->is_hidden)
		return NULL;
	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (x->nodes[x->by_cookie[middle]].cookie <= cookie)
			from = middle + 1;
		else
			to = middle;
	}
	while (from < end && !x->nodes[x->by_cookie[from]].is_listed)
		from++;
	return from < end ? &x->nodes[x->by_cookie[from]] : NULL;
}

int index_path(const struct index *x, const struct index_node *n, struct buf *path)
{
	const struct index_node *parent = &x->nodes[n->parent];
	int r;

	if (n == x->nodes)
		return 0;
	r = index_path(x, parent, path);
	if (r == 0 && parent != x->nodes)
		r = buf_putc(path, '/');
	return r < 0 ? r : buf_puts(path, n->name);
}

/* What stands for {…} on the way to @n, outermost first. */
static void params_of(const struct index *x, const struct index_node *n,
		      const char *ret[TREE_PARAMS_MAX])
{
	const char *found[TREE_PARAMS_MAX];
	size_t n_found = 0;

	for (; n != x->nodes; n = &x->nodes[n->parent])
		if (n->key && n_found < TREE_PARAMS_MAX)
			found[n_found++] = n->key;
	for (size_t i = 0; i < n_found; i++)
		ret[i] = found[n_found - 1 - i];
}

int index_read(const struct index *x, const struct index_node *n, struct source_bytes *ret)
{
	const struct tree_shown shown = {x->source, x->view, x->images};
	const char *params[TREE_PARAMS_MAX] = {0};

	if (!x->view)
		return SOURCE_E_ABSENT;
	params_of(x, n, params);
	return tree_row(n->row)->read(&shown, params, ret);
}

bool index_file(const struct index *x, const struct index_node *n, struct source_file *ret)
{
	const char *params[TREE_PARAMS_MAX] = {0};

	if (!x->images)
		return false;
	params_of(x, n, params);
	return x->source->ops->image_file(x->images, params[0], params[1], ret);
}

static bool is_everybodys(const struct tree_node *row)
{
	return row->kind == TREE_SOCKET || row->kind == TREE_FILE;
}

int index_access(const struct index *x, const struct index_node *n, mode_t *ret_mode,
		 uid_t *ret_uid, gid_t *ret_gid)
{
	const struct tree_node *row = tree_row(n->row);
	_cleanup_(buf_finish) struct buf path = {0};
	int r;

	*ret_mode = row->mode;
	*ret_uid = is_everybodys(row) ? 0 : x->owner.uid;
	*ret_gid = is_everybodys(row) ? 0 : x->owner.gid;
	if (!row->by_rules || !x->view)
		return 0;
	r = index_path(x, n, &path);
	if (r == 0)
		x->source->ops->rule(x->view, x->ids, &x->owner, path.data, ret_mode, ret_uid,
				     ret_gid);
	return r;
}

/* A comparison going on. */
struct compared {
	const struct index *old;
	struct index *new;
	int64_t now_ns;
	const struct index_changes *changes;
};

static void tell_stale(const struct compared *c, const struct index_node *n)
{
	c->changes->stale(c->changes->arg, c->old, n);
}

/* @n of the old one is gone, with all below. */
static void gone(const struct compared *c, const struct index_node *n)
{
	tell_stale(c, n);
	if (tree_row(n->row)->kind != TREE_DIRECTORY)
		return;
	for (uint32_t i = 0; i < n->n_children; i++)
		gone(c, &c->old->nodes[n->first + i]);
}

/* @n is new, with all below. The kernel may remember a directory from an earlier time. */
static void come(const struct compared *c, struct index_node *n)
{
	/* What a file is on disk does not change by being shown. */
	if (tree_row(n->row)->kind != TREE_FILE)
		n->changed_ns = c->now_ns;
	c->changes->fresh(c->changes->arg, c->new, n);
	if (tree_row(n->row)->kind != TREE_DIRECTORY)
		return;
	for (uint32_t i = 0; i < n->n_children; i++)
		come(c, &c->new->nodes[n->first + i]);
	c->changes->listing(c->changes->arg, c->new, n);
}

static void compare_directory(const struct compared *c, const struct index_node *old_dir,
			      struct index_node *dir);

/* The same name on both sides. Whether it stands for the same node. */
static bool compare_nodes(const struct compared *c, const struct index_node *old,
			  struct index_node *new)
{
	if (old->hash == new->hash && old->row == new->row && old->is_shared == new->is_shared) {
		new->changed_ns = old->changed_ns;
		if (tree_row(new->row)->kind == TREE_DIRECTORY)
			compare_directory(c, old, new);
		return true;
	}
	gone(c, old);
	come(c, new);
	return false;
}

static void compare_directory(const struct compared *c, const struct index_node *old_dir,
			      struct index_node *dir)
{
	bool shown = !c->new->is_hidden, was_shown = !c->old->is_hidden;
	bool is_same = shown == was_shown && old_dir->n_children == dir->n_children;
	uint32_t i = 0, j = 0;

	while (i < old_dir->n_children || j < dir->n_children) {
		const struct index_node *o = &c->old->nodes[old_dir->first + i];
		struct index_node *n = &c->new->nodes[dir->first + j];
		int order = i == old_dir->n_children ? 1
			    : j == dir->n_children   ? -1
						     : strcmp(o->name, n->name);

		if (order == 0)
			is_same &= compare_nodes(c, o, n);
		if (order == 0 && was_shown && !shown)
			tell_stale(c, o);
		if (order < 0)
			gone(c, o);
		if (order > 0)
			come(c, n);
		is_same &= order == 0;
		i += order <= 0;
		j += order >= 0;
	}
	if (is_same)
		return;
	/* Strictly above: the kernel tells listings apart by it. */
	dir->changed_ns = old_dir->changed_ns < c->now_ns ? c->now_ns : old_dir->changed_ns + 1;
	c->changes->listing(c->changes->arg, c->new, dir);
}

void index_compare(const struct index *old, struct index *x, int64_t now_ns,
		   const struct index_changes *changes)
{
	const struct compared c = {old, x, now_ns, changes};

	x->nodes[0].changed_ns = old->nodes[0].changed_ns;
	compare_directory(&c, &old->nodes[0], &x->nodes[0]);
}
