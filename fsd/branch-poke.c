/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the difference of two indexes to names of which watchers are told
 *
 * Contents only: a directory that is made or removed for watchers would have to be so for the kernel, too, and it
 * comes back under the same number.
 */
#include "branch.h"

#include <utlist.h>

#include "branch-private.h"
#include "core/instance.h"
#include "node.h"

/* An item for @n of @x, whose directory is @parent. NULL = no memory. */
static struct poke_item *new_item(const struct branch *b, const struct index *x,
				  const struct index_node *n)
{
	const struct index_node *parent = &x->nodes[n->parent];
	_cleanup_(buf_finish) struct buf dir = {0};
	struct poke_item *item;

	if (buf_puts(&dir, instance_name(b->instance)) < 0 ||
	    (parent != x->nodes && buf_putc(&dir, '/') < 0) || index_path(x, parent, &dir) < 0)
		return NULL;
	item = poke_item_new(dir.data, n->name);
	if (item)
		item->parent = index_id(x, parent);
	return item;
}

/* What the poker is shown of the old @n. Returns 0 or -ENOMEM. */
static int set_old(struct poke_item *item, const struct index *old, const struct index_node *n)
{
	struct node node = {
		.id = index_id(old, n), .row = n->row, .index = (struct index *)old, .at = n};
	double timeout;

	if (old->source) {
		item->old_id = node.id;
		item->old_generation = index_generation(n);
		return node_stat(&node, &item->old, &timeout);
	}
	/*
	 * Restored: it is not known how long it was, and a wrong length would be seen by who has it open. A node that
	 * stands for no other is shown to be removed.
	 */
	if (item->op == POKER_REMOVE) {
		item->old_id = tree_id(old->serial, TREE_GONE_LOW);
		item->old = (struct stat){
			.st_ino = item->old_id, .st_mode = S_IFREG | 0400, .st_nlink = 1};
	}
	return 0;
}

/* In @in, the child called @name of what is the directory @dir of @x there; NULL: there is none. *ret_has_dir: whether that is there. */
static const struct index_node *find_twin(const struct index *in, const struct index *x,
					  const struct index_node *n, bool *ret_has_dir)
{
	const struct index_node *dir = index_find(in, index_id(x, &x->nodes[n->parent]));

	*ret_has_dir = dir;
	return dir ? index_child(in, dir, n->name) : NULL;
}

void branch_poke_stale(const struct branch *b, const struct index *old, const struct index_node *n,
		       const struct index *x, struct poke_item **list)
{
	bool has_dir;
	const struct index_node *twin = find_twin(x, old, n, &has_dir);
	struct poke_item *item;

	if (!b->all->poke || !has_dir || tree_row(n->row)->kind != TREE_CONTENT)
		return;
	item = new_item(b, old, n);
	if (!item)
		return;
	item->op = twin && !x->is_hidden ? POKER_CHANGE : POKER_REMOVE;
	item->new_id = twin ? index_id(x, twin) : 0;
	if (set_old(item, old, n) < 0)
		free(item);
	else
		DL_APPEND(*list, item);
}

void branch_poke_fresh(const struct branch *b, const struct index *x, const struct index_node *n,
		       const struct index *old, struct poke_item **list)
{
	bool has_dir;
	struct poke_item *item;

	if (!b->all->poke || x->is_hidden || tree_row(n->row)->kind != TREE_CONTENT ||
	    (find_twin(old, x, n, &has_dir) && !old->is_hidden))
		return;
	item = new_item(b, x, n);
	if (!item)
		return;
	item->op = POKER_ADD;
	item->new_id = index_id(x, n);
	DL_APPEND(*list, item);
}
