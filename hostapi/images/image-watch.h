#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is told how far a long piece of work has come, and may end it
 */
#include <stdint.h>

struct image_watch {
	/* @done of @total bytes of @stage. Returns 0 to go on, or -errno, which the work then returns. */
	int (*tell)(void *ctx, const char *stage, uint64_t done, uint64_t total);
	void *ctx;
};

/* @w may be NULL. */
static inline int image_watch_tell(const struct image_watch *w, const char *stage, uint64_t done,
				   uint64_t total)
{
	return w ? w->tell(w->ctx, stage, done, total) : 0;
}
