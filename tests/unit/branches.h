#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Branches of a fake source, on the kernel of kernel.h, in a directory of the test's own
 */
#include "branch.h"
#include "core/hub.h"
#include "fakes.h"
#include "imagefiles.h"
#include "indexes.h"
#include "kernel.h"
#include "scratch.h"

struct world {
	struct fake fake;
	struct hub *hub;
	struct shared *shared;
	int shared_fd;
	void *dir; /* scratch.h's */
	struct imagefiles *images;
	int backing; /* the kernel's number for what it is to read by itself, or -errno */
	unsigned n_backings;
	struct branches *all;
	/* What want_socket() said last, of whom, and how often. */
	uint32_t wanted_serial;
	bool is_wanted;
	unsigned n_wanted;
};

#define WORLD_FOR_EVER (UINT64_C(3600) * 1000 * 1000)

static inline void world_want_socket_(void *ctx, uint32_t serial, struct instance *i, bool wanted)
{
	struct world *w = ctx;

	w->wanted_serial = serial;
	w->is_wanted = wanted;
	w->n_wanted++;
}

static inline int world_open_backing_(void *ctx, uint64_t node, int fd)
{
	struct world *w = ctx;

	w->n_backings++;
	return w->backing;
}

static inline void world_close_backing_(void *ctx, uint64_t node)
{
	struct world *w = ctx;

	w->n_backings--;
}

/* A worker begins, the first or the next. */
static inline int world_begin(struct world *w)
{
	const struct imagefiles_options images = {
		.source = &w->fake.source,
		.shared = w->shared,
		.has_passthrough = true,
		.open_backing = world_open_backing_,
		.close_backing = world_close_backing_,
		.ctx = w,
	};
	struct imagefiles *files = imagefiles_new(&images);
	const struct branches_options options = {
		.source = &w->fake.source,
		.hub = w->hub,
		.shared = w->shared,
		.images = files,
		.run_dir = w->dir,
		.fuse_fd = KERNEL_FD,
		.poke_fd = -1,
		.want_socket = world_want_socket_,
		.ctx = w,
	};

	w->images = files;
	return files ? branches_new(&options, &w->all) : -ENOMEM;
}

static inline void world_end(struct world *w)
{
	w->all = branches_free(w->all);
	w->images = imagefiles_free(w->images);
}

/* A cmocka setup: *state is a struct world without instances. */
static inline int world_setup(void **state)
{
	static struct world w;

	w = (struct world){.shared_fd = -1, .backing = -EOPNOTSUPP};
	memset(kernel.held, 0, sizeof(kernel.held));
	memset(kernel.unknown, 0, sizeof(kernel.unknown));
	kernel_set_clock_ahead(0);
	kernel_begin();
	fake_init(&w.fake);
	if (hub_new(&(struct hub_options){.fd = -1}, &w.hub) < 0)
		return -1;
	*state = &w;
	if (scratch_setup(&w.dir) < 0 || shared_new(&w.shared_fd, &w.shared) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(w.shared->secret); i++)
		w.shared->secret[i] = (unsigned char)i;
	w.shared->is_socket_bound = true;
	return world_begin(&w);
}

static inline int world_teardown(void **state)
{
	struct world *w = *state;
	int r;

	world_end(w);
	hub_free(w->hub);
	shared_free(w->shared);
	close(w->shared_fd);
	r = scratch_teardown(&w->dir);
	return fake_finish(&w->fake) ?: r;
}

static inline void world_never_(void *arg, const char *name)
{
	abort();
}

/* Until all changes so far have been told. */
static inline void world_settle(struct world *w)
{
	branches_wait(w->all, WORLD_FOR_EVER, world_never_, NULL);
}

/* Has @name show the items, tells the branches, and waits until the kernel knows. */
#define CHANGE(W, NAME, ...)                                                                       \
	do {                                                                                       \
		SHOW(&(W)->fake, NAME, __VA_ARGS__);                                               \
		branches_changed((W)->all, NAME);                                                  \
		world_settle(W);                                                                   \
	} while (0)

/* The id that @path stands for now; 0: nothing. Makes the index, as anybody who asks. */
static inline uint64_t world_id(struct branch *b, const char *path)
{
	_cleanup_(index_unrefp) struct index *x = NULL;
	const struct index_node *n;

	if (branch_index(b, &x) < 0)
		abort();
	n = index_at(x, path);
	return n ? index_id(x, n) : 0;
}
