/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations of the tree
 *
 * The root of the mount is the host's: one directory for each instance, whose names are looked up anew every time,
 * and the hidden sockets that the helper binds. Below, an operation finds the branch by the node's serial and the node in the
 * branch's index; one that is not there any more is ESTALE, on which the kernel looks its name up again.
 */
#include "ops.h"

#include <poll.h>
#include <sys/stat.h>

#include "core/filename.h"
#include "core/instance.h"
#include "helper.h"
#include "imageops.h"
#include "listing.h"
#include "node.h"
#include "pokeops.h"
#include "shared.h"

static struct source_caller caller_of(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct source_caller){.tid = ctx->pid, .uid = ctx->uid};
}

static bool is_helper(const struct ops *o, fuse_req_t req)
{
	pid_t tid = o->shared->helper_tid;

	return tid != 0 && fuse_req_ctx(req)->pid == tid;
}

static int errno_of(int r)
{
	switch (r) {
	case SOURCE_E_DENIED:
	case SOURCE_E_HOST: /* where reading is not enough */
		return EACCES;
	case SOURCE_E_ABSENT:
		return ESTALE;
	default:
		return r < 0 ? -r : 0;
	}
}

void ops_fail(struct ops *o, fuse_req_t req, int r)
{
	int error = errno_of(r);

	o->stats.n_denied += error == EACCES;
	o->stats.n_stale += error == ESTALE;
	fuse_reply_err(req, error);
}

/* Begins an operation on @id: its place, counted. Returns 0 or -errno. */
static int begin(struct ops *o, fuse_ino_t id, struct node *ret)
{
	o->stats.n_requests++;
	return node_find(o->branches, id, ret);
}

/* As branch_check(). What the guest itself asks is counted as its own. */
static int check(struct branch *b, const struct source_caller *caller)
{
	int r = branch_check(b, caller);

	instance_account(branch_instance(b))->n_tree_requests += r == 0;
	return r;
}

/* As begin(), for what only the instance and the host's root may do, unless there is nothing to see anyway. */
static int begin_checked(struct ops *o, fuse_req_t req, fuse_ino_t id, struct node *ret)
{
	struct source_caller caller = caller_of(req);
	int found = node_find_owned(o->branches, id, caller.uid, ret), r = 0;

	o->stats.n_requests++;
	if (ret->branch)
		r = check(ret->branch, &caller);
	if (r == SOURCE_E_DENIED && found == 0 && ret->index && ret->index->is_hidden)
		r = 0;
	return r == 0 || r == SOURCE_E_HOST ? found : r;
}

static void reply_entry(struct ops *o, fuse_req_t req, const struct node *n)
{
	struct fuse_entry_param e;
	int r = node_entry(n, &e);

	if (r == 0)
		fuse_reply_entry(req, &e);
	else
		ops_fail(o, req, r);
}

/* The socket with the hidden name @name. Returns 0 with its node, -ENOENT when it is none or not bound. */
static int find_hidden_socket(struct ops *o, const char *name, struct node *ret)
{
	char hidden[HELPER_NAME_MAX];

	helper_socket_name(0, hidden);
	if (streq(name, hidden) && o->shared->is_socket_bound)
		return node_shared_socket(ret);
	for (size_t i = 0; i < SHARED_LISTENERS_MAX; i++) {
		const struct shared_listener *l = &o->shared->listeners[i];

		if (!l->serial || !l->is_bound)
			continue;
		helper_socket_name(l->serial, hidden);
		if (streq(name, hidden))
			return node_own_socket(o->branches, l->serial, ret);
	}
	return -ENOENT;
}

static void lookup_in_root(struct ops *o, fuse_req_t req, const char *name)
{
	_cleanup_(node_finish) struct node n = {0};
	int r;

	o->stats.n_requests++;
	r = *name == '.' ? find_hidden_socket(o, name, &n) : node_top(o->branches, name, &n);
	if (r < 0)
		ops_fail(o, req, r);
	else
		reply_entry(o, req, &n);
}

/* Looks @name up in the directory @parent. Returns 0, -EAGAIN when that has changed meanwhile, or what fail() takes. */
static int look_up(struct ops *o, fuse_req_t req, fuse_ino_t parent, const char *name)
{
	_cleanup_(node_finish) struct node dir = {0};
	struct node child;
	int r = begin_checked(o, req, parent, &dir);

	if (r == 0 && strlen(name) > FILENAME_MAX_BYTES)
		r = -ENAMETOOLONG;
	if (r != 0)
		return r;
	r = node_child(&dir, name, &child);
	if (r < 0)
		return r;
	if (tree_row(child.row)->kind == TREE_CONTENT &&
	    !branch_note_lookup(dir.branch, dir.index, child.id, caller_of(req).tid))
		return -EAGAIN;
	reply_entry(o, req, &child);
	return 0;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops *o = session_ctx(req);
	int r = -EAGAIN;

	if (pokeops_lookup(o, req, parent, name))
		return;
	if (parent == TREE_ROOT_ID) {
		lookup_in_root(o, req, name);
		return;
	}
	while (r == -EAGAIN)
		r = look_up(o, req, parent, name);
	if (r != 0)
		ops_fail(o, req, r);
}

static void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t n)
{
	struct ops *o = session_ctx(req);

	node_forgotten(o->branches, id);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct ops *o = session_ctx(req);

	for (size_t i = 0; i < count; i++)
		node_forgotten(o->branches, forgets[i].ino);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct ops *o = session_ctx(req);
	_cleanup_(node_finish) struct node n = {0};
	double timeout;
	struct stat st;
	int r;

	if (pokeops_getattr(o, req, id))
		return;
	r = node_find_owned(o->branches, id, caller_of(req).uid, &n);
	o->stats.n_requests++;
	if (r == 0)
		r = node_stat(&n, &st, &timeout);
	if (r == -ESTALE && n.branch)
		branch_note_stale(n.branch, caller_of(req).tid);
	/* With a file: only lseek(2) to the end asks so, of what is not cached. */
	if (r == 0 && fi && tree_id_is_log(id))
		r = stream_seek_end(o->stream, n.branch, fi);
	if (r == 0)
		fuse_reply_attr(req, &st, timeout);
	else
		ops_fail(o, req, r);
}

/* Whether what was asked of @n, which was not found, is gone because nothing is shown. */
static bool is_hidden(const struct node *n)
{
	return n->index && n->index->is_hidden;
}

/* A file of the row @row is open. */
static void reply_open(const struct ops *o, fuse_req_t req, struct branch *b, fuse_ino_t id,
		       enum tree_row row, struct fuse_file_info *fi)
{
	if (tree_row(row)->kind == TREE_STREAM) {
		fi->direct_io = 1;
		fuse_reply_open(req, fi);
		return;
	}
	fi->keep_cache = 1;
	fi->noflush = 1;
	fi->fh = o->generation;
	/* The caller was interrupted: the kernel will not close what it was not told it has. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		branch_close(b, id);
}

/* The log of the caller's instance, or of what the host's root looks at. */
static void open_log(struct ops *o, fuse_req_t req, struct branch *b, fuse_ino_t id,
		     struct fuse_file_info *fi, bool writes)
{
	_cleanup_(node_finish) struct node n = {0};
	int r = node_find(o->branches, id, &n);

	r = r == -ESTALE && is_hidden(&n) ? -EACCES : r;
	if (r == 0 && writes)
		r = -EROFS;
	if (r != 0)
		ops_fail(o, req, r);
	else
		stream_open(o->stream, req, b, id, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct ops *o = session_ctx(req);
	struct source_caller caller = caller_of(req);
	_cleanup_(branch_unrefp) struct branch *b = branches_find(o->branches, tree_serial(id));
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC);
	enum tree_row row;
	int r;

	if (pokeops_open(o, req, id, fi) || imageops_open(o, req, id, fi))
		return;
	o->stats.n_requests++;
	if (!b) {
		ops_fail(o, req, -ESTALE);
		return;
	}
	r = check(b, &caller);
	if ((r == 0 || r == SOURCE_E_HOST) && tree_id_is_log(id)) {
		open_log(o, req, b, id, fi, writes);
		return;
	}
	if (r == 0 || (r == SOURCE_E_HOST && !writes))
		r = branch_open(b, id, caller.tid, writes, &row);
	if (r == -ESTALE)
		branch_note_stale(b, caller.tid);
	if (r == 0 && tree_row(row)->kind == TREE_FILE) {
		r = imageops_open_own(o, req, id, fi);
		if (r == 0)
			return;
	}
	if (r != 0)
		ops_fail(o, req, r);
	else
		reply_open(o, req, b, id, row, fi);
}

static void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct ops *o = session_ctx(req);
	_cleanup_(branch_unrefp) struct branch *b = NULL;

	if (imageops_release(o, req, id, fi))
		return;
	b = branches_find(o->branches, tree_serial(id));
	if (b && tree_id_is_log(id))
		stream_release(o->stream, b, fi);
	/* What an earlier worker opened was never counted here. */
	else if (b && fi->fh == o->generation)
		branch_close(b, id);
	fuse_reply_err(req, 0);
}

static void reply_slice(fuse_req_t req, const char *bytes, size_t len, size_t size, off_t offset)
{
	if (offset < 0 || (size_t)offset >= len)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, bytes + offset, size < len - offset ? size : len - offset);
}

static void read_stream(struct ops *o, fuse_req_t req, const struct node *n, size_t size,
			off_t offset)
{
	char line[16];

	snprintf(line, sizeof(line), "%s\n",
		 o->source->ops->state(o->source->ctx, branch_instance(n->branch)));
	reply_slice(req, line, strlen(line), size, offset);
}

static void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	struct ops *o = session_ctx(req);
	_cleanup_(node_finish) struct node n = {0};
	_cleanup_(source_bytes_finish) struct source_bytes value = {0};
	int r = begin(o, id, &n);

	r = r == -ESTALE && is_hidden(&n) ? -EACCES : r;
	if (r == 0 && n.kept)
		reply_slice(req, n.kept->bytes, n.kept->size, size, offset);
	else if (r == 0 && tree_row(n.row)->kind == TREE_STREAM)
		read_stream(o, req, &n, size, offset);
	else if (r == 0 && tree_row(n.row)->kind == TREE_LOG)
		stream_read(o->stream, req, n.branch, size, offset, fi);
	else if (r == 0 && tree_row(n.row)->kind == TREE_FILE)
		r = imageops_read(o, req, &n, size, offset);
	else if (r == 0)
		r = tree_row(n.row)->kind == TREE_CONTENT ? index_read(n.index, n.at, &value)
							  : -EINVAL;
	if (r != 0)
		ops_fail(o, req, r);
	else if (value.at)
		reply_slice(req, value.at, value.len, size, offset);
}

/* The word that was written, a newline behind it or not. Returns 1: Ready, 0: Started, -EINVAL. */
static int parse_state(const char *bytes, size_t n)
{
	if (n > 0 && bytes[n - 1] == '\n')
		n--;
	if (n == strlen("Ready") && memcmp(bytes, "Ready", n) == 0)
		return 1;
	return n == strlen("Started") && memcmp(bytes, "Started", n) == 0 ? 0 : -EINVAL;
}

static void op_write(fuse_req_t req, fuse_ino_t id, const char *bytes, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	struct ops *o = session_ctx(req);
	struct source_caller caller = caller_of(req);
	_cleanup_(node_finish) struct node n = {0};
	int ready, r = begin(o, id, &n);

	if (r == 0 && !tree_row(n.row)->is_writable)
		r = -EROFS;
	if (r == 0 && n.index->is_hidden)
		r = -EACCES;
	if (r == 0)
		r = check(n.branch, &caller);
	ready = r == 0 ? parse_state(bytes, size) : 0;
	if (ready < 0)
		r = ready;
	if (r == 0)
		r = o->source->ops->set_state(o->source->ctx, branch_instance(n.branch), ready);
	if (r != 0)
		ops_fail(o, req, r);
	else
		fuse_reply_write(req, size);
}

static void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct ops *o = session_ctx(req);
	struct source_caller caller = caller_of(req);
	_cleanup_(node_finish) struct node n = {0};
	int r;

	if (id == TREE_ROOT_ID) {
		/* The host's alone: the names of all instances. */
		if (!o->source->ops->is_host(o->source->ctx, &caller))
			ops_fail(o, req, -EACCES);
		else
			fuse_reply_open(req, fi);
		return;
	}
	r = begin_checked(o, req, id, &n);
	if (r == 0 && (n.kept || tree_row(n.row)->kind != TREE_DIRECTORY))
		r = -ENOTDIR;
	if (r != 0) {
		ops_fail(o, req, r);
		return;
	}
	fi->cache_readdir = 1;
	fi->keep_cache = branch_keeps_listing(n.branch, n.index, n.at);
	fuse_reply_open(req, fi);
}

static void read_directory(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, bool is_plus)
{
	struct ops *o = session_ctx(req);
	_cleanup_(node_finish) struct node n = {0};
	struct listing l = {.req = req, .is_plus = is_plus};
	int r = listing_begin(&l, size);

	if (r == 0 && id == TREE_ROOT_ID)
		r = listing_root(&l, o->source, (uint64_t)offset);
	else if (r == 0)
		r = begin(o, id, &n) ?: listing_directory(&l, &n, (uint64_t)offset);
	if (r == 0)
		fuse_reply_buf(req, l.bytes, l.used);
	else
		ops_fail(o, req, r);
	listing_finish(&l);
}

static void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	read_directory(req, id, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
			   struct fuse_file_info *fi)
{
	read_directory(req, id, size, offset, true);
}

/* bind(2) by the helper makes the node of a socket, the poker what is there; everybody else makes nothing. */
static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	struct ops *o = session_ctx(req);
	_cleanup_(node_finish) struct node n = {0};
	char hidden[HELPER_NAME_MAX];
	int r = -EROFS;

	if (pokeops_mknod(o, req, parent, name, mode))
		return;
	if (parent == TREE_ROOT_ID && S_ISSOCK(mode) && is_helper(o, req)) {
		helper_socket_name(0, hidden);
		if (streq(name, hidden))
			r = node_shared_socket(&n);
		for (size_t i = 0; r == -EROFS && i < SHARED_LISTENERS_MAX; i++) {
			uint32_t serial = o->shared->listeners[i].serial;

			helper_socket_name(serial, hidden);
			if (serial && streq(name, hidden))
				r = node_own_socket(o->branches, serial, &n);
		}
	}
	if (r == 0)
		reply_entry(o, req, &n);
	else
		ops_fail(o, req, r);
}

/* All attributes are given; truncating what is written anyway is nothing. */
static void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	struct ops *o = session_ctx(req);
	_cleanup_(node_finish) struct node n = {0};

	if (pokeops_setattr(o, req, id, to_set))
		return;
	if (to_set == FUSE_SET_ATTR_SIZE && attr->st_size == 0 &&
	    node_find(o->branches, id, &n) == 0 && !n.kept && tree_row(n.row)->is_writable)
		op_getattr(req, id, fi);
	else
		ops_fail(o, req, -EROFS);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	fuse_reply_err(req, EROFS);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (!pokeops_unlink(session_ctx(req), req, parent, name))
		fuse_reply_err(req, EROFS);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EROFS);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	fuse_reply_err(req, EROFS);
}

static void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t new_parent, const char *new_name)
{
	fuse_reply_err(req, EROFS);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
			 struct fuse_file_info *fi)
{
	fuse_reply_err(req, EROFS);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t id, const char *name, const char *value,
			size_t size, int flags)
{
	fuse_reply_err(req, EROFS);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t id, const char *name)
{
	fuse_reply_err(req, EROFS);
}

/* Of no device, as /proc: nothing can be filled, and nothing freed. */
static void op_statfs(fuse_req_t req, fuse_ino_t id)
{
	const struct statvfs st = {.f_bsize = 4096,
				   .f_frsize = 4096,
				   .f_namemax = FILENAME_MAX_BYTES,
				   .f_flag = ST_NOSUID | ST_RDONLY};

	fuse_reply_statfs(req, &st);
}

/* Never ENOSYS: the kernel would not ask again, of any file. */
static void op_poll(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi,
		    struct fuse_pollhandle *handle)
{
	struct ops *o = session_ctx(req);
	_cleanup_(branch_unrefp) struct branch *b = NULL;

	if (tree_id_is_log(id))
		b = branches_find(o->branches, tree_serial(id));
	if (b) {
		stream_poll(o->stream, req, b, fi, handle);
		return;
	}
	if (handle)
		fuse_pollhandle_destroy(handle);
	fuse_reply_poll(req, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
}

const struct fuse_lowlevel_ops *ops_table(void)
{
	/* What is missing is answered ENOSYS by libfuse, once: there are no xattrs to read, no locks of ours, no flush. */
	static const struct fuse_lowlevel_ops table = {
		.lookup = op_lookup,
		.forget = op_forget,
		.forget_multi = op_forget_multi,
		.getattr = op_getattr,
		.setattr = op_setattr,
		.mknod = op_mknod,
		.mkdir = op_mkdir,
		.unlink = op_unlink,
		.rmdir = op_unlink,
		.symlink = op_symlink,
		.rename = op_rename,
		.link = op_link,
		.create = op_create,
		.fallocate = op_fallocate,
		.setxattr = op_setxattr,
		.removexattr = op_removexattr,
		.open = op_open,
		.read = op_read,
		.write = op_write,
		.release = op_release,
		.opendir = op_opendir,
		.readdir = op_readdir,
		.readdirplus = op_readdirplus,
		.statfs = op_statfs,
		.poll = op_poll,
	};

	return &table;
}
