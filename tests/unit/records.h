#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records and snapshots made by hand, for tests below the parser
 *
 * Pairs are given as one array key, value, key, value, ..., NULL; PAIRS("a", "1") makes one.
 * Running out of memory ends the test.
 */
#include <stdlib.h>
#include <string.h>

#include "core/record.h"
#include "core/snapshot.h"
#include "core/table.h"

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_PAIRS   ((const char *const[]){NULL})

static inline struct table *records_table(const char *const *pairs)
{
	struct table_pair list[64];
	struct table *t;
	size_t n = 0;

	for (; pairs[2 * n]; n++)
		list[n] = (struct table_pair){pairs[2 * n], pairs[2 * n + 1],
					      strlen(pairs[2 * n + 1])};
	if (table_new(list, n, &t) < 0)
		abort();
	return t;
}

static inline struct record *records_new(const char *name, const char *const *config)
{
	struct record *r = record_new();

	if (!r)
		abort();
	r->name = strdup(name);
	r->config = records_table(config);
	return r;
}

/* Devices are added in the order of their names. */
static inline void records_add_device(struct record *r, const char *name, const char *const *config)
{
	r->devices = realloc(r->devices, (r->n_devices + 1) * sizeof(*r->devices));
	if (!r->devices)
		abort();
	r->devices[r->n_devices++] = (struct device){strdup(name), records_table(config)};
}

/* Gives @record away. @profile (may be NULL) is lent. */
static inline struct snapshot *records_snapshot(struct record *record, struct record *profile)
{
	struct snapshot *s = snapshot_new(record, &profile, profile ? 1 : 0, "id-1");

	if (!s)
		abort();
	record_unref(record);
	return s;
}
