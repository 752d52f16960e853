#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A wrapper of an OCI runtime, for managers that have no directory of hooks
 *
 * Gives the containers of instances our hooks, in their bundle's config.json, before the real runtime reads that.
 */
#include "attach/hook.h"

/*
 * The bundle of which a runtime is told by @args to create a container: "." when it is where the caller is. NULL: it is told
 * something else, or something that we do not understand. Pure; part of @args.
 */
const char *ociruntime_bundle(size_t n_args, const char *const *args);

/* To be run by hook_run(): @arg is the bundle, a const char *. */
void ociruntime_prepare(const struct hook *h, void *arg);
