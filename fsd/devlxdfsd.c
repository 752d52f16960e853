/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd: keeper by default, worker when the keeper started it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "keeper.h"
#include "options.h"
#include "worker.h"

static int run_worker(const struct options *o)
{
	const struct worker_fds fds = {
		.guest_listen_fd = o->worker_fds[0],
		.admin_listen_fd = o->worker_fds[1],
		.keeper_fd = o->worker_fds[2],
		.fuse_fd = o->worker_fds[3],
		.shared_fd = o->worker_fds[4],
		.tree_listen_fd = o->worker_fds[5],
		.poke_fd = o->worker_fds[6],
		.journal_fd = o->worker_fds[7],
	};

	for (size_t i = 0; i < ARRAY_SIZE(o->worker_fds); i++) {
		if (o->worker_fds[i] >= 0 && fcntl(o->worker_fds[i], F_SETFD, FD_CLOEXEC) < 0) {
			log_error("--worker is for the keeper only: %m");
			return EXIT_FAILURE;
		}
	}
	/* At once: what a trial has read is not taken apart again. */
	if (o->trial)
		_exit(worker_try(o, &fds));
	return worker_run(o, &fds);
}

int main(int argc, char **argv)
{
	struct options o;
	int status = options_parse(&o, argc, argv);

	if (status >= 0)
		return status;
	/* What a trial finds of records is known. */
	log_init("devlxdfsd", o.trial ? LOG_LEVEL_ERROR : (enum log_level)o.log_level);
	if (o.take_down)
		return keeper_take_down(&o);
	return o.worker ? run_worker(&o) : keeper_run(&o);
}
