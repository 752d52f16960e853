#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks held for the rest of a block
 *
 *	_cleanup_(lock_endp) pthread_mutex_t *held = lock_hold(&x->lock);
 *
 * so that a return cannot forget to unlock. Locks are released in the reverse order of their
 * declarations, before what was declared ahead of them is cleaned up.
 */
#include <pthread.h>

#include "base/cleanup.h"

/* Locks @m and returns it, for lock_endp(). */
static inline pthread_mutex_t *lock_hold(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

static inline void lock_endp(pthread_mutex_t **held)
{
	pthread_mutex_unlock(*held);
}

/* Locks @l shared, and alone; both return it, for lock_end_rwp(). */
static inline pthread_rwlock_t *lock_hold_shared(pthread_rwlock_t *l)
{
	pthread_rwlock_rdlock(l);
	return l;
}

static inline pthread_rwlock_t *lock_hold_alone(pthread_rwlock_t *l)
{
	pthread_rwlock_wrlock(l);
	return l;
}

static inline void lock_end_rwp(pthread_rwlock_t **held)
{
	pthread_rwlock_unlock(*held);
}
