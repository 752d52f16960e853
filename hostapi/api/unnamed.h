#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of an instance can be read on the socket and has no file in the tree, because its name would be too long
 */
#include <stddef.h>

struct snapshot;

/* How many keys, devices and keys of devices. One device counts as one. */
size_t unnamed_count(const struct snapshot *s);
