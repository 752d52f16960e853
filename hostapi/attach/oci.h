#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What OCI runtimes say: the state of a container, and its configuration
 *
 * Pure. Numbers are read as floating point, since some of a configuration exceed 64 bits with a sign.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/* The annotation that names an instance. */
#define OCI_ANNOTATION "org.devlxdfs.instance"

/* Where guests find their directory; a bind mount there names the instance by its source. */
#define OCI_PATH "/dev/lxd"

struct oci_state {
	char *bundle; /* absolute */
	pid_t pid;    /* 0 when it has stopped */
	bool is_stopped;
};

struct oci_config {
	char *root;       /* as it stands there: absolute, or below the bundle */
	char *annotation; /* NULL: none */
	char *source;     /* of the bind mount; NULL: none */
};

/* Free what is held and zero it; may be zeroed. */
void oci_state_finish(struct oci_state *s);
void oci_config_finish(struct oci_config *c);

/* Each returns 0, -EINVAL with @error saying what is wrong, or -ENOMEM; *ret is the caller's to finish after 0. */
int oci_state_parse(const char *text, size_t n, struct oci_state *ret, struct buf *error);
int oci_config_parse(const char *text, size_t n, struct oci_config *ret, struct buf *error);

/*
 * The configuration @text with the command @args (NULL at its end, args[0] the absolute path of the program) as a hook of createRuntime and
 * poststop; what stands there stays as it is, byte for byte. Returns 0, -EINVAL with @error, or -ENOMEM.
 */
int oci_config_add_hooks(const char *text, size_t n, const char *const *args, struct buf *ret,
			 struct buf *error);
