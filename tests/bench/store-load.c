/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store-load DIRECTORY [RECORDS]: what a start with many records costs
 *
 * Writes RECORDS (10,000) records of 50 keys below DIRECTORY, which must be empty, starts a store on
 * them twice, the first time without volatile files, and prints one JSON object: bytes of
 * the records, seconds of each start, and resident bytes before and after the second.
 */
#include <fcntl.h>
#include <malloc.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/sock.h"
#include "base/text.h"
#include "core/settings.h"
#include "store/dir.h"
#include "store/store.h"

static uint64_t resident(void)
{
	char text[128];
	uint64_t pages = 0;
	char *second;

	if (file_read_proc(AT_FDCWD, "/proc/self/statm", text, sizeof(text)) < 0)
		return 0;
	second = strchr(text, ' ') + 1;
	second[strcspn(second, " ")] = '\0';
	return text_to_u64(second, 0, UINT64_MAX, &pages) < 0 ? 0 : pages * (uint64_t)getpagesize();
}

/* Returns the bytes written, 0 on failure. */
static uint64_t write_records(const char *directory, uint64_t n)
{
	_cleanup_(freep) char *path = NULL;
	uint64_t bytes = 0;

	if (asprintf(&path, "%s/state/instances", directory) < 0 || file_mkdirs(path, 0700) < 0)
		return 0;
	for (uint64_t i = 0; i < n; i++) {
		_cleanup_(buf_finish) struct buf b = {0};
		_cleanup_(freep) char *file = NULL;

		if (asprintf(&file, "%s/guest%06lu.json", path, (unsigned long)i) < 0 ||
		    buf_puts(&b, "{\n  \"config\": {\n") < 0)
			return 0;
		for (int k = 0; k < 50; k++)
			if (buf_printf(&b,
				       "    \"user.key-%02d\": \"the value %d of guest %lu\"%s\n",
				       k, k, (unsigned long)i, k < 49 ? "," : "") < 0)
				return 0;
		if (buf_printf(
			    &b,
			    "  },\n  \"match\": {\n    \"cgroup\": \"/lxc.payload.guest%06lu\"\n  }\n}\n",
			    (unsigned long)i) < 0 ||
		    file_write(AT_FDCWD, file, 0600, b.data, b.len, FILE_SYNC_NONE) < 0)
			return 0;
		bytes += b.len;
	}
	return bytes;
}

/* Starts a store and prints what it took as members of an object. Returns an exit status. */
static int start(const char *directory, const char *name)
{
	_cleanup_(freep) char *conf = NULL, *state = NULL;
	struct store_options options = {.registry = registry_new()};
	uint64_t begin, before = resident(), loaded;
	struct settings settings;
	struct store *store;
	int r;

	settings_init(&settings);
	if (asprintf(&conf, "%s/conf", directory) < 0 ||
	    asprintf(&state, "%s/state", directory) < 0)
		return 1;
	options.conf_dir = conf;
	options.state_dir = state;
	options.settings = &settings;
	r = dir_init();
	begin = now_us();
	if (r == 0)
		r = store_new(&options, &store);
	if (r < 0)
		return 1;
	printf("\"%s_s\": %.3f, \"%s_n\": %zu, ", name, (double)(now_us() - begin) / 1e6, name,
	       registry_size(options.registry));
	loaded = resident();
	malloc_trim(0);
	printf("\"%s_rss_before\": %lu, \"%s_rss\": %lu, \"%s_rss_trimmed\": %lu", name,
	       (unsigned long)before, name, (unsigned long)loaded, name, (unsigned long)resident());
	return fflush(stdout) == 0 ? 0 : 1;
}

/* In a process of its own: libinotifytools and the heap begin afresh. */
static bool start_apart(const char *directory, const char *name)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(start(directory, name));
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(int argc, char **argv)
{
	uint64_t n = 10000, bytes;

	if (argc < 2 || argc > 3 || (argc == 3 && text_to_u64(argv[2], 1, 1000000, &n) < 0)) {
		fprintf(stderr, "usage: store-load DIRECTORY [RECORDS]\n");
		return 2;
	}
	bytes = write_records(argv[1], n);
	printf("{\"record_bytes\": %lu, ", (unsigned long)bytes);
	fflush(stdout);
	if (!bytes || !start_apart(argv[1], "first") || printf(", ") < 0 || fflush(stdout) != 0 ||
	    !start_apart(argv[1], "again"))
		return 1;
	printf("}\n");
	return 0;
}
