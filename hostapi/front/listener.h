#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The listeners of an HTTP server, which come and go while its threads run
 *
 * A listener is in the epoll set of every thread (EPOLLEXCLUSIVE), except of those that have paused.
 * No thread keeps a pointer to one: its events carry a number that is never given again, and
 * whoever has such an event looks the number up and accepts under the lock. So an event that was
 * taken before its listener was removed finds nothing, and a removed listener is freed at once. The
 * lock is shared by those who accept, which never blocks; changes wait for them and they for changes,
 * each for a few system calls.
 *
 * Knows no HTTP and does not judge who connects.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct instance;
struct listener;

/* One thread; embedded in it. */
struct listener_seat {
	int epoll_fd;     /* borrowed */
	bool is_watching; /* the listeners are in its epoll set; written by its own thread only */
	struct listener_seat *prev, *next; /* listeners::seats */
};

struct listeners {
	pthread_rwlock_t lock;
	struct listener *by_number, *by_instance;
	uintptr_t last_number;
	struct listener_seat *seats;
};

/* Never fails. */
void listeners_init(struct listeners *l);
/* No thread uses it any more. Closes the listeners, but for borrowed ones. */
void listeners_finish(struct listeners *l);

/* A thread whose epoll set gets the listeners from now on; before the first is added. */
void listener_enter(struct listeners *l, struct listener_seat *seat);

/*
 * Takes the bound socket @fd, to be closed on removal unless @is_borrowed; listens, and watches it in
 * all threads. @instance (may be NULL; a reference is taken) is whose own it is; it has at most one.
 * Returns 0, -EEXIST when @instance has one, or -errno; @fd is the caller's, and nobody has been
 * accepted on it, unless 0.
 */
int listener_add(struct listeners *l, int fd, bool is_borrowed, struct instance *instance);

/* Removes the listener of @instance, if it has one: nobody is accepted on it once this has returned. */
void listener_remove(struct listeners *l, struct instance *instance);

/* Whether the data of an epoll event means a listener; an even address does not. */
bool listener_is_event(const void *data);

/*
 * Accepts one connection for the event @data. Returns the descriptor (non-blocking) and whose own
 * listener it came by (*ret_instance: a reference, or NULL); or -errno as of accept4(2), -EAGAIN also when
 * the listener has been removed meanwhile.
 */
int listener_accept(struct listeners *l, const void *data, struct instance **ret_instance);

/* Takes the listeners out of the thread's epoll set, also those that are added from now on. */
void listener_pause(struct listeners *l, struct listener_seat *seat);
/* Puts all there are into it again. Returns 0, or -errno and it is as paused as before. */
int listener_resume(struct listeners *l, struct listener_seat *seat);
