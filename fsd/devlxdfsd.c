/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd: keeper by default, worker when the keeper started it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

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
	};

	for (size_t i = 0; i < ARRAY_SIZE(o->worker_fds); i++) {
		if (o->worker_fds[i] >= 0 && fcntl(o->worker_fds[i], F_SETFD, FD_CLOEXEC) < 0) {
			log_error("--worker is for the keeper only: %m");
			return EXIT_FAILURE;
		}
	}
	return worker_run(o, &fds);
}

int main(int argc, char **argv)
{
	struct options o;
	int status = options_parse(&o, argc, argv);

	if (status >= 0)
		return status;
	log_init("devlxdfsd", (enum log_level)o.log_level);
	return o.worker ? run_worker(&o) : keeper_run(&o);
}
