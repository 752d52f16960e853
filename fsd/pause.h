#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pause: how long to wait before a process that died is replaced
 *
 * Not at all after one that lived for a while; else longer each time, so that one that cannot live does not take the
 * machine. Pure.
 */
#include <stdint.h>

struct pause {
	uint64_t max_us;
	uint64_t short_us; /* a life that ended earlier was an early death */
	uint64_t next_us;  /* after the next early death */
};

/*
 * The longest pause, when the kernel aborts a mount that does not answer for @timeout_s seconds (0: never): short enough for
 * several attempts before that.
 */
uint64_t pause_max_us(unsigned timeout_s);

/* One died that had lived for @lived_us: returns the pause. */
uint64_t pause_next(struct pause *p, uint64_t lived_us);
