#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * STATE/volatile/NAME.json: what the daemon keeps about an instance
 *
 * {"instance_id": "UUID", "instance_id_inputs": "hex SHA-256",
 *  "ready": {"cgroup_id": N, "init_start": N, "init_pid": N}|absent,
 *  "binding": {"cgroup": "/path", "cgroup_id": N}|absent, "boot_id": "host's boot id"}
 *
 * Written by the daemon only. A file that does not parse is reported and begun
 * anew with a new instance-id: cloud-init then runs once more, which is the
 * lesser harm. Cgroup ids and start times mean nothing after the host has
 * booted again: under another boot id they are dropped when read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/instance.h"
#include "core/snapshot.h"

/* Zero-initialised by its owner. */
struct volatile_state {
	char instance_id[INSTANCE_ID_MAX + 1];
	char inputs[65]; /* digest of what the id was made for; "" when unknown */
	bool ready;
	struct boot ready_boot;
	char *binding_path; /* NULL: not bound */
	uint64_t binding_id;
};

/* Frees what it holds and zeroes it. */
void volatile_finish(struct volatile_state *v);

/*
 * Reads NAME.json into *ret, which holds nothing yet. Returns 0, -ENOENT, -EINVAL (@error says why), or -errno;
 * *ret is untouched unless 0 is returned.
 */
int volatile_load(int dir_fd, const char *name, struct volatile_state *ret, struct buf *error);

/* Replaces NAME.json (0600), atomically but not durably. Returns 0 or -errno. */
int volatile_save(int dir_fd, const char *name, const struct volatile_state *v);

/*
 * The digest over what makes cloud-init look again: {cloud-init,user}.{user-data,vendor-data,network-config},
 * cloud-init.ssh-keys.*, NIC names and the instance's name (devlxd-api.md R20). Returns 0 or -ENOMEM.
 */
int volatile_inputs(const struct snapshot *s, char ret_hex[65]);

/* A random UUID, version 4, as text. Returns 0 or -errno. */
int volatile_new_id(char ret[INSTANCE_ID_MAX + 1]);
