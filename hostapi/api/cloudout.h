#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a changed cloud-config
 */
#include "base/buf.h"

struct cloudcfg;

/*
 * Appends comment lines ("#cloud-config" if there were none) and document to @b and empties @c:
 * members sorted by key, block style, lists not indented under their key, scalars as they were
 * spelt, lines never folded, @comment behind commented scalars. Returns 0, -EINVAL when libyaml cannot
 * write it, or -ENOMEM.
 */
int cloudout_emit(struct cloudcfg *c, const char *comment, struct buf *b);
