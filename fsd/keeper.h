#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeper: the small privileged parent
 *
 * Holds what must outlive a worker: the listeners, the mount of the tree and the shared state.
 * Starts the worker, and another when it dies, so that who asks in between waits, for a moment. Has the helper bind
 * the sockets in the tree. Parses no guest byte, reads no record, never touches the mount. One
 * thread; if it dies, worker and helper die with it, and the next one takes up what the service manager has kept (fdstore.h).
 *
 * Talks to both by channel.h. Descriptors are passed by number on the command line of the hidden --worker mode
 * (worker.h).
 */
#include "options.h"

/*
 * Runs until SIGTERM or SIGINT (drain, exit 0) or a start that fails (exit 1). With --foreground-worker a child
 * does so, for this process, which becomes the worker, never for another. Returns the exit status.
 */
int keeper_run(const struct options *options);

/* Takes down what a keeper left that ended with --fd-store; no keeper may run. Returns the exit status. */
int keeper_take_down(const struct options *options);
