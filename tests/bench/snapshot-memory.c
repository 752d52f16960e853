/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What registered instances cost in resident memory, per byte of their records
 *
 *	snapshot-memory [INSTANCES [KEYS [VALUE-BYTES]]]
 *
 * Each record is written as compact JSON, read with jansson, copied into a snapshot and published,
 * as the store does it, so that the holes which the passing JSON trees leave are counted, too. Prints one JSON line.
 */
#include <inttypes.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "core/diff.h"
#include "core/registry.h"
#include "core/snapshot.h"
#include "core/table.h"

#include <fcntl.h>

#define KEYS_MAX  1000
#define VALUE_MAX 100000

static void check(bool good, const char *what)
{
	if (!good) {
		perror(what);
		abort();
	}
}

static uint64_t resident_bytes(void)
{
	char text[256];
	char *field, *rest = text;
	uint64_t pages = 0;

	check(file_read_proc(AT_FDCWD, "/proc/self/statm", text, sizeof(text)) > 0, "statm");
	strsep(&rest, " ");
	field = strsep(&rest, " ");
	check(field && text_to_u64(field, 0, UINT64_MAX, &pages) == 0, "statm");
	return pages * sysconf(_SC_PAGESIZE);
}

static void write_record(struct buf *b, uint64_t i, uint64_t n_keys, const char *value)
{
	int r = buf_printf(b,
			   "{\"type\":\"container\",\"profiles\":[\"default\"],"
			   "\"match\":{\"cgroup\":\"/lxc.payload.web%" PRIu64 "\"},\"config\":{",
			   i);

	for (uint64_t k = 0; k < n_keys; k++)
		r |= buf_printf(b, "%s\"user.key-%02" PRIu64 "\":\"%s\"", k > 0 ? "," : "", k,
				value);
	check((r | buf_puts(b, "}}")) == 0, "buf");
}

static struct record *read_record(const struct buf *b, uint64_t i)
{
	json_auto_t *root = json_loadb(b->data, b->len, 0, NULL);
	struct record *record = record_new();
	struct table_pair pairs[KEYS_MAX];
	const char *key;
	json_t *value;
	size_t n = 0;
	int r;

	check(root && record, "record");
	json_object_foreach (json_object_get(root, "config"), key, value)
		pairs[n++] = (struct table_pair){key, json_string_value(value),
						 json_string_length(value)};
	r = table_new(pairs, n, &record->config);
	r |= asprintf(&record->name, "web%" PRIu64, i) < 0;
	r |= asprintf(&record->source, "/var/lib/devlxdfs/instances/web%" PRIu64 ".json", i) < 0;
	r |= asprintf(&record->match_cgroup, "/lxc.payload.web%" PRIu64, i) < 0;
	record->profiles = calloc(1, sizeof(char *));
	check(r == 0 && record->profiles, "record");
	record->profiles[record->n_profiles++] = strdup("default");
	return record;
}

static void publish(struct registry *registry, struct record *record, struct record *profile)
{
	static const char uuid[] = "b7c2f0de-0000-4000-8000-000000000000";
	_cleanup_(snapshot_unrefp) struct snapshot *s = snapshot_new(record, &profile, 1, uuid);
	_cleanup_(diff_freep) struct diff *diff = NULL;

	check(s && registry_publish(registry, s, &diff) == 0, "registry_publish");
}

static uint64_t argument(int argc, char **argv, int i, uint64_t initial, uint64_t max)
{
	if (i < argc)
		check(text_to_u64(argv[i], 1, max, &initial) == 0, argv[i]);
	return initial;
}

int main(int argc, char **argv)
{
	uint64_t n = argument(argc, argv, 1, 10000, 10000000);
	uint64_t n_keys = argument(argc, argv, 2, 50, KEYS_MAX);
	uint64_t value_bytes = argument(argc, argv, 3, 32, VALUE_MAX);
	_cleanup_(registry_freep) struct registry *registry = registry_new();
	_cleanup_(record_unrefp) struct record *profile = record_new();
	_cleanup_(freep) char *value = calloc(1, value_bytes + 1);
	uint64_t n_bytes = 0, before, resident;

	check(registry && profile && value, "start");
	memset(value, 'v', value_bytes);
	before = resident_bytes();
	for (uint64_t i = 0; i < n; i++) {
		_cleanup_(record_unrefp) struct record *record = NULL;
		_cleanup_(buf_finish) struct buf text = {0};

		write_record(&text, i, n_keys, value);
		record = read_record(&text, i);
		publish(registry, record, profile);
		n_bytes += text.len;
	}
	resident = resident_bytes() - before;
	printf("{\"instances\":%" PRIu64 ",\"keys\":%" PRIu64 ",\"value_bytes\":%" PRIu64
	       ",\"record_bytes\":%" PRIu64 ",\"resident_bytes\":%" PRIu64
	       ",\"resident_per_record_byte\":%.3f}\n",
	       n, n_keys, value_bytes, n_bytes, resident, (double)resident / (double)n_bytes);
	return 0;
}
