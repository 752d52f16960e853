#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's API: the one table of what a guest may ask
 */
#include "api/route.h"

/* Constant; checked against devlxd-api(7) by a test. */
const struct route_table *guest_routes(void);
