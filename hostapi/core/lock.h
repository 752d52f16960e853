#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks held for the rest of a block
 *
 * Written among the declarations, so that no return can forget to unlock. They are released in
 * the reverse order of the declarations: before anything declared ahead of them is cleaned up.
 */
#include <pthread.h>

#include "base/cleanup.h"

#define LOCK_HOLD(mutex)                                                                           \
	_cleanup_(lock_endp) __attribute__((unused)) pthread_mutex_t *lock_held_ = lock_hold(mutex)
#define LOCK_HOLD_SHARED(rwlock)                                                                   \
	_cleanup_(lock_end_rwp) __attribute__((unused)) pthread_rwlock_t *lock_held_rw_ =          \
		lock_hold_shared(rwlock)
#define LOCK_HOLD_ALONE(rwlock)                                                                    \
	_cleanup_(lock_end_rwp) __attribute__((unused)) pthread_rwlock_t *lock_held_rw_ =          \
		lock_hold_alone(rwlock)

static inline pthread_mutex_t *lock_hold(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	return mutex;
}

static inline void lock_endp(pthread_mutex_t **held)
{
	pthread_mutex_unlock(*held);
}

static inline pthread_rwlock_t *lock_hold_shared(pthread_rwlock_t *rwlock)
{
	pthread_rwlock_rdlock(rwlock);
	return rwlock;
}

static inline pthread_rwlock_t *lock_hold_alone(pthread_rwlock_t *rwlock)
{
	pthread_rwlock_wrlock(rwlock);
	return rwlock;
}

static inline void lock_end_rwp(pthread_rwlock_t **held)
{
	pthread_rwlock_unlock(*held);
}
