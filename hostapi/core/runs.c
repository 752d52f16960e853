/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs: which run of a guest is going on, and who is root in it
 *
 * Why the oldest process, and not the caller: any user of a guest can make a
 * user namespace in which he is root, and the map of that one says so. The
 * guest's own namespace is the one it was started in, by a process that was there before
 * all others. Why not the oldest that is init of a pid namespace: not every guest has one.
 *
 * Accepted: in a guest without a pid namespace whose first process has ended
 * while others live on, the oldest that is left speaks for it. The guest's root can then be
 * mistaken for nobody, or a user of that guest for its root, never one guest for another. Such a
 * record should say who is root.
 *
 * What a guest can make expensive is the walk over its processes, so one that
 * was too long is not repeated for a while.
 */
#include "core/runs.h"

#include "base/sock.h"
#include "core/cgroup.h"
#include "core/idmap.h"
#include "core/lru.h"
#include "core/process.h"

#define TOO_BIG_US 1000000 /* how long a guest with too many processes stays one */

struct known {
	struct run run;
	struct process_mark mark;  /* of its first process, while that was known to live */
	uint64_t too_big_until_us; /* 0: run is valid */
};

struct runs {
	struct lru *known;
};

struct runs *runs_new(size_t max)
{
	struct runs *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->known = lru_new(max, sizeof(struct known), NULL, NULL);
	return r->known ? r : runs_free(r);
}

struct runs *runs_free(struct runs *r)
{
	if (!r)
		return NULL;
	lru_free(r->known);
	free(r);
	return NULL;
}

/*
 * Whether the first process lives, which was seen before. The mark is taken before it is seen again,
 * hence is its own; *ret_mark is set when it lives.
 */
static bool is_alive(const struct boot *boot, struct process_mark *ret_mark)
{
	struct process_mark mark;
	uint64_t start;

	if (process_mark(boot->init_pid, &mark) < 0 || process_start(boot->init_pid, &start) < 0 ||
	    start != boot->init_start)
		return false;
	*ret_mark = mark;
	return true;
}

/* The same, for what is remembered: most often one system call. */
static bool is_still_alive(struct runs *r, struct known *known)
{
	struct process_mark mark;

	if (process_mark(known->run.boot.init_pid, &mark) == 0 &&
	    process_mark_equal(&mark, &known->mark))
		return true;
	if (!is_alive(&known->run.boot, &known->mark))
		return false;
	lru_put(r->known, known->run.boot.cgroup_id, known);
	return true;
}

/* -EAGAIN: its first process ended meanwhile. */
static int look(int root_fd, const char *path, uint64_t cgroup_id_now, struct known *ret)
{
	struct run run = {.boot.cgroup_id = cgroup_id_now};
	struct process_mark mark;
	uint64_t id = 0;
	int r;

	r = cgroup_first_process(root_fd, path, &run.boot.init_pid, &run.boot.init_start);
	if (r == 0)
		r = process_root_uid(run.boot.init_pid, &run.root_uid);
	if (r == 0)
		r = cgroup_id(root_fd, path, &id);
	if (r < 0)
		return r == -ESRCH ? -EAGAIN : r;
	if (id != cgroup_id_now)
		return -ENOENT;
	/* Last, so that all of the above was about one process. */
	if (!is_alive(&run.boot, &mark))
		return -EAGAIN;
	*ret = (struct known){.run = run, .mark = mark};
	return 0;
}

int runs_current(struct runs *r, int root_fd, const char *path, uint64_t cgroup_id, struct run *ret)
{
	struct known known;
	int err = -EAGAIN;

	if (lru_get(r->known, cgroup_id, &known)) {
		if (known.too_big_until_us > now_us())
			return -E2BIG;
		if (!known.too_big_until_us && is_still_alive(r, &known)) {
			*ret = known.run;
			return 0;
		}
	}
	known = (struct known){0};
	for (int tries = 0; err == -EAGAIN && tries < 3; tries++)
		err = look(root_fd, path, cgroup_id, &known);
	if (err == -E2BIG)
		known.too_big_until_us = now_us() + TOO_BIG_US;
	if (err == 0 || err == -E2BIG)
		lru_put(r->known, cgroup_id, &known);
	if (err == 0)
		*ret = known.run;
	return err;
}

int runs_reread_root(struct runs *r, struct run *run)
{
	struct known known = {.run = *run};
	int err = process_root_uid(run->boot.init_pid, &known.run.root_uid);

	if (err < 0)
		return err;
	if (!is_alive(&run->boot, &known.mark))
		return -ESRCH;
	if (known.run.root_uid != run->root_uid)
		lru_put(r->known, run->boot.cgroup_id, &known);
	run->root_uid = known.run.root_uid;
	return 0;
}

int runs_idmap(const struct boot *boot, struct idmap *ret)
{
	_cleanup_(idmap_finish) struct idmap map = {0};
	struct process_mark mark;
	int r = process_idmap(boot->init_pid, &map);

	if (r < 0)
		return r;
	/* Last, so that both maps were those of that process. */
	if (!is_alive(boot, &mark))
		return -ESRCH;
	*ret = map;
	map = (struct idmap){0}; /* handed over */
	return 0;
}
