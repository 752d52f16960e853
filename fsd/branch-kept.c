/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replaced contents that somebody has open
 *
 * The worker counts what it has opened. What an earlier one may have opened is taken to be open while the kernel remembers its node.
 */
#include "branch.h"

#include <utlist.h>

#include "branch-private.h"
#include "core/lock.h"
#include "shared.h"

static struct kept *find_kept(const struct branch *b, uint64_t id)
{
	struct kept *k;

	DL_FOREACH (b->kept, k)
		if (k->id == id)
			return k;
	return NULL;
}

static void forget(struct branch *b, struct kept *k)
{
	DL_DELETE(b->kept, k);
	b->n_kept_bytes -= k->size;
	b->n_kept--;
	kept_unref(k);
}

static void drop(struct branch *b, struct kept *k)
{
	kept_remove(b->all->kept_fd, k->id);
	forget(b, k);
}

static void append(struct branch *b, struct kept *k)
{
	DL_APPEND(b->kept, k);
	b->n_kept++;
	b->n_kept_bytes += k->size;
	while (b->kept && b->n_kept_bytes > KEPT_MAX)
		drop(b, b->kept);
}

void branch_keep(struct branch *b, const struct index *x, const struct index_node *n)
{
	_cleanup_(source_bytes_finish) struct source_bytes value = {0};
	struct kept *k;

	/* One that was kept, and came back meanwhile, is the same. */
	if (n->size > KEPT_MAX || find_kept(b, index_id(x, n)) || index_read(x, n, &value) != 0)
		return;
	k = malloc(sizeof(*k) + value.len);
	if (!k)
		return;
	*k = (struct kept){.refs = 1,
			   .id = index_id(x, n),
			   .changed_ns = n->changed_ns,
			   .is_inherited = branch_is_inherited(b, n),
			   .size = value.len};
	if (index_access(x, n, &k->mode, &k->uid, &k->gid) < 0) {
		free(k);
		return;
	}
	memcpy(k->bytes, value.at, value.len);
	/* Without a file it is kept until this worker dies. */
	(void)kept_save(b->all->kept_fd, b->all->options.shared->mount_id, k);
	append(b, k);
}

void branch_inherit(struct branch *b, struct kept *k)
{
	LOCK_HOLD(&b->lock);

	append(b, k);
}

void branch_forget_kept(struct branch *b)
{
	while (b->kept)
		forget(b, b->kept);
}

bool branch_is_inherited(const struct branch *b, const struct index_node *n)
{
	return b->all->is_successor && n->changed_ns < b->all->started_ns;
}

struct kept *branch_find_kept(struct branch *b, uint64_t id)
{
	LOCK_HOLD(&b->lock);
	struct kept *k = find_kept(b, id);

	if (k)
		k->refs++;
	return k;
}

bool branch_is_kept(const struct branch *b, uint64_t id)
{
	return find_kept(b, id) != NULL;
}

void branch_let_go(struct branch *b, uint64_t id)
{
	struct kept *k = find_kept(b, id);

	if (k && !k->is_inherited)
		drop(b, k);
}

void branch_content_forgotten(struct branch *b, uint64_t id)
{
	struct kept *k;

	if (b->n_kept == 0)
		return;
	LOCK_HOLD(&b->lock);
	k = find_kept(b, id);
	if (k && !branch_has_open(b, id))
		drop(b, k);
}
