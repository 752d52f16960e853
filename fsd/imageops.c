/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations of image files, a part of ops.c
 */
#include "imageops.h"

#include <fcntl.h>

#include "imagefiles.h"

static struct imagefiles *files_of(const struct ops *o)
{
	return branches_images(o->branches);
}

/* struct fuse_open_out and flags of it, newer than the headers of some who build this and than libfuse 3.17. */
#define OPEN_NOFLUSH     (1U << 5)
#define OPEN_PASSTHROUGH (1U << 7) /* 6.9 */
struct open_out {
	uint64_t handle;
	uint32_t flags;
	int32_t backing_id;
};

/* The kernel reads it by itself, as @backing, unless that is 0. Returns what fuse_reply_open() does. */
static int reply_open(fuse_req_t req, struct fuse_file_info *fi, uint64_t handle, int32_t backing)
{
	struct open_out out = {handle, OPEN_PASSTHROUGH | OPEN_NOFLUSH, backing};
	const struct iovec part = {&out, sizeof(out)};

	if (backing > 0)
		return fuse_reply_iov(req, &part, 1);
	fi->keep_cache = 1;
	fi->noflush = 1;
	fi->fh = handle;
	return fuse_reply_open(req, fi);
}

/* Whether who asks may open it. Returns what ops_fail() takes. */
static int check(struct ops *o, fuse_req_t req, fuse_ino_t id, struct source_file *ret)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	const struct source_caller caller = {.tid = ctx->pid, .uid = ctx->uid};
	int r = files_of(o) ? imagefiles_find(files_of(o), id, ret) : -ESTALE;

	if (r == 0)
		r = o->source->ops->check_file(o->source->ctx, &caller, ret);
	return r == SOURCE_E_HOST ? 0 : r;
}

bool imageops_open(struct ops *o, fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct source_file file;
	int32_t backing = 0;
	int r;

	if (!tree_id_is_file(id))
		return false;
	o->stats.n_requests++;
	r = check(o, req, id, &file);
	if (r == 0 && ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC)))
		r = -EROFS;
	if (r == 0)
		r = imagefiles_open(files_of(o), &file, &backing);
	if (r != 0)
		ops_fail(o, req, r);
	/* The caller was interrupted: the kernel will not close what it was not told it has. */
	else if (reply_open(req, fi, o->generation, backing) == -ENOENT)
		imagefiles_close(files_of(o), id);
	return true;
}

/* Its number is not the file's, so opening it is not counted: its descriptor is kept like one that an earlier worker opened. */
int imageops_open_own(struct ops *o, fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	_cleanup_(node_finish) struct node n = {0};
	int r = node_find(o->branches, id, &n);

	if (r == 0 && (!files_of(o) || !node_file(&n, &n.file_on_disk)))
		r = -ESTALE;
	if (r == 0)
		r = imagefiles_open(files_of(o), &n.file_on_disk, NULL);
	if (r < 0)
		return r;
	imagefiles_close(files_of(o), imagefiles_id(&n.file_on_disk, o->shared->secret));
	reply_open(req, fi, 0, 0);
	return 0;
}

bool imageops_release(struct ops *o, fuse_req_t req, fuse_ino_t id, const struct fuse_file_info *fi)
{
	if (!tree_id_is_file(id))
		return false;
	/* What an earlier worker opened was never counted here. */
	if (fi->fh == o->generation && files_of(o))
		imagefiles_close(files_of(o), id);
	fuse_reply_err(req, 0);
	return true;
}

int imageops_read(struct ops *o, fuse_req_t req, const struct node *n, size_t size, off_t offset)
{
	struct source_file file;
	void *bytes;
	ssize_t got;

	if (!files_of(o) || !node_file(n, &file))
		return -ESTALE;
	bytes = imagefiles_take_memory(files_of(o));
	if (!bytes)
		return -ENOMEM;
	if (size > IMAGEFILES_READ_MAX)
		size = IMAGEFILES_READ_MAX;
	got = imagefiles_read(files_of(o), &file, bytes, size, offset);
	if (got >= 0)
		fuse_reply_buf(req, bytes, (size_t)got);
	imagefiles_give_memory(files_of(o), bytes);
	return got < 0 ? (int)got : 0;
}
