#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's end of a mount, as notifications see it
 *
 * For tests linked with kernel_dep (meson.build), which sends writev(2) and the monotonic clock here. What is written
 * to KERNEL_FD is taken apart and noted; names in a directory that is held are not told before it is
 * let go, as when a guest is in it.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "core/lock.h"

#define KERNEL_FD 30000 /* never open */

#define KERNEL_TOLD_MAX 4096

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t n_told;
	struct kernel_told {
		uint64_t id;    /* of a node, or of the directory */
		char name[264]; /* "": of a node */
	} told[KERNEL_TOLD_MAX];
	size_t n_gone;
	uint64_t gone[KERNEL_TOLD_MAX]; /* nodes told to be */
	bool cannot_prune;              /* it is older than that */
	uint64_t held[64];              /* directories; 0: free */
	uint64_t unknown[16];           /* nodes; 0: free */
	unsigned n_inside;              /* who is kept waiting */
	uint64_t clock_ahead_us;
} kernel = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline bool kernel_has_(const uint64_t *list, size_t n, uint64_t id)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == id)
			return true;
	return false;
}

static inline void kernel_set_(uint64_t *list, size_t n, uint64_t from, uint64_t to)
{
	LOCK_HOLD(&kernel.lock);

	for (size_t i = 0; i < n; i++) {
		if (list[i] != from)
			continue;
		list[i] = to;
		pthread_cond_broadcast(&kernel.changed);
		return;
	}
	abort();
}

/* Somebody is in the directory, who keeps its lock. */
static inline void kernel_hold(uint64_t directory)
{
	kernel_set_(kernel.held, ARRAY_SIZE(kernel.held), 0, directory);
}

static inline void kernel_let_go(uint64_t directory)
{
	kernel_set_(kernel.held, ARRAY_SIZE(kernel.held), directory, 0);
}

/* The kernel does not remember the node; all others it does. */
static inline void kernel_forget(uint64_t id)
{
	kernel_set_(kernel.unknown, ARRAY_SIZE(kernel.unknown), 0, id);
}

static inline void kernel_remember(uint64_t id)
{
	kernel_set_(kernel.unknown, ARRAY_SIZE(kernel.unknown), id, 0);
}

/* Waits until @n are kept waiting. */
static inline void kernel_wait_inside(unsigned n)
{
	LOCK_HOLD(&kernel.lock);

	while (kernel.n_inside != n)
		pthread_cond_wait(&kernel.changed, &kernel.lock);
}

static inline unsigned kernel_n_inside(void)
{
	LOCK_HOLD(&kernel.lock);

	return kernel.n_inside;
}

static inline void kernel_set_clock_ahead(uint64_t us)
{
	LOCK_HOLD(&kernel.lock);

	kernel.clock_ahead_us = us;
}

/* Forgets what was told so far. */
static inline void kernel_begin(void)
{
	LOCK_HOLD(&kernel.lock);

	kernel.n_told = kernel.n_gone = 0;
}

static inline size_t kernel_n_told(void)
{
	LOCK_HOLD(&kernel.lock);

	return kernel.n_told;
}

static inline unsigned kernel_count_(uint64_t id, const char *name)
{
	unsigned n = 0;

	for (size_t i = 0; i < kernel.n_told; i++)
		n += kernel.told[i].id == id && streq(kernel.told[i].name, name);
	return n;
}

/* How often @name in the directory @id was told, or ("") the node @id. */
static inline unsigned kernel_n_told_of(uint64_t id, const char *name)
{
	LOCK_HOLD(&kernel.lock);

	return kernel_count_(id, name);
}

/* Waits until that was told. */
static inline void kernel_wait_told(uint64_t id, const char *name)
{
	LOCK_HOLD(&kernel.lock);

	while (kernel_count_(id, name) == 0)
		pthread_cond_wait(&kernel.changed, &kernel.lock);
}

static inline size_t kernel_n_gone(void)
{
	LOCK_HOLD(&kernel.lock);

	return kernel.n_gone;
}

static inline void kernel_set_cannot_prune(bool cannot)
{
	LOCK_HOLD(&kernel.lock);

	kernel.cannot_prune = cannot;
}

/* Whether it is the word that a node is gone, which is then noted. Needs the lock. */
static inline bool kernel_take_gone_(const struct iovec *iov, int n)
{
	const struct fuse_out_header *head = iov[0].iov_base;
	const struct {
		uint32_t count, padding;
		uint64_t spare, id;
	} *out = iov[1].iov_base;

	if (head->error != 9) /* FUSE_NOTIFY_PRUNE */
		return false;
	if (n != 2 || iov[1].iov_len != sizeof(*out) || out->count != 1 || out->padding != 0 ||
	    out->spare != 0 || head->len != sizeof(*head) + sizeof(*out) ||
	    kernel.n_gone == KERNEL_TOLD_MAX)
		abort();
	kernel.gone[kernel.n_gone++] = out->id;
	return true;
}

/* Takes apart what must be exactly a notification. */
static inline struct kernel_told kernel_parse_(const struct iovec *iov, int n)
{
	struct {
		struct fuse_out_header head;
		union {
			struct fuse_notify_inval_inode_out node;
			struct {
				struct fuse_notify_inval_entry_out out;
				char name[256];
			} entry;
		};
	} m = {0};
	struct kernel_told told = {0};
	size_t len = 0;

	for (int i = 0; i < n; len += iov[i++].iov_len) {
		if (len + iov[i].iov_len > sizeof(m))
			abort();
		memcpy((char *)&m + len, iov[i].iov_base, iov[i].iov_len);
	}
	if (m.head.len != len || m.head.unique != 0)
		abort();
	if (m.head.error == FUSE_NOTIFY_INVAL_INODE && len == sizeof(m.head) + sizeof(m.node) &&
	    m.node.off < 0) {
		told.id = m.node.ino;
		return told;
	}
	if (m.head.error != FUSE_NOTIFY_INVAL_ENTRY || m.entry.out.namelen == 0 ||
	    len != sizeof(m.head) + sizeof(m.entry.out) + m.entry.out.namelen + 1 ||
	    strlen(m.entry.name) != m.entry.out.namelen)
		abort();
	told.id = m.entry.out.parent;
	memcpy(told.name, m.entry.name, sizeof(m.entry.name));
	return told;
}

ssize_t __real_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);
uint64_t __real_now_us(void);
uint64_t __wrap_now_us(void);

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
	struct kernel_told told;
	LOCK_HOLD(&kernel.lock);

	if (fd != KERNEL_FD)
		return __real_writev(fd, iov, n);
	if (kernel_take_gone_(iov, n)) {
		errno = EINVAL;
		return kernel.cannot_prune ? -1 : (ssize_t)iov[0].iov_len;
	}
	told = kernel_parse_(iov, n);
	while (*told.name && kernel_has_(kernel.held, ARRAY_SIZE(kernel.held), told.id)) {
		kernel.n_inside++;
		pthread_cond_broadcast(&kernel.changed);
		pthread_cond_wait(&kernel.changed, &kernel.lock);
		kernel.n_inside--;
	}
	if (kernel.n_told == KERNEL_TOLD_MAX)
		abort();
	kernel.told[kernel.n_told++] = told;
	pthread_cond_broadcast(&kernel.changed);
	if (!kernel_has_(kernel.unknown, ARRAY_SIZE(kernel.unknown), told.id))
		return iov[0].iov_len;
	errno = ENOENT;
	return -1;
}

uint64_t __wrap_now_us(void)
{
	LOCK_HOLD(&kernel.lock);

	return __real_now_us() + kernel.clock_ahead_us;
}
