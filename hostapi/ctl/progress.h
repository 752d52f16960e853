#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far a long piece of work has come: one line, drawn again and again, for who sits at a terminal
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct progress {
	int fd; /* -1: no terminal, nothing is drawn */
	bool is_drawn;
	const char *stage; /* the last one, borrowed */
	uint64_t stage_us; /* when that began */
	uint64_t drawn_us; /* when it was last drawn */
};

/* Draws on @fd if that is a terminal. */
void progress_init(struct progress *p, int fd);

/* @done of @total bytes of @stage. */
void progress_show(struct progress *p, const char *stage, uint64_t done, uint64_t total);

/* Takes the line away. */
void progress_clear(struct progress *p);

/* The line: a bar, bytes, rate, and the time that remains. Pure; appends to @b. Returns 0 or -ENOMEM. */
int progress_line(struct buf *b, const char *stage, uint64_t done, uint64_t total,
		  uint64_t elapsed_us);
