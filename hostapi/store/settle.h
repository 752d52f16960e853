#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what the files say to what is in force
 *
 * Judges every touched entry, profiles first: good records are published, bad
 * ones logged once per version while the last good one stays, gone ones
 * withdrawn. Instances that use a changed profile are made anew. Cost is that of
 * what changed, and for profiles one walk over the instances.
 */
#include <stdbool.h>

#include "store/book.h"
#include "store/publish.h"

/* @at_start: what is loaded is counted by the caller, not logged one by one. Returns 0 or -ENOMEM. */
int settle(struct book *b, struct publisher *p, bool at_start);
