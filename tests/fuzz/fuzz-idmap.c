/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The texts of uid_map and gid_map, on any bytes: what is before the first NUL is one, what is
 * behind it the other. A map is as small as promised, maps what its extents say and nothing
 * beside them, and says the same when it is written again.
 */
#include "base/cleanup.h"
#include "core/idmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* The first extent that has an id decides, so only the ends of the first one are certain. */
static void check(const struct idmap_table *table)
{
	_cleanup_(idmap_table_finish) struct idmap_table same = {0};
	char text[IDMAP_EXTENTS_MAX * 34 + 1] = "";
	const struct idmap_extent *e = table->extents;
	size_t len = 0;
	uint32_t host;

	require(table->n <= IDMAP_EXTENTS_MAX && !e == (table->n == 0));
	require(!idmap_to_host(table, UINT32_MAX, &host));
	for (size_t i = 0; i < table->n; i++, e++) {
		require(idmap_to_host(table, e->inside, &host) && host != UINT32_MAX);
		require(i > 0 || host == e->host);
		require(idmap_to_host(table, e->inside + (e->count - 1), &host));
		require(i > 0 || (host == e->host + (e->count - 1) && host != UINT32_MAX));
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%10u %10u %10u\n",
					e->inside, e->host, e->count);
	}
	require(idmap_table_parse(text, &same) == 0 && same.n == table->n);
	require(table->n == 0 ||
		memcmp(same.extents, table->extents, same.n * sizeof(*same.extents)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = calloc(size + 2, 1); /* exact, so that ASan guards its end */
	_cleanup_(idmap_finish) struct idmap map = {0};
	const char *second;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	second = text + strlen(text) + 1;
	if (idmap_parse(text, second, &map) == 0) {
		check(&map.uid);
		check(&map.gid);
	}
	return 0;
}
