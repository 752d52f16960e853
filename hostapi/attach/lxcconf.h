#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration of an LXC container, and the record it makes
 *
 * Reads of lxc.container.conf(5) what a record is made of: hostname and network interfaces. LXC itself cannot be asked while
 * it runs a hook, because its monitor waits for that.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define LXCCONF_NICS_MAX 64

/* A lxc.net.N; members are NULL when they are not set. */
struct lxcconf_nic {
	unsigned number;
	char *type, *link, *name, *hwaddr, *mtu, *mode, *vlan;
};

struct lxcconf {
	char *hostname;
	struct lxcconf_nic nics[LXCCONF_NICS_MAX]; /* in the order of their numbers */
	size_t n_nics;
	/* LXD or Incus made it, by whose hooks it is known. They serve /dev/lxd themselves, but read LXC's drop-ins, too. */
	bool is_of_lxd;
};

/* Frees what *c holds and zeroes it; may be zeroed. */
void lxcconf_finish(struct lxcconf *c);

/*
 * Reads a text over what *c says. @include is called for each lxc.include, in its place; may be NULL. Pure. What is not
 * understood is left out, as a hook is no judge of it. Returns 0, -ENOMEM, or what @include returned below 0.
 */
int lxcconf_parse(struct lxcconf *c, const char *text, size_t n,
		  int (*include)(struct lxcconf *c, const char *path, void *arg), void *arg);

/* The same for a file with all that it includes. Returns 0, -ELOOP when they are too many, or -errno of reading @path itself. */
int lxcconf_load(struct lxcconf *c, const char *path);

/* The record of a container called @name, a new reference; NULL: no memory, or the configuration is not UTF-8. */
json_t *lxcconf_record(const struct lxcconf *c, const char *name);
