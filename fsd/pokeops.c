/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the poker is answered
 *
 * Attributes of an old node are never kept by the kernel, nor is its name: for everybody else it is not there, and
 * the next who asks is told what is.
 */
#include "pokeops.h"

#include <fcntl.h>

#include "node.h"
#include "poke.h"

/* Whether the request, about a node of the instance that has @id, is the poker's, and what is in flight there. */
static bool is_pokers(const struct ops *o, fuse_req_t req, uint64_t id, struct poke_shown *ret)
{
	return o->poke && poke_is_busy(o->poke) &&
	       poker_has_thread(o->shared, fuse_req_ctx(req)->pid) &&
	       poke_in_flight(o->poke, tree_serial(id), ret);
}

static bool is_name(const struct poke_shown *s, uint64_t parent, const char *name)
{
	return s->item.parent == parent && streq(s->name, name);
}

static void reply_error(fuse_req_t req, int r)
{
	fuse_reply_err(req, r == SOURCE_E_ABSENT ? ESTALE : -r);
}

static void reply_old(fuse_req_t req, const struct poke_shown *s)
{
	const struct fuse_entry_param e = {
		.ino = s->item.old_id, .generation = s->item.old_generation, .attr = s->item.old};

	fuse_reply_entry(req, &e);
}

/* What the name stands for now; who asks is not looked at, nor whether anything is shown. */
static void reply_current(struct ops *o, fuse_req_t req, uint64_t parent, const char *name)
{
	_cleanup_(node_finish) struct node dir = {0};
	struct fuse_entry_param e;
	struct node child;
	int r = node_find(o->branches, parent, &dir);

	if (r == 0 && (!dir.at || tree_row(dir.row)->kind != TREE_DIRECTORY))
		r = -ENOTDIR;
	if (r < 0)
		return reply_error(req, r);
	child = dir;
	child.at = index_child(dir.index, dir.at, name);
	if (!child.at)
		return reply_error(req, -ENOENT);
	child.row = child.at->row;
	child.id = index_id(dir.index, child.at);
	child.is_child = true;
	r = node_entry(&child, &e);
	if (r < 0)
		return reply_error(req, r);
	if (dir.index->is_hidden)
		e.entry_timeout = 0;
	fuse_reply_entry(req, &e);
}

/* The directory of an instance, also when its record is gone: who is inside is still to be told. */
static bool lookup_in_root(struct ops *o, fuse_req_t req, const char *name)
{
	_cleanup_(node_finish) struct node n = {0};
	_cleanup_(branch_unrefp) struct branch *b = NULL;
	struct fuse_entry_param e;
	struct poke_shown s;
	uint64_t id;

	if (!o->poke || !poke_is_busy(o->poke))
		return false;
	b = branches_find_named(o->branches, name);
	id = b ? tree_id(branch_serial(b), TREE_TOP_LOW) : 0;
	if (!b || !is_pokers(o, req, id, &s) || node_find(o->branches, id, &n) < 0 ||
	    node_entry(&n, &e) < 0)
		return false;
	o->stats.n_requests++;
	fuse_reply_entry(req, &e);
	return true;
}

bool pokeops_lookup(struct ops *o, fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct poke_shown s;

	if (parent == TREE_ROOT_ID)
		return lookup_in_root(o, req, name);
	if (!is_pokers(o, req, parent, &s))
		return false;
	o->stats.n_requests++;
	if (!is_name(&s, parent, name) || (s.item.op == POKER_CHANGE && s.item.old_id == 0))
		reply_current(o, req, parent, name);
	else if (s.item.op == POKER_ADD)
		reply_error(req, -ENOENT);
	else
		reply_old(req, &s);
	return true;
}

bool pokeops_getattr(struct ops *o, fuse_req_t req, fuse_ino_t id)
{
	struct poke_shown s;

	if (!is_pokers(o, req, id, &s) || id != s.item.old_id)
		return false;
	o->stats.n_requests++;
	fuse_reply_attr(req, &s.item.old, 0);
	return true;
}

/* Finds the current content @id. Returns 0 or -errno. */
static int find_content(struct ops *o, uint64_t id, struct node *ret)
{
	int r = node_find(o->branches, id, ret);

	if (r == 0 && (!ret->at || tree_row(ret->row)->kind != TREE_CONTENT))
		r = -EROFS;
	return r;
}

bool pokeops_setattr(struct ops *o, fuse_req_t req, fuse_ino_t id, int to_set)
{
	_cleanup_(node_finish) struct node n = {0};
	struct poke_shown s;
	double timeout = 0;
	struct stat st;
	int r;

	if (to_set != FUSE_SET_ATTR_SIZE || !is_pokers(o, req, id, &s))
		return false;
	o->stats.n_requests++;
	if (id == s.item.old_id) {
		fuse_reply_attr(req, &s.item.old, 0);
		return true;
	}
	r = find_content(o, id, &n);
	if (r == 0)
		r = node_stat(&n, &st, &timeout);
	if (r == 0)
		fuse_reply_attr(req, &st, timeout);
	else
		reply_error(req, r);
	return true;
}

bool pokeops_open(struct ops *o, fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	_cleanup_(node_finish) struct node n = {0};
	struct poke_shown s;
	int r;

	if ((fi->flags & (O_ACCMODE | O_TRUNC)) != O_WRONLY || !is_pokers(o, req, id, &s))
		return false;
	o->stats.n_requests++;
	r = id == s.item.old_id ? 0 : find_content(o, id, &n);
	if (r < 0) {
		reply_error(req, r);
		return true;
	}
	/* No worker's generation: its closing is not counted, as its opening is not. */
	fi->fh = 0;
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
	return true;
}

bool pokeops_mknod(struct ops *o, fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct poke_shown s;

	if (!S_ISREG(mode) || !is_pokers(o, req, parent, &s) || s.item.op != POKER_ADD ||
	    !is_name(&s, parent, name))
		return false;
	o->stats.n_requests++;
	reply_current(o, req, parent, name);
	return true;
}

bool pokeops_unlink(struct ops *o, fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct poke_shown s;

	if (!is_pokers(o, req, parent, &s) || s.item.op != POKER_REMOVE ||
	    !is_name(&s, parent, name))
		return false;
	o->stats.n_requests++;
	fuse_reply_err(req, 0);
	return true;
}
