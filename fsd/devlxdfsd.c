/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd: keeper by default, worker when the keeper started it, both in
 * one process for debugging.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "keeper.h"
#include "notify.h"
#include "options.h"
#include "rundir.h"
#include "worker.h"

struct foreground {
	struct rundir run;
	int ready_fd;
};

static int foreground_ready(void *ctx)
{
	struct foreground *f = ctx;
	int r = rundir_publish(&f->run);

	if (r < 0)
		return r;
	if (f->ready_fd >= 0 && write(f->ready_fd, "\n", 1) < 0)
		log_warn("cannot write to the ready descriptor, ignoring: %m");
	closep(&f->ready_fd);
	f->ready_fd = -1;
	log_full(LOG_LEVEL_INFO, LOG_EVENT_STARTED, NULL, "serving guests on \"%s/sock\"",
		 f->run.path);
	notify_manager("READY=1");
	return 0;
}

static int run_foreground(const struct options *o)
{
	struct foreground f = {.ready_fd = o->ready_fd};
	struct worker_fds fds = {.keeper_fd = -1};
	int status;

	if (rundir_open(o->run_dir, &f.run) < 0)
		return EXIT_FAILURE;
	fds.guest_listen_fd = f.run.guest_fd;
	fds.admin_listen_fd = f.run.admin_fd;
	status = worker_run(o, &fds, foreground_ready, &f);
	rundir_finish(&f.run);
	return status;
}

static int run_worker(const struct options *o)
{
	const struct worker_fds fds = {
		.guest_listen_fd = o->worker_fds[0],
		.admin_listen_fd = o->worker_fds[1],
		.keeper_fd = o->worker_fds[2],
	};

	for (size_t i = 0; i < ARRAY_SIZE(o->worker_fds); i++) {
		if (fcntl(o->worker_fds[i], F_SETFD, FD_CLOEXEC) < 0) {
			log_error("--worker is for the keeper only: %m");
			return EXIT_FAILURE;
		}
	}
	return worker_run(o, &fds, NULL, NULL);
}

int main(int argc, char **argv)
{
	struct options o;
	int status = options_parse(&o, argc, argv);

	if (status >= 0)
		return status;
	log_init("devlxdfsd", (enum log_level)o.log_level);
	if (o.worker)
		return run_worker(&o);
	return o.foreground_worker ? run_foreground(&o) : keeper_run(&o);
}
