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
#include "shared.h"

#define RETRIES_MAX 64
#define RETRY_US    (1000 * 1000)
/* A worker that takes over takes its time. */
#define INHERITED_MS 5000

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

static _Atomic uint64_t *slot_of(const struct branch *b, pid_t tid)
{
	return &b->all->options.shared->retries[(uint32_t)tid % SHARED_RETRIES];
}

/* For the next worker: @tid is trying again. */
static void remember(const struct branch *b, pid_t tid)
{
	*slot_of(b, tid) = (uint64_t)tid << 32 | (uint32_t)(now_us() / 1000);
}

/* Whether an earlier worker told @tid ESTALE, not long before this one came, and not long ago. */
static bool is_inherited(const struct branch *b, pid_t tid)
{
	uint32_t now_ms = (uint32_t)(now_us() / 1000), started_ms = b->all->started_ms;
	uint64_t slot = *slot_of(b, tid);

	return b->all->is_successor && now_ms - started_ms <= INHERITED_MS &&
	       slot >> 32 == (uint32_t)tid && started_ms - (uint32_t)slot <= INHERITED_MS;
}

static struct branch_retry *add(struct branch *b, pid_t tid)
{
	struct branch_retry *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->tid = tid;
	r->since_us = now_us();
	DL_APPEND(b->retries, r);
	b->n_retries++;
	return r;
}

void branch_note_stale(struct branch *b, pid_t tid)
{
	LOCK_HOLD(&b->lock);
	struct branch_retry *r = find(b, tid);

	remember(b, tid);
	if (r)
		drop(b, r);
	branch_expire_retries(b);
	if (b->retries && b->n_retries >= RETRIES_MAX)
		drop(b, b->retries);
	(void)add(b, tid);
}

bool branch_note_lookup(struct branch *b, const struct index *x, uint64_t id, pid_t tid)
{
	struct branch_retry *r;
	bool is_new = is_inherited(b, tid);

	if (b->n_retries == 0 && !is_new)
		return true;
	LOCK_HOLD(&b->lock);
	r = find(b, tid);
	if (!r && is_new)
		r = add(b, tid);
	if (r && !is_new)
		remember(b, tid);
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
	struct branch_retry *r = b->retries ? find(b, tid) : NULL;
	bool is_it = r && r->id == id && id != 0 && now_us() - r->since_us <= RETRY_US;

	if (is_it)
		r->id = 0; /* and stays counted, for the descriptor */
	if (r)
		drop(b, r);
	/* An earlier worker had it reserved. */
	if (!is_it && branch_is_kept(b, id) && is_inherited(b, tid))
		is_it = branch_count_open(b, id) == 0;
	return is_it;
}
