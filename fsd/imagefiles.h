#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image files: the nodes that all instances share, and their bytes
 *
 * A node's id is a hash of all the file is, so the kernel keeps the bytes once for all guests, and any worker finds what another one has
 * handed out. Bytes are read from descriptors that are kept here, a bounded number; every read looks whether the file is still what
 * was imported, so nothing else ever gets into the kernel's memory.
 *
 * Thread-safe.
 */
#include "base/cleanup.h"
#include "source.h"

struct imagefiles;
struct shared;

struct imagefiles_options {
	const struct source *source; /* borrowed, as all here */
	struct shared *shared;
	bool has_passthrough; /* the kernel can read files by itself */
	/* The kernel's number for @fd (lent), of which it shall read the node @node by itself, or -errno. May wait. */
	int (*open_backing)(void *ctx, uint64_t node, int fd);
	/* It shall not any more; who has it open does. Must not wait. */
	void (*close_backing)(void *ctx, uint64_t node);
	void *ctx;
};

/* NULL = no memory. */
struct imagefiles *imagefiles_new(const struct imagefiles_options *options);
struct imagefiles *imagefiles_free(struct imagefiles *f); /* NULL-safe; always NULL */

/* The node's. */
uint64_t imagefiles_id(const struct source_file *file, const unsigned char *secret);

/* What the node is; one that is gone as long as its descriptor is kept. Returns 0, -ESTALE or -ENOMEM. */
int imagefiles_find(struct imagefiles *f, uint64_t id, struct source_file *ret);

/*
 * Looks whether it can be read. Its descriptor is not closed because it is gone until imagefiles_close(), which is called as often. Returns
 * 0; -EIO when it is not what was imported, which is logged; or -errno.
 *
 * *ret_backing is the kernel's number for it, when that is to read it by itself, or 0. It is the same for all that have it open at a time, whichever
 * worker opened it, because the kernel refuses to read one node in both ways. NULL: it is read here.
 */
int imagefiles_open(struct imagefiles *f, const struct source_file *file, int32_t *ret_backing);
void imagefiles_close(struct imagefiles *f, uint64_t id);

/* Bytes of it into @bytes. Returns how many, fewer than @n at its end only; -EIO when it is not what was imported; or -errno. */
ssize_t imagefiles_read(struct imagefiles *f, const struct source_file *file, void *bytes, size_t n,
			off_t offset);

/* Images have changed: closes what is gone and nobody has open. */
void imagefiles_settle(struct imagefiles *f);

/* How many files the kernel reads by itself. */
unsigned imagefiles_count_backed(const struct imagefiles *f);

/* Memory for a read, as large as any may be; the thread gives it back. NULL = no memory. */
#define IMAGEFILES_READ_MAX (1 << 20)
void *imagefiles_take_memory(struct imagefiles *f);
void imagefiles_give_memory(struct imagefiles *f, void *bytes);
