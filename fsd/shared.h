#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shared state: what outlives a worker, in memory that keeper, worker, helper and poker map
 *
 * One memfd, made with the mount and as old as it. The keeper writes the first part before each
 * worker starts; what changes later is atomic, or says who writes it.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/log.h"

#define SHARED_INIT_MAX          256 /* bytes of a FUSE_INIT request; 104 since protocol 7.36 */
#define SHARED_SECRET_SIZE       192 /* what the hash asks for: XXH3_SECRET_DEFAULT_SIZE */
#define SHARED_LISTENERS_MAX     1024
#define SHARED_POKER_THREADS_MAX 64
#define SHARED_RETRIES           1024
#define SHARED_BACKINGS_MAX      1024

struct shared_listener {
	uint32_t serial; /* of the instance; 0: the slot is free */
	int32_t fd;      /* of the keeper, inherited by its workers under the same number */
	_Atomic bool is_bound;
};

/* How an image file is read: by all that have it open in the same way, so this is for the life of the mount. */
struct shared_backing {
	_Atomic uint64_t node; /* 0: free */
	_Atomic int32_t
		id; /* the kernel's number for the file that it reads by itself; -1: workers read it */
};

struct shared {
	uint64_t magic;
	uint32_t version, size;

	/* Fixed with the mount. */
	uint32_t mount_number; /* the kernel's, of the file system: mount_number() */
	char mount_id[33];     /* random, in hex: which mount serials belong to */
	unsigned char secret[SHARED_SECRET_SIZE]; /* of the hash that makes node ids */
	uint32_t init_len;
	_Alignas(uint64_t) unsigned char init
		[SHARED_INIT_MAX]; /* the kernel's FUSE_INIT request, for every worker to replay */
	bool is_passthrough_off; /* the kernel is not asked to read files by itself, although it could */
	bool is_resend_off; /* the kernel is not asked to send requests again, although it could */

	_Atomic uint32_t last_serial; /* given to an instance; the worker's */
	_Atomic uint32_t n_workers;   /* that have served so far; the worker's */
	_Atomic int32_t
		canary_tid; /* a thread of the worker that ends with it and not before; the worker's */
	_Atomic int32_t helper_tid;                           /* 0: there is none; the keeper's */
	_Atomic int32_t poker_pid;                            /* 0: there is none; the keeper's */
	_Atomic int32_t poker_tids[SHARED_POKER_THREADS_MAX]; /* 0: free; each its own */
	_Atomic bool is_poker_up;     /* it has got as far as serving; its own */
	_Atomic bool is_socket_bound; /* the one for all; the keeper's */
	/*
	 * Threads that were told ESTALE lately, each at its id modulo the size: the id << 32 | milliseconds of the monotonic
	 * clock; the worker's
	 */
	_Atomic uint64_t retries[SHARED_RETRIES];
	struct shared_backing backings[SHARED_BACKINGS_MAX]; /* the worker's */
	_Atomic bool
		is_backing_over; /* they were all taken: nothing new is read by the kernel itself; the worker's */
	struct log_tail log_tail; /* of the worker, emptied by the keeper */
	struct shared_listener
		listeners[SHARED_LISTENERS_MAX]; /* sockets of one instance each; the keeper's */
};

/* How much of its beginning is fixed with the mount. */
#define SHARED_FIXED_SIZE offsetof(struct shared, last_serial)

/* Bytes of it, whole pages; what the memory has behind is the log of events (core/eventlog.h). */
size_t shared_size(void);

/*
 * Makes it, with a random mount_id and secret. *ret_fd is close-on-exec and the caller's, as *ret.
 * Returns 0 or -errno.
 */
int shared_new(int *ret_fd, struct shared **ret);

/* Maps what shared_new() made, in a worker. Returns 0, -EINVAL when it is of another version, or -errno. */
int shared_map(int fd, struct shared **ret);

/* Unmaps it. NULL-safe; always NULL. */
struct shared *shared_free(struct shared *s);
DEFINE_CLEANUP(struct shared *, shared_free);
