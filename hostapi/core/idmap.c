/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who the ids of a user namespace are outside of it
 *
 * Invariant: an extent has at least one id, and no id of it, on either side, is UINT32_MAX, which
 * is nobody's.
 */
#include "core/idmap.h"

#include "base/text.h"

void idmap_table_finish(struct idmap_table *table)
{
	free(table->extents);
	*table = (struct idmap_table){0};
}

void idmap_finish(struct idmap *map)
{
	idmap_table_finish(&map->uid);
	idmap_table_finish(&map->gid);
}

/* One line of *text, which moves on behind it. 0 or -EINVAL. */
static int parse_line(const char **text, struct idmap_extent *ret)
{
	uint64_t inside, host, count;

	if (text_next_u64(text, UINT32_MAX, &inside) < 0 ||
	    text_next_u64(text, UINT32_MAX, &host) < 0 ||
	    text_next_u64(text, UINT32_MAX, &count) < 0 || **text != '\n')
		return -EINVAL;
	++*text;
	/* The kernel says UINT32_MAX for a first id that the reader's namespace does not have. */
	if (count == 0 || inside + count > UINT32_MAX ||
	    (host != UINT32_MAX && host + count > UINT32_MAX))
		return -EINVAL;
	*ret = (struct idmap_extent){(uint32_t)inside, (uint32_t)host, (uint32_t)count};
	return 0;
}

/* The number of extents in @text, which go to @extents unless that is NULL. Or -EINVAL. */
static int parse_lines(const char *text, struct idmap_extent *extents)
{
	int n = 0;

	for (int n_lines = 0; *text; n_lines++) {
		struct idmap_extent extent = {0};

		if (n_lines == IDMAP_EXTENTS_MAX || parse_line(&text, &extent) < 0)
			return -EINVAL;
		if (extent.host == UINT32_MAX)
			continue;
		if (extents)
			extents[n] = extent;
		n++;
	}
	return n;
}

int idmap_table_parse(const char *text, struct idmap_table *ret)
{
	struct idmap_table table = {0};
	int n = parse_lines(text, NULL);

	if (n < 0)
		return n;
	if (n > 0) {
		table.n = (size_t)n;
		table.extents = calloc(table.n, sizeof(*table.extents));
		if (!table.extents)
			return -ENOMEM;
		parse_lines(text, table.extents);
	}
	*ret = table;
	return 0;
}

int idmap_parse(const char *uid_text, const char *gid_text, struct idmap *ret)
{
	_cleanup_(idmap_finish) struct idmap map = {0};
	int r = idmap_table_parse(uid_text, &map.uid);

	if (r == 0)
		r = idmap_table_parse(gid_text, &map.gid);
	if (r < 0)
		return r;
	*ret = map;
	map = (struct idmap){0}; /* handed over */
	return 0;
}

static int table_of_range(uint32_t host, uint32_t count, struct idmap_table *ret)
{
	uint32_t n = count < UINT32_MAX - host ? count : UINT32_MAX - host;

	if (n == 0)
		return 0;
	ret->extents = malloc(sizeof(*ret->extents));
	if (!ret->extents)
		return -ENOMEM;
	*ret->extents = (struct idmap_extent){0, host, n};
	ret->n = 1;
	return 0;
}

int idmap_of_range(uint32_t uid, uint32_t gid, uint32_t count, struct idmap *ret)
{
	_cleanup_(idmap_finish) struct idmap map = {0};
	int r = table_of_range(uid, count, &map.uid);

	if (r == 0)
		r = table_of_range(gid, count, &map.gid);
	if (r < 0)
		return r;
	*ret = map;
	map = (struct idmap){0}; /* handed over */
	return 0;
}

bool idmap_to_host(const struct idmap_table *table, uint32_t inside, uint32_t *ret_host)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct idmap_extent *e = &table->extents[i];

		if (inside < e->inside || inside - e->inside >= e->count)
			continue;
		*ret_host = e->host + (inside - e->inside);
		return true;
	}
	return false;
}
