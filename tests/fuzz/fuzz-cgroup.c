/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cgroup paths and other texts of /proc, on any bytes. What the kernel's text is
 * taken to say must be in the form that records are brought into, and going up from there must
 * only ever cut whole components off.
 */
#include "base/cleanup.h"
#include "core/cgroup.h"
#include "core/process.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each level is the one before it up to, and without, its last slash. */
static void go_up(const char *path)
{
	char level[CGROUP_PATH_MAX];
	size_t n = strlen(path);

	memcpy(level, path, n + 1);
	while (cgroup_parent(level)) {
		size_t up = strlen(level);

		if (up == 0 || up >= n || memcmp(level, path, up) != 0 || path[up] != '/' ||
		    memchr(path + up + 1, '/', n - up - 1))
			abort();
		n = up;
	}
	if (!streq(level, "/"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *bytes = malloc(size + 1); /* exact, so that ASan guards its end */
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	char path[CGROUP_PATH_MAX], same[CGROUP_PATH_MAX];
	uint64_t start;
	unsigned depth;

	if (!bytes || !text)
		return 0;
	process_parse_stat(text, &start);
	process_parse_depth(text, &depth);
	if (cgroup_normalise(text, path) == 0) {
		if (cgroup_normalise(path, same) < 0 || !streq(path, same))
			abort();
		go_up(path);
	}
	memcpy(bytes + 1, data, size);
	if (cgroup_parse_proc(bytes + 1, size, path) == 0) {
		if (!streq(path, "/") && (cgroup_normalise(path, same) < 0 || !streq(path, same)))
			abort();
		go_up(path);
	}
	return 0;
}
