/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeper: what it makes before any worker, or takes up of an earlier keeper
 */
#include "keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fusehost.h"
#include "base/log.h"
#include "journal.h"
#include "keeper-private.h"
#include "login.h"
#include "mount.h"
#include "statedir.h"

/* The kernel may abort the mount while nobody serves it: a pause must not be as long as that. */
static void heed_timeout(struct keeper *k)
{
	struct fusehost host;
	unsigned timeout_s;

	fusehost_read_here(&host);
	timeout_s = fusehost_timeout_s(&host);
	k->pause.max_us = pause_max_us(timeout_s);
	if (timeout_s)
		log_warn("the kernel aborts the tree when no worker answers for %u s; the sysctls "
			 "fs.fuse.default_request_timeout and fs.fuse.max_request_timeout say so",
			 timeout_s);
}

int keeper_prepare_for_account(const struct options *o)
{
	struct login account;
	int r = login_find(o->user, &account);

	if (r < 0) {
		log_error("cannot run the worker as \"%s\": %s", o->user ?: LOGIN_DEFAULT,
			  r == -ENOENT ? "there is no such account" : strerror(-r));
		return r;
	}
	if (r == LOGIN_E_ABSENT)
		log_warn("there is no account \"" LOGIN_DEFAULT "\", so the worker runs as "
			 "root without capabilities; make it: useradd --system --user-group "
			 "--no-create-home --shell /usr/sbin/nologin " LOGIN_DEFAULT);
	return statedir_prepare(o->state_dir, o->run_dir, &account);
}

static bool take_up_tree(struct keeper *k)
{
	struct fdstore_tree tree;

	if (fdstore_take_tree(&k->store, k->tree_path, &tree, &k->shared) < 0)
		return false;
	k->fuse_fd = tree.fuse_fd;
	k->shared_fd = tree.shared_fd;
	k->journal_fd = tree.journal_fd;
	memcpy(k->poke_fds, tree.poke_fds, sizeof(k->poke_fds));
	sockets_take_up(&k->sockets, k->tree_path, k->shared, tree.listen_fd, &k->store);
	log_info("taking up the tree of an earlier keeper");
	return true;
}

/* Everything of it but its sockets, which come and go. */
static void keep_tree(struct keeper *k)
{
	const struct fdstore_tree tree = {k->fuse_fd,
					  k->shared_fd,
					  k->journal_fd,
					  k->sockets.fd,
					  {k->poke_fds[0], k->poke_fds[1]}};

	fdstore_put_tree(&k->store, &tree);
}

static void apply_options(const struct keeper *k)
{
	k->shared->is_resend_off = k->options->no_resend;
	k->shared->is_passthrough_off = k->options->no_passthrough;
}

int keeper_open_tree(struct keeper *k)
{
	/* Mounts are found by the name that the kernel has for them. */
	_cleanup_(freep) char *run_dir = realpath(k->options->run_dir, NULL);
	int r;

	if (!run_dir) {
		r = -errno;
		log_error("cannot find \"%s\": %s", k->options->run_dir, strerror(-r));
		return r;
	}
	if (asprintf(&k->tree_path, "%s/" MOUNT_NAME, run_dir) < 0) {
		k->tree_path = NULL;
		return -ENOMEM;
	}
	if (k->options->no_fuse) {
		fdstore_finish(&k->store);
		mount_take_down(k->tree_path);
		return 0;
	}
	heed_timeout(k);
	if (take_up_tree(k)) {
		apply_options(k);
		memcpy(k->fixed, k->shared, sizeof(k->fixed));
		backings_take_up(&k->backings, k->shared);
		fdstore_finish(&k->store);
		return 0;
	}
	/* Before what is new is kept by the same names. */
	fdstore_finish(&k->store);
	r = shared_new(&k->shared_fd, &k->shared);
	if (r == 0)
		r = journal_make(&k->journal_fd);
	if (r == 0)
		r = sockets_init(&k->sockets, k->tree_path, k->shared);
	if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, k->poke_fds) < 0)
		r = -errno;
	if (r < 0) {
		log_error("cannot make the tree: %s", strerror(-r));
		return r;
	}
	apply_options(k);
	r = mount_tree(k->tree_path, k->shared, &k->fuse_fd);
	k->attacher.is_tree_new = true;
	if (r == 0) {
		memcpy(k->fixed, k->shared, sizeof(k->fixed));
		keep_tree(k);
	}
	return r;
}
