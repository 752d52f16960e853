/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instance: the name that stays while its snapshots come and go
 *
 * One small lock guards the snapshot pointer and the run that is ready. It is
 * held for a few instructions, never while freeing or calling out, so that a
 * request pays one uncontended lock and one reference.
 */
#include "core/instance.h"

#include <assert.h>
#include <pthread.h>

#include "core/lock.h"
#include "core/snapshot.h"

struct instance {
	_Atomic unsigned refs;
	pthread_mutex_t lock;
	struct snapshot *snapshot;
	struct boot ready; /* the run that said Ready; all zero: none */
	struct account account;
	char name[];
};

static bool boot_is_known(const struct boot *b)
{
	return b->cgroup_id != 0 || b->init_start != 0 || b->init_pid != 0;
}

bool boot_equal(const struct boot *a, const struct boot *b)
{
	return boot_is_known(a) && a->cgroup_id == b->cgroup_id && a->init_start == b->init_start &&
	       a->init_pid == b->init_pid;
}

struct boot boot_by_mount(void)
{
	return (struct boot){.init_pid = -1}; /* no process has this id */
}

struct instance *instance_new(const char *name)
{
	size_t name_size = strlen(name) + 1;
	struct instance *i = calloc(1, sizeof(*i) + name_size);

	if (!i)
		return NULL;
	i->refs = 1;
	pthread_mutex_init(&i->lock, NULL);
	memcpy(i->name, name, name_size);
	return i;
}

struct instance *instance_ref(struct instance *i)
{
	if (i)
		i->refs++;
	return i;
}

struct instance *instance_unref(struct instance *i)
{
	if (!i)
		return NULL;
	assert(i->refs > 0);
	if (--i->refs > 0)
		return NULL;
	snapshot_unref(i->snapshot);
	pthread_mutex_destroy(&i->lock);
	free(i);
	return NULL;
}

bool instance_is_shared(const struct instance *i)
{
	return i->refs > 1;
}

const char *instance_name(const struct instance *i)
{
	return i->name;
}

struct account *instance_account(struct instance *i)
{
	return &i->account;
}

struct snapshot *instance_snapshot(struct instance *i)
{
	LOCK_HOLD(&i->lock);

	return snapshot_ref(i->snapshot);
}

void instance_set_snapshot(struct instance *i, struct snapshot *s)
{
	/* Freed after unlocking: it may be the last reference to a large one. */
	_cleanup_(snapshot_unrefp) struct snapshot *old = NULL;
	LOCK_HOLD(&i->lock);

	old = i->snapshot;
	i->snapshot = snapshot_ref(s);
}

bool instance_is_ready(struct instance *i, const struct boot *boot)
{
	LOCK_HOLD(&i->lock);

	return boot_equal(&i->ready, boot);
}

void instance_set_ready(struct instance *i, const struct boot *boot, bool ready)
{
	LOCK_HOLD(&i->lock);

	if (ready)
		i->ready = *boot;
	else if (boot_equal(&i->ready, boot))
		i->ready = (struct boot){0};
}

bool instance_ready_boot(struct instance *i, struct boot *ret)
{
	LOCK_HOLD(&i->lock);

	if (!boot_is_known(&i->ready))
		return false;
	*ret = i->ready;
	return true;
}
