/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See image-hash.h. */
#include "images/image-hash.h"

#include <nettle/sha2.h>

#include "base/cleanup.h"

#define STAGE "hashing"

enum {
	BLOCK_BYTES = 1 << 20
};

struct hashing {
	struct sha256_ctx sha;
	uint8_t *block;
	uint64_t done, total;
	const struct image_watch *watch;
};

static int add_file(struct hashing *h, int fd)
{
	off_t offset = 0;

	for (;;) {
		ssize_t n = pread(fd, h->block, BLOCK_BYTES, offset);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		sha256_update(&h->sha, (size_t)n, h->block);
		offset += n;
		h->done += (uint64_t)n;
		r = image_watch_tell(h->watch, STAGE, h->done, h->total);
		if (r < 0)
			return r;
	}
}

int image_hash(const int *fds, size_t n, uint64_t total, const struct image_watch *watch,
	       char ret[65])
{
	_cleanup_(freep) uint8_t *block = malloc(BLOCK_BYTES);
	struct hashing h = {.block = block, .total = total, .watch = watch};
	uint8_t digest[SHA256_DIGEST_SIZE];
	int r = block ? 0 : -ENOMEM;

	sha256_init(&h.sha);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_file(&h, fds[i]);
	if (r < 0)
		return r;
	sha256_digest(&h.sha, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return 0;
}
