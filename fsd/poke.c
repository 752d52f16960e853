/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pokes: what the poker is asked to do, so that watchers learn of changed names
 *
 * Requests are sent by whoever submits and by the thread "poke", which takes the answers. The channel may be full, of more
 * lanes than it holds: those wait in a list until an answer comes. An answer to nobody is one to an earlier worker.
 */
#include "poke.h"

#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* Running out of memory leaves the element out, which its hh.tbl == NULL tells. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/log.h"
#include "core/lock.h"
#include "tree.h"

/* Numbers of requests end with the instance's serial, and begin with the worker's. */
#define SERIAL_BITS (64 - TREE_LOW_BITS)
#define WORKER_AT   20

struct lane {
	uint32_t serial;
	size_t n_items;
	struct poke_item *items;  /* the first is in flight, or unsent */
	uint64_t number;          /* of the request in flight; 0: it is unsent */
	struct lane *prev, *next; /* poke::unsent */
	UT_hash_handle hh;        /* poke::lanes */
};

struct poke {
	int fd, stop_fd;
	struct inval *inval;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock; /* of all below */
	struct lane *lanes, *unsent;
	uint64_t last_number;
	_Atomic unsigned n_in_flight;
	_Atomic uint64_t n_sent, n_failed, n_dropped;
};

struct poke_item *poke_item_new(const char *dir, const char *name)
{
	size_t dir_len = strlen(dir), len = dir_len + 1 + strlen(name);
	struct poke_item *item = len < POKER_PATH_MAX ? calloc(1, sizeof(*item) + len + 1) : NULL;

	if (!item)
		return NULL;
	memcpy(item->path, dir, dir_len);
	item->path[dir_len] = '/';
	item->name_at = dir_len + 1;
	memcpy(item->path + item->name_at, name, len - dir_len);
	return item;
}

const char *poke_item_name(const struct poke_item *item)
{
	return item->path + item->name_at;
}

void poke_items_free(struct poke_item *items)
{
	struct poke_item *item, *next;

	DL_FOREACH_SAFE (items, item, next)
		free(item);
}

static void drop_item(struct lane *l, struct poke_item *item)
{
	DL_DELETE(l->items, item);
	l->n_items--;
	free(item);
}

/* Sends the first item. Returns 0, -EAGAIN when it has to wait, or -errno. With the lock held. */
static int send_first(struct poke *p, struct lane *l)
{
	struct poker_request r = {.op = l->items->op};
	size_t len = strlen(l->items->path) + 1;

	r.number = (p->last_number + 1) << SERIAL_BITS | l->serial;
	memcpy(r.path, l->items->path, len);
	/* Shown from now on: the answer comes as soon as it may. */
	l->number = r.number;
	p->n_in_flight++;
	if (send(p->fd, &r, offsetof(struct poker_request, path) + len,
		 MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		l->number = 0;
		p->n_in_flight--;
		return -errno;
	}
	p->last_number++;
	p->n_sent++;
	return 0;
}

/* The lane, which has nothing in flight, goes on, or away. Whether it waits for room. With the lock held. */
static bool go_on(struct poke *p, struct lane *l)
{
	while (l->items) {
		int r = send_first(p, l);

		if (r == 0)
			return false;
		if (r == -EAGAIN) {
			DL_APPEND(p->unsent, l);
			return true;
		}
		p->n_dropped++;
		drop_item(l, l->items);
	}
	HASH_DEL(p->lanes, l);
	free(l);
	return false;
}

/* What is in flight in the lane is not any more. With the lock held. */
static void finish(struct poke *p, struct lane *l, int error)
{
	p->n_in_flight--;
	p->n_failed += error != 0;
	l->number = 0;
	drop_item(l, l->items);
	(void)go_on(p, l);
}

static struct lane *find(struct poke *p, uint32_t serial)
{
	struct lane *l = NULL;

	HASH_FIND(hh, p->lanes, &serial, sizeof(serial), l);
	return l;
}

static struct lane *make(struct poke *p, uint32_t serial)
{
	struct lane *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->serial = serial;
	HASH_ADD(hh, p->lanes, serial, sizeof(l->serial), l);
	if (l->hh.tbl)
		return l;
	free(l);
	return NULL;
}

static void handle_answer(struct poke *p, const struct poker_answer *a)
{
	LOCK_HOLD(&p->lock);
	struct lane *l, *next;

	if (a->number != 0) {
		l = find(p, (uint32_t)(a->number & ((UINT64_C(1) << SERIAL_BITS) - 1)));
		if (l && l->number == a->number)
			finish(p, l, a->error);
	} else {
		HASH_ITER (hh, p->lanes, l, next)
			if (l->number != 0)
				finish(p, l, -ESRCH);
	}
	while ((l = p->unsent)) {
		DL_DELETE(p->unsent, l);
		if (go_on(p, l))
			break;
	}
}

static void *take_answers(void *arg)
{
	struct poke *p = arg;
	struct pollfd fds[] = {{.fd = p->fd, .events = POLLIN},
			       {.fd = p->stop_fd, .events = POLLIN}};
	struct poker_answer a;
	ssize_t n;

	pthread_setname_np(pthread_self(), "poke");
	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			return NULL;
		while ((n = recv(p->fd, &a, sizeof(a), MSG_DONTWAIT)) == sizeof(a))
			handle_answer(p, &a);
		if (n == 0)
			break;
	}
	log_warn("nobody can be asked to poke watchers any more, so inotify is silent");
	return NULL;
}

int poke_new(int fd, struct inval *inval, struct shared *shared, struct poke **ret)
{
	_cleanup_(poke_freep) struct poke *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->fd = fd;
	p->inval = inval;
	p->last_number = (uint64_t)shared->n_workers << WORKER_AT;
	pthread_mutex_init(&p->lock, NULL);
	p->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (p->stop_fd < 0)
		return -errno;
	r = -pthread_create(&p->thread, NULL, take_answers, p);
	if (r < 0)
		return r;
	p->has_thread = true;
	*ret = steal_ptr(&p);
	return 0;
}

struct poke *poke_free(struct poke *p)
{
	struct lane *l, *next;

	if (!p)
		return NULL;
	if (p->has_thread && eventfd_write(p->stop_fd, 1) == 0)
		pthread_join(p->thread, NULL);
	HASH_ITER (hh, p->lanes, l, next) {
		HASH_DEL(p->lanes, l);
		poke_items_free(l->items);
		free(l);
	}
	closep(&p->stop_fd);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}

/* Makes room for another item of that name in a full lane, by one that says less. Whether there is room. */
static bool make_room(struct poke *p, struct lane *l, const char *path)
{
	struct poke_item *item;

	if (l->n_items < POKE_LANE_MAX)
		return true;
	p->n_dropped++;
	DL_FOREACH (l->items->next, item) {
		if (!streq(item->path, path))
			continue;
		drop_item(l, item);
		return true;
	}
	return false;
}

/* Takes over the item. */
static void append(struct poke *p, uint32_t serial, struct poke_item *item)
{
	LOCK_HOLD(&p->lock);
	struct lane *l = find(p, serial);
	bool is_new = !l;

	if (is_new)
		l = make(p, serial);
	if (!l || !make_room(p, l, item->path)) {
		free(item);
		return;
	}
	DL_APPEND(l->items, item);
	l->n_items++;
	if (is_new)
		(void)go_on(p, l);
}

void poke_submit(struct poke *p, uint32_t serial, struct poke_item *items)
{
	struct poke_item *item, *next;
	uint64_t parent = 0;
	bool is_known = false, is_old_known;

	DL_FOREACH_SAFE (items, item, next) {
		if (item->parent != parent)
			is_known = inval_knows(p->inval, item->parent);
		parent = item->parent;
		is_old_known = item->old_id != 0 && inval_knows(p->inval, item->old_id);
		DL_DELETE(items, item);
		if (!is_known && !is_old_known) {
			free(item);
			continue;
		}
		/*
		 * Who watches the file watches the old node, which must be found by its name then: what the kernel
		 * may have learned of the new one meanwhile is in the way. When nobody does, the old one has no use.
		 */
		if (item->op == POKER_CHANGE && is_old_known)
			inval_drop(p->inval, item->new_id);
		else if (item->op == POKER_CHANGE)
			item->old_id = 0;
		append(p, serial, item);
	}
}

bool poke_is_busy(const struct poke *p)
{
	return p->n_in_flight > 0;
}

bool poke_in_flight(struct poke *p, uint32_t serial, struct poke_shown *ret)
{
	LOCK_HOLD(&p->lock);
	const struct lane *l = find(p, serial);

	if (!l || l->number == 0)
		return false;
	ret->item = *l->items;
	snprintf(ret->name, sizeof(ret->name), "%s", poke_item_name(l->items));
	return true;
}

void poke_count(const struct poke *p, struct poke_stats *ret)
{
	*ret = (struct poke_stats){p->n_sent, p->n_failed, p->n_dropped};
}
