/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that were told ESTALE and are trying again
 *
 * There are few and not for long: the kernel tries again at once. One that never does is forgotten after a while, or
 * when too many come after it.
 */
#include "branch.h"

#include <utlist.h>

#include "base/sock.h"
#include "branch-private.h"
#include "core/lock.h"

#define RETRIES_MAX 64
#define RETRY_US    (1000 * 1000)

static struct branch_retry *find(const struct branch *b, pid_t tid)
{
	struct branch_retry *r;

	DL_FOREACH (b->retries, r)
		if (r->tid == tid)
			return r;
	return NULL;
}

static void drop(struct branch *b, struct branch_retry *r)
{
	if (r->id)
		branch_count_close(b, r->id);
	DL_DELETE(b->retries, r);
	b->n_retries--;
	free(r);
}

void branch_drop_retries(struct branch *b)
{
	while (b->retries)
		drop(b, b->retries);
}

void branch_expire_retries(struct branch *b)
{
	uint64_t now = b->retries ? now_us() : 0;

	while (b->retries && now - b->retries->since_us > RETRY_US)
		drop(b, b->retries);
}

void branch_note_stale(struct branch *b, pid_t tid)
{
	LOCK_HOLD(&b->lock);
	uint64_t now = now_us();
	struct branch_retry *r = find(b, tid);

	if (r)
		drop(b, r);
	branch_expire_retries(b);
	if (b->retries && b->n_retries >= RETRIES_MAX)
		drop(b, b->retries);
	r = calloc(1, sizeof(*r));
	if (!r)
		return;
	r->tid = tid;
	r->since_us = now;
	DL_APPEND(b->retries, r);
	b->n_retries++;
}

bool branch_note_lookup(struct branch *b, const struct index *x, uint64_t id, pid_t tid)
{
	struct branch_retry *r;

	if (b->n_retries == 0)
		return true;
	LOCK_HOLD(&b->lock);
	r = find(b, tid);
	if (!r || r->id == id)
		return true;
	/* Nothing is kept of what was replaced before it was counted as opened. */
	if (b->index != x)
		return false;
	if (r->id)
		branch_count_close(b, r->id);
	r->id = branch_count_open(b, id) == 0 ? id : 0;
	return true;
}

bool branch_take_reserved(struct branch *b, uint64_t id, pid_t tid)
{
	struct branch_retry *r = find(b, tid);
	bool is_it = r && r->id == id && id != 0 && now_us() - r->since_us <= RETRY_US;

	if (is_it)
		r->id = 0; /* and stays counted, for the descriptor */
	if (r)
		drop(b, r);
	return is_it;
}
