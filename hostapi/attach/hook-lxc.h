#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LXC's hooks: lxc.hook.start-host, when a container is set up and its init not yet executed, and
 * lxc.hook.post-stop. Container N is instance N.
 */
#include "attach/hook.h"

/* What LXC told the hook. Texts are borrowed; NULL is what it did not tell. */
struct hook_lxc {
	const char *type, *name, *config_file, *pid;
};

/*
 * @args are what stood behind the command: with lxc.hook.version=0 the last three are name, section and type; later
 * versions have all of it in the environment.
 */
struct hook_lxc hook_lxc_told(size_t n_args, const char *const *args);

/* To be run by hook_run(): @arg is a struct hook_lxc. */
void hook_lxc(const struct hook *h, void *arg);
