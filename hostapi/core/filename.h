#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File names for keys and devices: what cannot stand in one is percent-encoded
 */
#include <stdbool.h>

#include "base/buf.h"

/* Most bytes a name may have (NAME_MAX); longer ones are left to the socket. */
#define FILENAME_MAX_BYTES 255

/* Whether @name is its own file name, so that nothing need be encoded. */
bool filename_is_plain(const char *name);

/*
 * Appends the file name for @name, which is not empty: '/' and '%' are encoded everywhere, "." and ".." as wholes. Never
 * gives the same for two names. Returns 0 or -ENOMEM.
 */
int filename_encode(const char *name, struct buf *b);

/* Whether @name has a file name that is not too long. */
bool filename_fits(const char *name);
