#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeper: the small privileged parent
 *
 * Holds what must outlive a worker (the listeners now; the mount and the shared state with the
 * tree), starts the worker, and starts another when it dies, so that a client that connects in
 * between waits in the listener's queue. Parses no guest byte, reads no record, never touches
 * the socket's data. One thread; if it dies, the worker dies with it.
 *
 * Protocol with the worker: one SOCK_SEQPACKET pair; the worker sends "ready" once it serves.
 * Descriptors are passed by number on the command line of the hidden --worker mode (worker.h).
 */
#include "options.h"

/* Runs until SIGTERM or SIGINT (drain, exit 0) or a start that fails (exit 1). Returns the exit status. */
int keeper_run(const struct options *options);
