/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Invalidation: telling the kernel that what it remembers of the tree is old
 *
 * A batch goes through two queues: fresh, whose nodes the thread "notify" tells, and its lane's, whose entries the pool tells;
 * until both are done it also is in the list of unfinished ones, in the order of tickets.
 *
 * The pool: at most N_ACTIVE of its threads write at a time, not counting those that the kernel has held for
 * longer than STUCK_US; one more always stands by, because nothing but another thread can notice that all are held.
 */
#include "inval.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <sys/uio.h>
#include <time.h>
#include <utlist.h>

#include "base/log.h"
#include "base/sock.h"
#include "core/lock.h"

#define N_ACTIVE      2
#define N_THREADS_MAX 64
#define STUCK_US      (50 * 1000)
#define STALLED_US    (1000 * 1000)
#define END_US        (200 * 1000)
/* Batches of one lane that wait for their entries to be told; of more the entries are not told. */
#define LANE_MAX 256
/* FUSE_NOTIFY_PRUNE and its message of one node; newer than the headers of some who build this. */
#define NOTIFY_PRUNE 9
struct prune_out {
	uint32_t count, padding;
	uint64_t spare, id;
};

struct inval_thread {
	struct inval *inval;
	uint64_t busy_since_us;           /* 0: it is not writing */
	struct inval_thread *prev, *next; /* inval::threads */
};

struct inval {
	int fuse_fd;
	pthread_mutex_t lock;
	pthread_cond_t fresh_cond, ready_cond, finished_cond;
	struct inval_batch *fresh, *unfinished;
	struct inval_lane *ready;
	struct inval_thread *threads; /* the pool */
	unsigned n_threads;
	uint64_t last_ticket;
	bool is_stopping;
	bool is_abandoned; /* by inval_free(): whom done() would tell may be gone */
	unsigned n_in_done;
	bool has_idle_work;
	bool (*idle)(void *ctx);
	void *ctx;
	bool has_notifier;
	bool cannot_prune; /* the notifier's */
	pthread_t notifier;
	struct log_limit stall_log;
};

static int add_node(struct inval_batch *b, uint64_t id, bool is_gone)
{
	if (b->n_nodes == b->nodes_size) {
		size_t size = b->nodes_size ? b->nodes_size * 2 : 8;
		struct inval_node *more = reallocarray(b->nodes, size, sizeof(*more));

		if (!more)
			return -ENOMEM;
		b->nodes = more;
		b->nodes_size = size;
	}
	b->nodes[b->n_nodes++] = (struct inval_node){id, is_gone};
	return 0;
}

int inval_add_node(struct inval_batch *b, uint64_t id)
{
	return add_node(b, id, false);
}

int inval_add_gone(struct inval_batch *b, uint64_t id)
{
	return add_node(b, id, true);
}

int inval_add_entry(struct inval_batch *b, uint64_t parent, const char *name)
{
	_cleanup_(freep) char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	if (b->n_entries == b->entries_size) {
		size_t size = b->entries_size ? b->entries_size * 2 : 8;
		struct inval_entry *more = reallocarray(b->entries, size, sizeof(*more));

		if (!more)
			return -ENOMEM;
		b->entries = more;
		b->entries_size = size;
	}
	b->entries[b->n_entries++] = (struct inval_entry){parent, steal_ptr(&copy)};
	return 0;
}

void inval_batch_free(struct inval_batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_entries; i++)
		free(b->entries[i].name);
	free(b->entries);
	free(b->nodes);
	free(b);
}

/* Returns 0, -ENOENT when the kernel does not remember it, or -errno. */
static int notify(const struct inval *v, int code, struct iovec *parts, int n)
{
	struct fuse_out_header head = {.len = sizeof(head), .error = code};
	int r;

	parts[0] = (struct iovec){&head, sizeof(head)};
	for (int i = 1; i < n; i++)
		head.len += (uint32_t)parts[i].iov_len;
	r = writev(v->fuse_fd, parts, n) < 0 ? -errno : 0;
	parts[0] = (struct iovec){0};
	return r;
}

static int tell_node(const struct inval *v, uint64_t id)
{
	/* A negative offset: the attributes alone. The pages of a content never change. */
	struct fuse_notify_inval_inode_out out = {.ino = id, .off = -1};
	struct iovec parts[] = {{0}, {&out, sizeof(out)}};

	return notify(v, FUSE_NOTIFY_INVAL_INODE, parts, 2);
}

static int tell_gone(const struct inval *v, uint64_t id)
{
	struct prune_out out = {.count = 1, .id = id};
	struct iovec parts[] = {{0}, {&out, sizeof(out)}};

	return notify(v, NOTIFY_PRUNE, parts, 2);
}

/* Unknown ones are as good as told. Backwards: a directory is in use while something in it is remembered. */
static void tell_all_nodes(struct inval *v, const struct inval_batch *b)
{
	for (size_t i = 0; i < b->n_nodes; i++)
		(void)tell_node(v, b->nodes[i].id);
	for (size_t i = b->n_nodes; i-- > 0 && !v->cannot_prune;)
		if (b->nodes[i].is_gone)
			v->cannot_prune = tell_gone(v, b->nodes[i].id) == -EINVAL;
}

static int tell_entry(const struct inval *v, const struct inval_entry *e)
{
	struct fuse_notify_inval_entry_out out = {.parent = e->parent,
						  .namelen = (uint32_t)strlen(e->name)};
	struct iovec parts[] = {{0}, {&out, sizeof(out)}, {e->name, out.namelen + 1}};

	return notify(v, FUSE_NOTIFY_INVAL_ENTRY, parts, 3);
}

bool inval_knows(struct inval *v, uint64_t id)
{
	return tell_node(v, id) != -ENOENT;
}

void inval_drop(struct inval *v, uint64_t id)
{
	(void)tell_gone(v, id);
}

/* With the lock held, which is released while done() is called. */
static void finish(struct inval *v, struct inval_batch *b)
{
	DL_DELETE(v->unfinished, b);
	v->n_in_done++;
	pthread_cond_broadcast(&v->finished_cond);
	pthread_mutex_unlock(&v->lock);
	b->done(b);
	pthread_mutex_lock(&v->lock);
	v->n_in_done--;
	pthread_cond_broadcast(&v->finished_cond);
}

/* @us as of now_us(), which is the clock of the conditions, too. */
static void deadline_at(uint64_t us, struct timespec *ret)
{
	ret->tv_sec = (time_t)(us / 1000000);
	ret->tv_nsec = (long)(us % 1000000) * 1000;
}

/* Hands the batch to its lane, or ends it. */
static void pass_on(struct inval *v, struct inval_batch *b)
{
	struct inval_lane *lane = b->lane;
	struct inval_batch *other;
	size_t n = 0;

	if (b->n_entries > 0)
		DL_COUNT2(lane->waiting, other, n, queue_next);
	if (b->n_entries == 0 || n >= LANE_MAX) {
		finish(v, b);
		return;
	}
	if (!lane->waiting && !lane->is_in_flight)
		DL_APPEND(v->ready, lane);
	DL_APPEND2(lane->waiting, b, queue_prev, queue_next);
	pthread_cond_signal(&v->ready_cond);
}

static void *tell_nodes(void *arg)
{
	struct inval *v = arg;
	bool more;
	LOCK_HOLD(&v->lock);

	pthread_setname_np(pthread_self(), "notify");
	for (;;) {
		struct inval_batch *b = v->fresh;

		if (!b && v->has_idle_work) {
			v->has_idle_work = false;
			pthread_mutex_unlock(&v->lock);
			more = v->idle(v->ctx);
			pthread_mutex_lock(&v->lock);
			v->has_idle_work |= more;
			continue;
		}
		if (!b && v->is_stopping)
			return NULL;
		if (!b) {
			pthread_cond_wait(&v->fresh_cond, &v->lock);
			continue;
		}
		DL_DELETE2(v->fresh, b, queue_prev, queue_next);
		pthread_mutex_unlock(&v->lock);
		tell_all_nodes(v, b);
		pthread_mutex_lock(&v->lock);
		pass_on(v, b);
	}
}

/* How many of the pool's threads write, and have not been held in the kernel for long. */
static unsigned count_active(const struct inval *v, uint64_t now)
{
	const struct inval_thread *t;
	unsigned n = 0;

	DL_FOREACH (v->threads, t)
		n += t->busy_since_us != 0 && now - t->busy_since_us < STUCK_US;
	return n;
}

static unsigned count_busy(const struct inval *v)
{
	const struct inval_thread *t;
	unsigned n = 0;

	DL_FOREACH (v->threads, t)
		n += t->busy_since_us != 0;
	return n;
}

static int start_thread(struct inval *v);

/* Takes the lane at the head and tells the entries of its first batch. */
static void serve_lane(struct inval_thread *t)
{
	struct inval *v = t->inval;
	struct inval_lane *lane = v->ready;
	struct inval_batch *b = lane->waiting;

	DL_DELETE(v->ready, lane);
	DL_DELETE2(lane->waiting, b, queue_prev, queue_next);
	lane->is_in_flight = true;
	t->busy_since_us = now_us();
	if (count_busy(v) == v->n_threads && v->n_threads < N_THREADS_MAX)
		(void)start_thread(v);
	pthread_mutex_unlock(&v->lock);
	for (size_t i = 0; i < b->n_entries; i++)
		(void)tell_entry(v, &b->entries[i]);
	pthread_mutex_lock(&v->lock);
	t->busy_since_us = 0;
	if (v->is_abandoned)
		return;
	lane->is_in_flight = false;
	if (lane->waiting) {
		DL_APPEND(v->ready, lane);
		pthread_cond_signal(&v->ready_cond);
	}
	finish(v, b);
}

static void *tell_entries(void *arg)
{
	struct inval_thread *t = arg;
	struct inval *v = t->inval;
	LOCK_HOLD(&v->lock);

	while (!v->is_stopping) {
		struct timespec deadline;

		if (!v->ready) {
			/* Those that came for others who were held are not needed any more. */
			if (v->n_threads - count_busy(v) > N_ACTIVE)
				break;
			pthread_cond_wait(&v->ready_cond, &v->lock);
		} else if (count_active(v, now_us()) >= N_ACTIVE) {
			deadline_at(now_us() + STUCK_US, &deadline);
			pthread_cond_timedwait(&v->ready_cond, &v->lock, &deadline);
		} else {
			serve_lane(t);
		}
	}
	DL_DELETE(v->threads, t);
	v->n_threads--;
	pthread_cond_broadcast(&v->finished_cond);
	free(t);
	return NULL;
}

static int start_thread(struct inval *v)
{
	struct inval_thread *t = calloc(1, sizeof(*t));
	pthread_attr_t attr;
	pthread_t id;
	int r;

	if (!t)
		return -ENOMEM;
	t->inval = v;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = -pthread_create(&id, &attr, tell_entries, t);
	pthread_attr_destroy(&attr);
	if (r < 0) {
		free(t);
		return r;
	}
	DL_APPEND(v->threads, t);
	v->n_threads++;
	return 0;
}

int inval_new(int fuse_fd, bool (*idle)(void *ctx), void *ctx, struct inval **ret)
{
	_cleanup_(inval_freep) struct inval *v = calloc(1, sizeof(*v));
	pthread_condattr_t attr;
	int r;

	if (!v)
		return -ENOMEM;
	v->fuse_fd = fuse_fd;
	v->idle = idle;
	v->ctx = ctx;
	pthread_mutex_init(&v->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&v->fresh_cond, &attr);
	pthread_cond_init(&v->ready_cond, &attr);
	pthread_cond_init(&v->finished_cond, &attr);
	pthread_condattr_destroy(&attr);
	r = -pthread_create(&v->notifier, NULL, tell_nodes, v);
	if (r < 0)
		return r;
	v->has_notifier = true;
	pthread_mutex_lock(&v->lock);
	r = start_thread(v);
	pthread_mutex_unlock(&v->lock);
	if (r == 0)
		*ret = steal_ptr(&v);
	return r;
}

/* Waits for the pool's end, but not for long for what the kernel holds. Whether it came. */
static bool pool_has_ended(struct inval *v)
{
	struct timespec deadline;
	LOCK_HOLD(&v->lock);

	deadline_at(now_us() + END_US, &deadline);
	while (v->n_threads > 0 && !v->is_abandoned)
		if (pthread_cond_timedwait(&v->finished_cond, &v->lock, &deadline) != 0)
			v->is_abandoned = v->n_threads > 0;
	while (v->n_in_done > 0)
		pthread_cond_wait(&v->finished_cond, &v->lock);
	return !v->is_abandoned;
}

struct inval *inval_free(struct inval *v)
{
	struct inval_batch *b, *next;

	if (!v)
		return NULL;
	pthread_mutex_lock(&v->lock);
	v->is_stopping = true;
	pthread_cond_broadcast(&v->fresh_cond);
	pthread_cond_broadcast(&v->ready_cond);
	pthread_mutex_unlock(&v->lock);
	if (v->has_notifier)
		pthread_join(v->notifier, NULL);
	if (!pool_has_ended(v))
		return NULL;
	DL_FOREACH_SAFE (v->unfinished, b, next)
		b->done(b);
	pthread_cond_destroy(&v->fresh_cond);
	pthread_cond_destroy(&v->ready_cond);
	pthread_cond_destroy(&v->finished_cond);
	pthread_mutex_destroy(&v->lock);
	free(v);
	return NULL;
}

void inval_wake(struct inval *v)
{
	LOCK_HOLD(&v->lock);

	v->has_idle_work = true;
	pthread_cond_signal(&v->fresh_cond);
}

void inval_submit(struct inval *v, struct inval_batch *b)
{
	LOCK_HOLD(&v->lock);

	b->ticket = ++v->last_ticket;
	b->submitted_us = now_us();
	v->has_idle_work = true;
	DL_APPEND(v->unfinished, b);
	DL_APPEND2(v->fresh, b, queue_prev, queue_next);
	pthread_cond_signal(&v->fresh_cond);
}

/* The first batch up to the ticket @last that is still to be waited for; they are in the order of their tickets. */
static const struct inval_batch *find_awaited(const struct inval *v, uint64_t last,
					      uint64_t patience_us)
{
	const struct inval_batch *b;
	uint64_t now = now_us();

	DL_FOREACH (v->unfinished, b)
		if (b->ticket > last || now - b->submitted_us < patience_us)
			break;
	return b && b->ticket <= last ? b : NULL;
}

void inval_wait(struct inval *v, uint64_t patience_us, void (*stalled)(void *arg, const char *name),
		void *arg)
{
	LOCK_HOLD(&v->lock);
	const struct inval_batch *b;
	uint64_t last = v->last_ticket;

	while ((b = find_awaited(v, last, patience_us))) {
		struct timespec deadline;

		deadline_at(b->submitted_us + patience_us, &deadline);
		(void)pthread_cond_timedwait(&v->finished_cond, &v->lock, &deadline);
	}
	DL_FOREACH (v->unfinished, b)
		if (b->ticket <= last)
			stalled(arg, b->name);
}

unsigned inval_n_stalled(struct inval *v)
{
	const struct inval_thread *t;
	uint64_t now = now_us();
	unsigned n = 0;
	LOCK_HOLD(&v->lock);

	DL_FOREACH (v->threads, t)
		n += t->busy_since_us != 0 && now - t->busy_since_us >= STALLED_US;
	return n;
}
