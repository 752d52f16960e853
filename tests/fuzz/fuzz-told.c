/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * told_parse() on any bytes. What is accepted is an index: each node is found by its id and by its name, and it
 * can be compared, with itself and with another, without anything being both the same and old.
 */
#include "unit/indexes.h"
#include "told.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_nodes(const struct index *x)
{
	for (uint32_t i = 0; i < x->n_nodes; i++) {
		const struct index_node *n = &x->nodes[i];
		_cleanup_(buf_finish) struct buf path = {0};

		if (index_path(x, n, &path) < 0 || index_find(x, index_id(x, n)) != n)
			if (!n->is_shared)
				abort();
		if (i > 0 && (n->parent >= i || index_child(x, &x->nodes[n->parent], n->name) != n))
			abort();
	}
}

static void count(void *arg, const struct index *x, const struct index_node *n)
{
	if (n < x->nodes || n >= x->nodes + x->n_nodes)
		abort();
	++*(unsigned *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text =
		malloc(size ? size : 1); /* exact, so that ASan guards its end */
	_cleanup_(index_unrefp) struct index *x = NULL, *same = NULL, *real = NULL;
	unsigned n_calls = 0;
	const struct index_changes changes = {count, count, count, &n_calls};
	uint32_t serial = 0;
	struct fake f;

	memcpy(text, data, size);
	if (told_parse(text, size, "m", &serial, &x) != 1 || !x)
		return 0;
	if (serial < 1 || serial > TREE_SERIAL_MAX || x->serial != serial)
		abort();
	check_nodes(x);
	if (told_parse(text, size, "m", &serial, &same) != 1)
		abort();
	index_compare(x, same, 1, &changes);
	if (n_calls > 0)
		abort();
	fake_init(&f);
	real = INDEX(&f, KEY("a", "1"), DEVICE("eth0", "type", "nic"), SOCKET);
	index_compare(x, real, 1, &changes);
	real = index_unref(real);
	return fake_finish(&f) == 0 ? 0 : 1;
}
