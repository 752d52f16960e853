/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is calling on a listener that one instance alone was given
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "callers.h"
#include "core/diff.h"
#include "core/identity.h"
#include "core/registry.h"
#include "guests.h"
#include "records.h"

static void mount_record(struct guests *g, bool mount, int64_t root_uid)
{
	struct record *record = records_new("a", NO_PAIRS);
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
	_cleanup_(diff_freep) struct diff *diff = NULL;

	record->match_mount = mount;
	record->has_root = root_uid >= 0;
	record->root_uid = root_uid >= 0 ? (uint32_t)root_uid : 0;
	s = records_snapshot(record, NULL);
	assert_int_equal(registry_publish(g->registry, s, &diff), 0);
}

static int ask_mount(struct guests *g, int fd, struct instance *i, uid_t uid)
{
	_cleanup_(caller_finish) struct caller c = {0};
	const struct boot boot = boot_by_mount();
	int r = identity_mount(g->identity, fd, i, &c);

	assert_true(c.by_mount);
	assert_int_equal(c.uid, uid);
	assert_ptr_equal(c.instance, r == IDENTITY_E_UNKNOWN ? NULL : i);
	if (r != IDENTITY_E_UNKNOWN)
		assert_true(boot_equal(&c.boot, &boot));
	return r;
}

/* The cgroup of who connects is another instance's, and does not matter. */
static void test_mount(void **state)
{
	WORLD(g);
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	_cleanup_(closep) int fd = -1, mapped_fd = -1;
	pid_t pid;

	guests_make(g, "b");
	guests_record(g, "b", "b", -1);
	mount_record(g, true, -1);
	a = registry_find(g->registry, "a");
	fd = guests_caller(g, (struct start){.cgroup = "b"}, &pid);
	mapped_fd = guests_caller(g, (struct start){.cgroup = "b", .uid = ROOT}, NULL);
	assert_int_equal(ask_mount(g, fd, a, 0), 0);
	assert_int_equal(ask_mount(g, mapped_fd, a, ROOT), IDENTITY_E_NOT_ROOT);
	mount_record(g, true, ROOT);
	assert_int_equal(ask_mount(g, fd, a, 0), IDENTITY_E_NOT_ROOT);
	assert_int_equal(ask_mount(g, mapped_fd, a, ROOT), 0);
	guests_end(g, pid);
	mount_record(g, true, 0);
	assert_int_equal(ask_mount(g, fd, a, 0), 0);
	mount_record(g, false, -1);
	assert_int_equal(ask_mount(g, fd, a, 0), IDENTITY_E_UNKNOWN);
	guests_withdraw(g, "a");
	assert_int_equal(ask_mount(g, fd, a, 0), IDENTITY_E_UNKNOWN);
}

static void test_mount_is_confirmed(void **state)
{
	WORLD(g);
	_cleanup_(caller_finish) struct caller c = {0};
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	_cleanup_(closep) int fd = guests_caller(g, (struct start){0}, NULL);

	mount_record(g, true, -1);
	a = registry_find(g->registry, "a");
	assert_int_equal(identity_mount(g->identity, fd, a, &c), 0);
	assert_int_equal(identity_confirm(g->identity, &c), 0);
	/* Claims of others change, and are nothing to it. */
	guests_record(g, "b", "b", -1);
	assert_int_equal(identity_confirm(g->identity, &c), 0);
	mount_record(g, false, -1);
	assert_int_equal(identity_confirm(g->identity, &c), IDENTITY_E_UNKNOWN);
	mount_record(g, true, -1);
	assert_int_equal(identity_confirm(g->identity, &c), 0);
	guests_withdraw(g, "a");
	assert_int_equal(identity_confirm(g->identity, &c), IDENTITY_E_UNKNOWN);
}

/* One that is bound as well has callers of both kinds, who speak of the same run. */
static void test_mount_has_one_boot(void **state)
{
	WORLD(g);
	const struct boot by_mount = boot_by_mount();
	_cleanup_(caller_finish) struct caller c = {0};
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	_cleanup_(closep) int fd = -1;
	uint64_t id = guests_make(g, "a");
	struct boot boot;

	mount_record(g, true, -1);
	a = registry_find(g->registry, "a");
	assert_true(identity_boot(g->identity, a, &boot));
	assert_true(boot_equal(&boot, &by_mount));
	assert_false(identity_is_running(g->identity, a));
	assert_int_equal(registry_bind(g->registry, "a", guests_path(g, "a"), id), 0);
	fd = guests_caller(g, (struct start){.cgroup = "a"}, NULL);
	assert_int_equal(identity_peer(g->identity, fd, &c), 0);
	assert_false(c.by_mount);
	assert_true(boot_equal(&c.boot, &by_mount));
	assert_true(identity_is_running(g->identity, a));
	mount_record(g, false, -1);
	assert_true(identity_boot(g->identity, a, &boot));
	assert_false(boot_equal(&boot, &by_mount));
	guests_withdraw(g, "a");
	assert_false(identity_boot(g->identity, a, &boot));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_mount),
		WORLD_TEST(test_mount_is_confirmed),
		WORLD_TEST(test_mount_has_one_boot),
	};

	if (!guests_are_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
