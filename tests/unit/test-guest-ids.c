/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the ids of real guests look to the host
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>

#include "alloc.h"
#include "callers.h"
#include "core/diff.h"
#include "core/identity.h"
#include "core/registry.h"
#include "guests.h"
#include "records.h"

#define NOBODY UINT32_MAX

static void publish(struct guests *g, struct record *record_consumed)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = records_snapshot(record_consumed, NULL);
	_cleanup_(diff_freep) struct diff *diff = NULL;

	assert_int_equal(registry_publish(g->registry, s, &diff), 0);
}

/* The outcome for the instance @name; *ret is to be finished. */
static int ask_ids(struct guests *g, const char *name, struct guest_ids *ret)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(g->registry, name);

	*ret = (struct guest_ids){0};
	return identity_guest_ids(g->identity, i, ret);
}

static uint32_t to_host(const struct idmap_table *table, uint32_t inside)
{
	uint32_t host;

	return idmap_to_host(table, inside, &host) ? host : NOBODY;
}

static void write_gid_map(pid_t pid, const char *map)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, map, strlen(map)), strlen(map));
	close(fd);
}

static void test_record_says(void **state)
{
	WORLD(g);
	_cleanup_(guest_ids_finish) struct guest_ids ids = {0};
	struct record *record = records_new("a", NO_PAIRS);

	record->has_root = true;
	record->root_uid = 100000;
	record->root_gid = 200000;
	record->match_cgroup = strdup(guests_path(g, "a"));
	guests_make(g, "a");
	guests_start(g, &(struct start){.cgroup = "a"}); /* is not asked */
	publish(g, record);
	assert_int_equal(ask_ids(g, "a", &ids), 0);
	assert_int_equal(to_host(&ids.map.uid, 0), 100000);
	assert_int_equal(to_host(&ids.map.uid, 65535), 165535);
	assert_int_equal(to_host(&ids.map.uid, 65536), NOBODY);
	assert_int_equal(to_host(&ids.map.gid, 5), 200005);
	assert_int_equal(ids.boot.init_pid, 0);
}

static void test_maps_of_first_process(void **state)
{
	WORLD(g);
	struct start init = {.cgroup = "a/init", .unshare = CLONE_NEWUSER, .map = MAPPED};
	struct guest_ids ids;
	struct boot boot;
	uint64_t id = guests_make(g, "a");
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	pid_t pid;

	guests_make(g, "a/init");
	guests_record(g, "a", "a", -1);
	a = registry_find(g->registry, "a");
	assert_int_equal(ask_ids(g, "a", &ids), IDENTITY_E_UNKNOWN); /* nothing runs */
	pid = guests_start(g, &init);
	assert_int_equal(ask_ids(g, "a", &ids), 0);
	assert_int_equal(to_host(&ids.map.uid, 0), ROOT);
	assert_int_equal(to_host(&ids.map.gid, 0), NOBODY); /* that one is not written yet */
	guest_ids_finish(&ids);
	write_gid_map(pid, "0 200000 10\n10 300000 5");
	assert_int_equal(ask_ids(g, "a", &ids), 0);
	assert_int_equal(to_host(&ids.map.gid, 9), 200009);
	assert_int_equal(to_host(&ids.map.gid, 14), 300004);
	assert_int_equal(to_host(&ids.map.gid, 15), NOBODY);
	assert_int_equal(ids.boot.cgroup_id, id);
	assert_int_equal(ids.boot.init_pid, pid);
	assert_true(identity_boot(g->identity, a, &boot));
	assert_true(boot_equal(&boot, &ids.boot));
	guest_ids_finish(&ids);
	/* The next run is another, with other ids. */
	guests_end(g, pid);
	assert_int_equal(ask_ids(g, "a", &ids), IDENTITY_E_UNKNOWN);
	init.map = "0 500000 65536";
	guests_start(g, &init);
	assert_int_equal(ask_ids(g, "a", &ids), 0);
	assert_int_equal(to_host(&ids.map.uid, 1), 500001);
	assert_false(boot_equal(&boot, &ids.boot));
	guest_ids_finish(&ids);
}

static void test_by_binding(void **state)
{
	WORLD(g);
	_cleanup_(guest_ids_finish) struct guest_ids ids = {0};
	uint64_t id = guests_make(g, "a");

	guests_record(g, "a", NULL, -1);
	guests_start(g, &(struct start){.cgroup = "a", .unshare = CLONE_NEWUSER, .map = MAPPED});
	assert_int_equal(ask_ids(g, "a", &ids), IDENTITY_E_UNKNOWN);
	assert_int_equal(registry_bind(g->registry, "a", guests_path(g, "a"), id), 0);
	assert_int_equal(ask_ids(g, "a", &ids), 0);
	assert_int_equal(to_host(&ids.map.uid, 7), ROOT + 7);
}

static void test_privileged_guest(void **state)
{
	WORLD(g);
	_cleanup_(guest_ids_finish) struct guest_ids ids = {0};

	guests_make(g, "a");
	guests_record(g, "a", "a", -1);
	guests_start(g, &(struct start){.cgroup = "a", .unshare = CLONE_NEWPID});
	assert_int_equal(ask_ids(g, "a", &ids), 0);
	assert_int_equal(to_host(&ids.map.uid, 0), 0);
	assert_int_equal(to_host(&ids.map.gid, 1000000), 1000000);
	assert_int_not_equal(ids.boot.init_pid, 0);
}

/* Neither of two that claim one cgroup is taken for the other. */
static void test_conflict(void **state)
{
	WORLD(g);
	struct guest_ids ids;

	guests_make(g, "a");
	guests_record(g, "a", "a", -1);
	guests_record(g, "b", "a", -1);
	guests_start(g, &(struct start){.cgroup = "a", .unshare = CLONE_NEWUSER, .map = MAPPED});
	assert_int_equal(ask_ids(g, "a", &ids), IDENTITY_E_UNKNOWN);
	assert_int_equal(ask_ids(g, "b", &ids), IDENTITY_E_UNKNOWN);
}

static void test_matched_by_mount(void **state)
{
	WORLD(g);
	_cleanup_(guest_ids_finish) struct guest_ids ids = {0};
	struct record *record = records_new("a", NO_PAIRS);

	record->match_mount = true;
	publish(g, record);
	assert_int_equal(ask_ids(g, "a", &ids), 0);
	assert_int_equal(to_host(&ids.map.uid, 0), 0);
	assert_int_equal(to_host(&ids.map.gid, 0), 0);
	assert_int_equal(to_host(&ids.map.uid, 1), NOBODY);
	assert_int_equal(ids.boot.init_pid, 0);
}

static void test_no_record(void **state)
{
	WORLD(g);
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	struct guest_ids ids;

	guests_record(g, "a", NULL, 5);
	a = registry_find(g->registry, "a");
	guests_withdraw(g, "a");
	assert_int_equal(identity_guest_ids(g->identity, a, &ids), IDENTITY_E_UNKNOWN);
}

static void test_no_memory(void **state)
{
	WORLD(g);
	struct start init = {.cgroup = "a", .unshare = CLONE_NEWUSER, .map = MAPPED};
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	int r = 0;

	guests_make(g, "a");
	guests_record(g, "a", "a", -1);
	a = registry_find(g->registry, "a");
	write_gid_map(guests_start(g, &init), MAPPED);
	for (int has_root = 0; has_root < 2; has_root++) {
		ALLOC_WALK(r == -ENOMEM)
		{
			_cleanup_(guest_ids_finish) struct guest_ids ids = {0};

			r = identity_guest_ids(g->identity, a, &ids);
			assert_true(r == -ENOMEM
					    ? !ids.map.uid.extents && !ids.map.gid.extents
					    : to_host(&ids.map.gid, 0) == (has_root ? 0 : ROOT));
		}
		assert_int_equal(r, 0);
		guests_record(g, "a", "a", ROOT); /* with gid 0 */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_record_says), WORLD_TEST(test_maps_of_first_process),
		WORLD_TEST(test_by_binding),  WORLD_TEST(test_privileged_guest),
		WORLD_TEST(test_conflict),    WORLD_TEST(test_matched_by_mount),
		WORLD_TEST(test_no_record),   WORLD_TEST(test_no_memory),
	};

	if (!guests_are_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
