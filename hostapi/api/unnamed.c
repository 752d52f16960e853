/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See unnamed.h. */
#include "api/unnamed.h"

#include "api/resources.h"
#include "core/filename.h"
#include "core/snapshot.h"
#include "core/table.h"

/* What config_each() adds to these keys has short names. */
static size_t count_keys(const struct snapshot *s)
{
	const char *key = NULL, *value;
	size_t len, n = 0;

	while (snapshot_config_next(s, &key, &value, &len))
		n += len > 0 && !filename_fits(key) && config_is_readable(key);
	return n;
}

static int count_pair(void *ctx, const struct table_pair *pair)
{
	size_t *n = ctx;

	*n += pair->value_len > 0 && !filename_fits(pair->key);
	return 0;
}

size_t unnamed_count(const struct snapshot *s)
{
	const struct table *config;
	const char *name = NULL;
	size_t n;

	if (!snapshot_devlxd_is_on(s))
		return 0;
	n = count_keys(s);
	while (snapshot_device_next(s, &name, &config)) {
		if (filename_fits(name))
			(void)devices_each_pair(s, name, config, count_pair, &n);
		else
			n++;
	}
	return n;
}
