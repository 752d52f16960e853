#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instance: the name that stays while its snapshots come and go
 *
 * Reference-counted; made by the registry, one per name for as long as anybody
 * holds it, so that a connection or an open directory survives its record
 * being deleted and written again. Holds the current snapshot, the account,
 * and whether the present run of the guest has said Ready.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "core/limits.h"

struct snapshot;
struct instance;

/*
 * One run of a guest, told apart from the next by kernel objects: the cgroup
 * by which it was recognised and its first process. All zero: not known.
 */
struct boot {
	uint64_t cgroup_id;
	uint64_t init_start; /* /proc/PID/stat field 22, clock ticks since the host booted */
	pid_t init_pid;
};
bool boot_equal(const struct boot *a, const struct boot *b); /* false when either is not known */

/*
 * The boot of every instance whose record says match.mount: nobody looks at processes there, so as far as
 * we know there is one run for as long as the record says so. Equal to that of no run that was seen.
 */
struct boot boot_by_mount(void);

/* One reference, no snapshot yet. NULL = no memory. */
struct instance *instance_new(const char *name);
struct instance *instance_ref(struct instance *i);
struct instance *instance_unref(struct instance *i); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct instance *, instance_unref);

/*
 * Whether anybody but the caller holds it. False is final while new references
 * are only made from existing ones: the registry decides by it under its lock.
 */
bool instance_is_shared(const struct instance *i);

/* Lives as long as the instance. */
const char *instance_name(const struct instance *i);
/* Part of the instance; charged without a lock. */
struct account *instance_account(struct instance *i);

/* A new reference to the current snapshot, or NULL while there is no record. */
struct snapshot *instance_snapshot(struct instance *i);

/* Swaps the snapshot (takes a reference of @s, may be NULL). Only the registry calls it. */
void instance_set_snapshot(struct instance *i, struct snapshot *s);

/* Ready belongs to one run: true only when @boot is the run that said so. */
bool instance_is_ready(struct instance *i, const struct boot *boot);
/*
 * Ready: @boot is the run that is ready from now on (nobody when it is not known). Not ready: only the run
 * that said so can take it back.
 */
void instance_set_ready(struct instance *i, const struct boot *boot, bool ready);
/* The run that said Ready; false when none did. */
bool instance_ready_boot(struct instance *i, struct boot *ret);
