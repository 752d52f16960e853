#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Journal: requests that were read and not answered yet, in memory that outlives the worker
 *
 * Kernels before 6.9 do not send a request again, so nothing of one may be the worker's alone for a moment: each thread has the kernel
 * put it into a slot of its own here, where it stays until it has been answered, or is put aside, into a slot that is freed when it has been. A
 * worker that dies, whenever that is, leaves what it has not answered. What it has may be there, too: a request answered and not
 * crossed out yet, or one in two slots, which journal_take_up() shows once.
 *
 * Slots are taken from the lowest on and sparse. The next worker is the only other one who looks.
 */
#include <stdbool.h>
#include <stddef.h>

#include <linux/fuse.h>

#include "base/cleanup.h"

struct journal;

/* The largest request there is: WRITE of max_write (mount.c), and what the kernel insists on. */
#define JOURNAL_REQUEST_MAX (2 * FUSE_MIN_READ_BUFFER)
#define JOURNAL_READERS_MAX 8
/* Room to put requests aside. No guest that means well sends a large one. */
#define JOURNAL_SMALL_MAX 512
#define JOURNAL_N_SMALL   65536
#define JOURNAL_N_LARGE   256

/* Makes the memory. *ret_fd is close-on-exec and the caller's. Returns 0 or -errno. */
int journal_make(int *ret_fd);

/* Maps what journal_make() made (@fd is borrowed), in the one worker that there is. What is not of this version goes. Returns 0, -EINVAL when it is none, or -errno. */
int journal_new(int fd, struct journal **ret);
/* Whether journal_new() would go on with what is there, while a worker uses it. Returns 0, -EINVAL or -errno. */
int journal_check(int fd);
struct journal *journal_free(struct journal *j); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct journal *, journal_free);

/*
 * What an earlier worker has left: shows each request of @n bytes once, in the order in which they were sent, put aside. One that cannot be
 * a request is dropped. @each has it answered or crossed out. Before anybody reads. Returns 0 or -ENOMEM.
 */
int journal_take_up(struct journal *j, void (*each)(void *ctx, void *request, size_t n), void *ctx);
/* Or nothing of it. */
void journal_clear(struct journal *j);

/* Where the reader number @i reads a request to, JOURNAL_REQUEST_MAX bytes, the last one being answered or put aside. */
void *journal_reader(struct journal *j, unsigned i);

/* Moves the request of @n bytes out of the way of the next one. NULL: no room. */
void *journal_put_aside(struct journal *j, void *request, size_t n);

/* The calling thread answers @request now. When that has ended it is crossed out, unless it was kept meanwhile. */
void journal_begin(struct journal *j, void *request);
void journal_end(struct journal *j);

/*
 * The request that the calling thread is about to answer will be answered later, by whoever calls journal_done() then. Returns it, put aside.
 * NULL: no room.
 */
void *journal_keep(struct journal *j);

/* It has been answered. Any thread. */
void journal_done(struct journal *j, void *request);

/* How much of @limit a single instance may have put aside or waiting: a fraction when room gets scarce. */
unsigned journal_share(struct journal *j, unsigned limit);
