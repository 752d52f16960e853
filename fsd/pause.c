/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See pause.h. */
#include "pause.h"

#define FIRST_US UINT64_C(100000)
#define MAX_US   UINT64_C(5000000)

uint64_t pause_max_us(unsigned timeout_s)
{
	uint64_t quarter = timeout_s * UINT64_C(1000000) / 4;

	return timeout_s && quarter < MAX_US ? quarter : MAX_US;
}

uint64_t pause_next(struct pause *p, uint64_t lived_us)
{
	uint64_t now = p->next_us;

	if (lived_us >= p->short_us) {
		p->next_us = 0;
		return 0;
	}
	p->next_us = now ? 2 * now : FIRST_US;
	if (p->next_us > p->max_us)
		p->next_us = p->max_us;
	return now;
}
