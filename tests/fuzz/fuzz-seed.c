/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seed data: the first line is an ssh key's value, the rest the text. What was
 * merged can be read again and names users; merging the same key once more
 * only drops the comments, and after that changes nothing.
 */
#include <stdint.h>

#include "api/seed.h"
#include "base/cleanup.h"

#define SMALL 4096 /* the result of more may exceed the bounds it was within */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void check_result(const struct buf *once, const struct seed_key *key)
{
	_cleanup_(buf_finish) struct buf twice = {0}, thrice = {0};

	check(seed_users(once->data, once->len) == SEED_USERS_SOME);
	check(seed_merge(once->data, once->len, key, 1, &twice) == 0);
	check(seed_merge(twice.data, twice.len, key, 1, &thrice) == 0);
	check(twice.len == thrice.len && memcmp(twice.data, thrice.data, twice.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_finish) struct buf input = {0}, once = {0};
	struct seed_key key;
	const char *text;
	size_t n;
	int r;

	check(buf_append(&input, data, size) == 0);
	text = memchr(input.data, '\n', size);
	if (!text || !seed_key_parse(input.data, (size_t)(text - input.data), &key))
		return 0;
	text++;
	n = size - (size_t)(text - input.data);
	r = seed_merge(text, n, &key, 1, &once);
	check(r == 0 || r == -EINVAL);
	if (r < 0)
		check(once.len == 0);
	else if (n < SMALL)
		check_result(&once, &key);
	return 0;
}
