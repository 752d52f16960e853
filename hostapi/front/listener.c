/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The listeners of an HTTP server, which come and go while its threads run
 *
 * Who holds the lock alone may change the hashes and every seat's epoll set. A thread pauses and
 * resumes with a share of it: it changes its own seat only, and additions are kept away meanwhile.
 */
#include "front/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Running out of memory leaves the element out, which its tbl == NULL tells. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/sock.h"
#include "core/instance.h"
#include "core/lock.h"

#define LISTEN_BACKLOG 512

struct listener {
	uintptr_t number; /* odd: no address of anything larger than a char is */
	int fd;
	bool is_borrowed;
	struct instance *instance;  /* a reference; NULL: everybody's */
	UT_hash_handle hh;          /* listeners::by_number */
	UT_hash_handle hh_instance; /* listeners::by_instance, when it has one */
};

static struct listener *listener_free(struct listener *one)
{
	if (!one)
		return NULL;
	if (!one->is_borrowed)
		closep(&one->fd);
	instance_unref(one->instance);
	free(one);
	return NULL;
}
DEFINE_CLEANUP(struct listener *, listener_free);

void listeners_init(struct listeners *l)
{
	pthread_rwlockattr_t attr;

	*l = (struct listeners){.last_number = 1};
	/* A stream of connections, which guests cause, must not hold up a change. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&l->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

static struct listener *find(struct listeners *l, uintptr_t number)
{
	struct listener *one = NULL;

	HASH_FIND(hh, l->by_number, &number, sizeof(number), one);
	return one;
}

static struct listener *find_own(struct listeners *l, const struct instance *instance)
{
	struct listener *one = NULL;

	HASH_FIND(hh_instance, l->by_instance, &instance, sizeof(instance), one);
	return one;
}

static int watch(const struct listener *one, const struct listener_seat *seat)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
				    .data.ptr = (void *)one->number};

	return epoll_ctl(seat->epoll_fd, EPOLL_CTL_ADD, one->fd, &event) < 0 ? -errno : 0;
}

static void unwatch(const struct listener *one, const struct listener_seat *seat)
{
	epoll_ctl(seat->epoll_fd, EPOLL_CTL_DEL, one->fd, NULL);
}

/* Out of the hashes and of every epoll set; allowed for one that is not in all of them. */
static void take_out(struct listeners *l, struct listener *one)
{
	struct listener_seat *seat;

	DL_FOREACH (l->seats, seat) {
		if (seat->is_watching)
			unwatch(one, seat);
	}
	if (one->hh.tbl)
		HASH_DELETE(hh, l->by_number, one);
	if (one->hh_instance.tbl)
		HASH_DELETE(hh_instance, l->by_instance, one);
}

/* Into the hashes and every epoll set. Returns 0 or -errno, and then take_out() is due. */
static int put_in(struct listeners *l, struct listener *one)
{
	struct listener_seat *seat;
	int r;

	/* Where a pointer is small they come round one day. */
	do
		l->last_number += 2;
	while (find(l, l->last_number));
	one->number = l->last_number;
	HASH_ADD(hh, l->by_number, number, sizeof(one->number), one);
	if (!one->hh.tbl)
		return -ENOMEM;
	if (one->instance) {
		HASH_ADD(hh_instance, l->by_instance, instance, sizeof(one->instance), one);
		if (!one->hh_instance.tbl)
			return -ENOMEM;
	}
	DL_FOREACH (l->seats, seat) {
		r = seat->is_watching ? watch(one, seat) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

void listener_enter(struct listeners *l, struct listener_seat *seat)
{
	LOCK_HOLD_ALONE(&l->lock);

	seat->is_watching = true;
	DL_APPEND(l->seats, seat);
}

int listener_add(struct listeners *l, int fd, bool is_borrowed, struct instance *instance)
{
	_cleanup_(listener_freep) struct listener *one = calloc(1, sizeof(*one));
	int r, flags = fcntl(fd, F_GETFL);

	if (!one)
		return -ENOMEM;
	one->fd = -1;
	one->is_borrowed = is_borrowed;
	one->instance = instance_ref(instance);
	/* Several threads accept: one that comes too late must not block. */
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	r = sock_listen(fd, LISTEN_BACKLOG);
	if (r < 0)
		return r;
	LOCK_HOLD_ALONE(&l->lock);
	if (instance && find_own(l, instance))
		return -EEXIST;
	one->fd = fd;
	r = put_in(l, one);
	if (r < 0) {
		take_out(l, one);
		one->fd = -1;
		return r;
	}
	steal_ptr(&one); /* the hashes have it */
	return 0;
}

void listener_remove(struct listeners *l, struct instance *instance)
{
	/* Freed after unlocking: it may hold the last reference. */
	_cleanup_(listener_freep) struct listener *one = NULL;
	LOCK_HOLD_ALONE(&l->lock);

	one = find_own(l, instance);
	if (one)
		take_out(l, one);
}

bool listener_is_event(const void *data)
{
	return (uintptr_t)data & 1;
}

int listener_accept(struct listeners *l, const void *data, struct instance **ret_instance)
{
	LOCK_HOLD_SHARED(&l->lock);
	const struct listener *one = find(l, (uintptr_t)data);
	int fd;

	if (!one)
		return -EAGAIN;
	fd = accept4(one->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_instance = instance_ref(one->instance);
	return fd;
}

/* The first @n of those there are, or all if there are less. */
static void unwatch_first(struct listeners *l, const struct listener_seat *seat, unsigned n)
{
	struct listener *one, *next;

	HASH_ITER (hh, l->by_number, one, next) {
		if (n-- == 0)
			return;
		unwatch(one, seat);
	}
}

void listener_pause(struct listeners *l, struct listener_seat *seat)
{
	LOCK_HOLD_SHARED(&l->lock);

	if (seat->is_watching)
		unwatch_first(l, seat, UINT_MAX);
	seat->is_watching = false;
}

int listener_resume(struct listeners *l, struct listener_seat *seat)
{
	LOCK_HOLD_SHARED(&l->lock);
	struct listener *one, *next;
	unsigned n = 0;

	HASH_ITER (hh, l->by_number, one, next) {
		int r = watch(one, seat);

		if (r < 0) {
			unwatch_first(l, seat, n);
			return r;
		}
		n++;
	}
	seat->is_watching = true;
	return 0;
}

void listeners_finish(struct listeners *l)
{
	struct listener *one, *next;

	HASH_CLEAR(hh_instance, l->by_instance);
	HASH_ITER (hh, l->by_number, one, next) {
		HASH_DELETE(hh, l->by_number, one);
		listener_free(one);
	}
	pthread_rwlock_destroy(&l->lock);
}
