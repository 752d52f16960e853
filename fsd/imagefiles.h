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

/* Both borrowed; @secret as of index_input. NULL = no memory. */
struct imagefiles *imagefiles_new(const struct source *source, const unsigned char *secret);
struct imagefiles *imagefiles_free(struct imagefiles *f); /* NULL-safe; always NULL */

/* The node's. */
uint64_t imagefiles_id(const struct source_file *file, const unsigned char *secret);

/* What the node is; one that is gone as long as its descriptor is kept. Returns 0, -ESTALE or -ENOMEM. */
int imagefiles_find(struct imagefiles *f, uint64_t id, struct source_file *ret);

/*
 * Looks whether it can be read. Its descriptor is not closed because it is gone until imagefiles_close(), which is called as often. Returns
 * 0; -EIO when it is not what was imported, which is logged; or -errno.
 */
int imagefiles_open(struct imagefiles *f, const struct source_file *file);
void imagefiles_close(struct imagefiles *f, uint64_t id);

/* Bytes of it into @bytes. Returns how many, fewer than @n at its end only; -EIO when it is not what was imported; or -errno. */
ssize_t imagefiles_read(struct imagefiles *f, const struct source_file *file, void *bytes, size_t n,
			off_t offset);

/* Images have changed: closes what is gone and nobody has open. */
void imagefiles_settle(struct imagefiles *f);

/* Memory for a read, as large as any may be; the thread gives it back. NULL = no memory. */
#define IMAGEFILES_READ_MAX (1 << 20)
void *imagefiles_take_memory(struct imagefiles *f);
void imagefiles_give_memory(struct imagefiles *f, void *bytes);
