#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * OCI hooks: createRuntime, when namespaces and mounts are made and pivot_root(2) is still to come, and poststop
 *
 * Which instance a container is, its operator says: by an annotation, or by mounting the instance's directory. No image can.
 */
#include "attach/hook.h"

struct oci_config;

enum {
	_HOOK_OCI_E_SUCCESS,
	HOOK_OCI_E_NONE,    /* it is no instance */
	HOOK_OCI_E_REFUSED, /* @error says why */
};

/* RUN/tree/NAME of a bind mount's source -> NAME, part of it; NULL: it is something else. */
const char *hook_oci_mounted(const char *run_dir, const char *source);

/* The instance that the configuration names; *ret is part of it. Returns 0 or a HOOK_OCI_E_* code. */
int hook_oci_instance(const struct hook *h, const struct oci_config *config, const char **ret,
		      struct buf *error);

/* To be run by hook_run(); the state is on standard input. */
void hook_oci(const struct hook *h, void *arg);
