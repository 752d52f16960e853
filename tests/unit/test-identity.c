/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is calling: real sockets, processes and cgroups
 *
 *	test-identity [KERNEL]
 *
 * Run under `deny KERNEL` as well, where newer calls fail as on that kernel. What differs between kernels is asked from identity_features(), never assumed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include "alloc.h"
#include "callers.h"
#include "core/identity.h"
#include "core/process.h"
#include "core/registry.h"
#include "guests.h"

static const char *arg_kernel; /* which kernel `deny` imitates; NULL: none */

static void test_profile(void **state)
{
	WORLD(g);
	json_auto_t *features = identity_features(g->identity);

	assert_true(feature(g, "pidfd_open"));
	assert_true(json_is_string(json_object_get(features, "cgroup2")));
	assert_true(json_is_boolean(json_object_get(features, "proc_hidepid")));
	if (arg_kernel && !streq(arg_kernel, "6.13"))
		assert_false(feature(g, "PIDFD_GET_INFO"));
	if (arg_kernel && (streq(arg_kernel, "6.5") || streq(arg_kernel, "6.1")))
		assert_false(feature(g, "PIDFD_THREAD"));
	if (arg_kernel && streq(arg_kernel, "6.1"))
		assert_false(feature(g, "SO_PEERPIDFD"));
}

static void test_recognises(void **state)
{
	WORLD(g);
	_cleanup_(caller_finish) struct caller c = {0};
	uint64_t id = guests_make(g, "a");
	_cleanup_(closep) int fd = -1;
	pid_t init, pid;

	guests_record(g, "a", "a", -1);
	init = guests_start(g, &(struct start){.cgroup = "a"});
	fd = guests_caller(g, (struct start){.cgroup = "a"}, &pid);
	assert_int_equal(identity_peer(g->identity, fd, &c), 0);
	assert_string_equal(instance_name(c.instance), "a");
	assert_string_equal(c.cgroup_path, guests_path(g, "a"));
	assert_int_equal(c.cgroup_id, id);
	assert_int_equal(c.pid, pid);
	assert_int_equal(c.uid, 0);
	assert_int_equal(c.boot.cgroup_id, id);
	assert_int_equal(c.boot.init_pid, init);
	assert_int_not_equal(c.boot.init_start, 0);
}

static void test_longest_claim_by_whole_components(void **state)
{
	WORLD(g);

	guests_make(g, "a/sub/leaf");
	guests_make(g, "a/own/leaf");
	guests_make(g, "ab");
	guests_record(g, "a", "a", -1);
	guests_record(g, "b", "a/own", -1);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a"}, NULL), 0, "a");
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a/sub/leaf"}, NULL), 0, "a");
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a/own/leaf"}, NULL), 0, "b");
	assert_is(g, guests_caller(g, (struct start){.cgroup = "ab"}, NULL), IDENTITY_E_UNKNOWN,
		  NULL);
	assert_is(g, guests_caller(g, (struct start){0}, NULL), IDENTITY_E_UNKNOWN, NULL);
}

static void test_root_cgroup_is_nobodys(void **state)
{
	WORLD(g);
	pid_t pid;
	int fd = guests_caller(g, (struct start){0}, &pid);
	char path[CGROUP_PATH_MAX];
	uint64_t id;

	/* Moved to the root of the hierarchy, which no record can name; its claims are not asked. */
	guests_move(g, "..", pid);
	assert_is(g, fd, IDENTITY_E_UNKNOWN, NULL);
	assert_int_equal(identity_cgroup_of(g->identity, pid, path, &id), -ENOENT);
}

static void test_mapped_guest(void **state)
{
	WORLD(g);
	struct start init = {.cgroup = "a", .unshare = CLONE_NEWUSER, .map = MAPPED};

	guests_make(g, "a");
	guests_record(g, "a", "a", -1);
	guests_start(g, &init);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a", .uid = ROOT}, NULL), 0, "a");
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a", .uid = ROOT + 1}, NULL),
		  IDENTITY_E_NOT_ROOT, "a");
	/* Root of the host is not root of the guest. */
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a"}, NULL), IDENTITY_E_NOT_ROOT,
		  "a");
}

static void test_record_says_who_is_root(void **state)
{
	WORLD(g);

	guests_make(g, "a");
	guests_record(g, "a", "a", 1234);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a", .uid = 1234}, NULL), 0, "a");
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a"}, NULL), IDENTITY_E_NOT_ROOT,
		  "a");
	/* The claims are the same, so nothing is resolved again; the rule is the new one. */
	guests_record(g, "a", "a", -1);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a"}, NULL), 0, "a");
}

static void test_nobody_is_root(void **state)
{
	WORLD(g);
	struct start init = {
		.cgroup = "a", .unshare = CLONE_NEWUSER, .map = "1 100001 65535", .uid = 1};

	guests_make(g, "a");
	guests_record(g, "a", "a", -1);
	guests_start(g, &init);
	for (uid_t uid = 0; uid <= ROOT; uid += ROOT)
		assert_is(g, guests_caller(g, (struct start){.cgroup = "a", .uid = uid}, NULL),
			  IDENTITY_E_NOT_ROOT, "a");
}

/* Unshares when told, and says so. */
static int unshare_later(void *data, int control)
{
	char c;

	if (write(control, "x", 1) != 1 || read(control, &c, 1) != 1 ||
	    unshare(CLONE_NEWUSER) < 0 || write(control, "x", 1) != 1)
		return 1;
	return read(control, &c, 1) == 0 ? 0 : 1;
}

static void test_map_comes_late(void **state)
{
	WORLD(g);
	pid_t init;
	char map[64];
	int fd;

	guests_make(g, "a");
	guests_record(g, "a", "a", -1);
	init = guests_start(g, &(struct start){.cgroup = "a", .then = unshare_later});
	/* The starter is still in the host's namespace, where uid 0 is root, and remembered so. */
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a"}, NULL), 0, "a");
	assert_int_equal(write(g->children[0].control, "x", 1), 1);
	guests_hear(g, init);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a", .uid = ROOT}, NULL),
		  IDENTITY_E_NOT_ROOT, "a");
	snprintf(map, sizeof(map), "/proc/%d/uid_map", init);
	fd = open(map, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, MAPPED, strlen(MAPPED)), strlen(MAPPED));
	close(fd);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a", .uid = ROOT}, NULL), 0, "a");
}

static void test_next_run_is_another(void **state)
{
	WORLD(g);
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	struct boot first, second;
	pid_t init;

	guests_record(g, "a", "a", -1);
	a = registry_find(g->registry, "a");
	assert_false(identity_boot(g->identity, a, &first)); /* no such cgroup yet */
	guests_make(g, "a");
	assert_false(identity_boot(g->identity, a, &first)); /* nothing in it */
	init = guests_start(g, &(struct start){.cgroup = "a"});
	assert_true(identity_boot(g->identity, a, &first));
	assert_true(identity_boot(g->identity, a, &second));
	assert_true(boot_equal(&first, &second));
	assert_int_equal(first.init_pid, init);
	/* In the same cgroup, which outlives the guest. */
	guests_end(g, init);
	assert_false(identity_boot(g->identity, a, &second));
	init = guests_start(g, &(struct start){.cgroup = "a"});
	assert_true(identity_boot(g->identity, a, &second));
	assert_false(boot_equal(&first, &second));
	first = second;
	guests_end(g, init);
	guests_remove(g, "a");
	assert_false(identity_boot(g->identity, a, &second));
	guests_make(g, "a");
	guests_start(g, &(struct start){.cgroup = "a"});
	assert_true(identity_boot(g->identity, a, &second));
	assert_false(boot_equal(&first, &second));
}

/* Starts children until one starts after @pid by the kernel's clock, which ticks slowly. */
static void pass_a_tick(struct guests *g, pid_t pid)
{
	uint64_t start, now;

	assert_int_equal(process_start(pid, &start), 0);
	do {
		pid_t next = guests_start(g, &(struct start){0});

		assert_int_equal(process_start(next, &now), 0);
		guests_end(g, next);
	} while (now == start);
}

static void test_first_process_is_found_below(void **state)
{
	WORLD(g);
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	struct boot boot;
	pid_t init;

	guests_make(g, "a/init.scope");
	guests_make(g, "a/x/y/z");
	guests_record(g, "a", "a", -1);
	a = registry_find(g->registry, "a");
	init = guests_start(g, &(struct start){.cgroup = "a/init.scope"});
	pass_a_tick(g, init);
	guests_start(g, &(struct start){.cgroup = "a/x/y/z"});
	guests_start(g, &(struct start){.cgroup = "a/x"});
	assert_true(identity_boot(g->identity, a, &boot));
	assert_int_equal(boot.init_pid, init);
}

/* The oldest of a part would be a guess: then only the record can say who is root. */
static void test_too_much_to_look_at(void **state)
{
	WORLD(g);
	_cleanup_(caller_finish) struct caller c = {0};
	int fd;

	for (unsigned i = 0; i <= CGROUP_WALK_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "a/%u", i);
		guests_make(g, name);
	}
	guests_record(g, "a", "a", -1);
	fd = guests_caller(g, (struct start){.cgroup = "a"}, NULL);
	assert_is(g, fcntl(fd, F_DUPFD_CLOEXEC, 0), IDENTITY_E_NOT_ROOT, "a");
	guests_record(g, "a", "a", 0);
	assert_is(g, fcntl(fd, F_DUPFD_CLOEXEC, 0), 0, "a");
	assert_int_equal(identity_peer(g->identity, fd, &c), 0);
	assert_int_equal(c.boot.init_pid, 0);
	close(fd);
}

static void test_match_against_binding(void **state)
{
	WORLD(g);
	uint64_t id = guests_make(g, "a");
	pid_t pid;
	int fd = guests_caller(g, (struct start){.cgroup = "a"}, &pid);

	guests_record(g, "a", "a", -1);
	guests_record(g, "b", NULL, -1);
	assert_is(g, fcntl(fd, F_DUPFD_CLOEXEC, 0), 0, "a");
	assert_int_equal(registry_bind(g->registry, "b", guests_path(g, "a"), id), 0);
	assert_is(g, fcntl(fd, F_DUPFD_CLOEXEC, 0), IDENTITY_E_CONFLICT, NULL);
	/* Both claims of one instance agree. */
	assert_int_equal(registry_unbind(g->registry, "b"), 0);
	assert_int_equal(registry_bind(g->registry, "a", guests_path(g, "a"), id), 0);
	assert_is(g, fd, 0, "a");
}

/* Who is known is not looked for: what another manager puts where the record says is not taken for it. */
static void test_match_while_bound_elsewhere(void **state)
{
	WORLD(g);
	pid_t there;
	int fd;

	guests_make(g, "a");
	fd = guests_caller(g, (struct start){.cgroup = "a"}, NULL);
	guests_record(g, "a", "a", -1);
	guests_record(g, "b", NULL, -1);
	assert_int_equal(
		registry_bind(g->registry, "a", guests_path(g, "a-1"), guests_make(g, "a-1")), 0);
	assert_is(g, fcntl(fd, F_DUPFD_CLOEXEC, 0), IDENTITY_E_UNKNOWN, NULL);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a-1"}, &there), 0, "a");
	/* Nor does it stand against another one's claim. */
	guests_record(g, "b", "a", -1);
	assert_is(g, fcntl(fd, F_DUPFD_CLOEXEC, 0), 0, "b");
	guests_record(g, "b", NULL, -1);
	assert_is(g, fcntl(fd, F_DUPFD_CLOEXEC, 0), IDENTITY_E_UNKNOWN, NULL);
	/* No claim changes when the bound cgroup ends. */
	guests_end(g, there);
	guests_remove(g, "a-1");
	assert_is(g, fd, 0, "a");
}

/* A connection that was let in because the other's match did not count is asked again. */
static void test_confirm_while_bound_elsewhere(void **state)
{
	WORLD(g);
	_cleanup_(caller_finish) struct caller c = {0};
	_cleanup_(closep) int fd = -1;

	guests_make(g, "a");
	fd = guests_caller(g, (struct start){.cgroup = "a"}, NULL);
	guests_record(g, "a", "a", -1);
	guests_record(g, "b", "a", -1);
	assert_int_equal(
		registry_bind(g->registry, "a", guests_path(g, "a-1"), guests_make(g, "a-1")), 0);
	assert_int_equal(identity_peer(g->identity, fd, &c), 0);
	assert_string_equal(instance_name(c.instance), "b");
	assert_int_equal(identity_confirm(g->identity, &c), 0);
	guests_remove(g, "a-1");
	assert_int_equal(identity_confirm(g->identity, &c), IDENTITY_E_CONFLICT);
}

/* The binding may be to a part of what the record says; all of that is the guest then. */
static void test_match_around_binding(void **state)
{
	WORLD(g);

	guests_make(g, "a/other");
	guests_record(g, "a", "a", -1);
	assert_int_equal(registry_bind(g->registry, "a", guests_path(g, "a/init.scope"),
				       guests_make(g, "a/init.scope")),
			 0);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a/other"}, NULL), 0, "a");
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a/init.scope"}, NULL), 0, "a");
}

static void test_two_matches(void **state)
{
	WORLD(g);
	int fd;

	guests_make(g, "a/leaf");
	guests_record(g, "a", "a", -1);
	guests_record(g, "b", "a", -1);
	fd = guests_caller(g, (struct start){.cgroup = "a/leaf"}, NULL);
	assert_is(g, fcntl(fd, F_DUPFD_CLOEXEC, 0), IDENTITY_E_CONFLICT, NULL);
	guests_withdraw(g, "a");
	assert_is(g, fd, 0, "b");
}

static void test_conflict_above_does_not_matter(void **state)
{
	WORLD(g);

	guests_make(g, "a/own");
	guests_record(g, "a", "a", -1);
	guests_record(g, "b", "a", -1);
	guests_record(g, "c", "a/own", -1);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a/own"}, NULL), 0, "c");
}

static void test_binding(void **state)
{
	WORLD(g);
	uint64_t id = guests_make(g, "a/leaf"), bound_id;
	char path[CGROUP_PATH_MAX];
	pid_t pid = guests_start(g, &(struct start){.cgroup = "a"});

	guests_record(g, "a", NULL, -1);
	assert_int_equal(identity_cgroup_of(g->identity, pid, path, &bound_id), 0);
	assert_string_equal(path, guests_path(g, "a"));
	assert_int_not_equal(bound_id, id);
	assert_int_equal(registry_bind(g->registry, "a", path, bound_id), 0);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a/leaf"}, NULL), 0, "a");
	guests_end(g, pid);
	assert_int_equal(identity_cgroup_of(g->identity, pid, path, &bound_id), -ESRCH);
}

/* The cgroup that was bound is gone; another one has its name. */
static void test_stale_binding(void **state)
{
	WORLD(g);
	_cleanup_(instance_unrefp) struct instance *a = NULL;
	uint64_t id = guests_make(g, "a");
	struct boot boot;

	guests_record(g, "a", NULL, -1);
	a = registry_find(g->registry, "a");
	assert_int_equal(registry_bind(g->registry, "a", guests_path(g, "a"), id), 0);
	guests_remove(g, "a");
	assert_int_not_equal(guests_make(g, "a"), id);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a"}, NULL), IDENTITY_E_UNKNOWN,
		  NULL);
	assert_false(identity_boot(g->identity, a, &boot));
	/* It is no claim any more, so it does not stand against another. */
	guests_record(g, "b", "a", -1);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "a"}, NULL), 0, "b");
}

static void test_confirm(void **state)
{
	WORLD(g);
	_cleanup_(caller_finish) struct caller c = {0};
	_cleanup_(closep) int fd = -1;

	guests_make(g, "a");
	guests_record(g, "a", "a", -1);
	fd = guests_caller(g, (struct start){.cgroup = "a"}, NULL);
	assert_int_equal(identity_peer(g->identity, fd, &c), 0);
	assert_int_equal(identity_confirm(g->identity, &c), 0);
	guests_record(g, "b", "b", -1);
	assert_int_equal(identity_confirm(g->identity, &c), 0);
	assert_int_equal(c.generation, registry_claims_generation(g->registry));
	guests_record(g, "b", "a", -1);
	assert_int_equal(identity_confirm(g->identity, &c), IDENTITY_E_CONFLICT);
	guests_withdraw(g, "a");
	assert_int_equal(identity_confirm(g->identity, &c), IDENTITY_E_UNKNOWN);
	guests_withdraw(g, "b");
	assert_int_equal(identity_confirm(g->identity, &c), IDENTITY_E_UNKNOWN);
}

/* More cgroups than the cache holds: what is forgotten is found again. */
static void test_cache_is_bounded(void **state)
{
	WORLD(g);
	static const char *const names[] = {"a/1", "a/2", "a/3", "b", "c"};
	int fds[ARRAY_SIZE(names)];

	identity_free(g->identity);
	assert_int_equal(identity_new(g->registry, 2, &g->identity), 0);
	guests_record(g, "a", "a", -1);
	guests_record(g, "b", "b", -1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		guests_make(g, names[i]);
		fds[i] = guests_caller(g, (struct start){.cgroup = names[i]}, NULL);
	}
	for (size_t i = 0; i < 5 * ARRAY_SIZE(names); i++) {
		int fd = fcntl(fds[i % 5], F_DUPFD_CLOEXEC, 0);
		const char *name;

		assert_int_equal(ask(g, fd, &name), i % 5 == 4 ? IDENTITY_E_UNKNOWN : 0);
		if (i % 5 < 4)
			assert_memory_equal(name, names[i % 5], 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		close(fds[i]);
}

/* Without memory it is -ENOMEM and nobody; never somebody else, never a leak. */
static void test_no_memory(void **state)
{
	WORLD(g);
	_cleanup_(closep) int fd = -1;
	char path[CGROUP_PATH_MAX];
	uint64_t id;
	int r = 0;

	guests_make(g, "a");
	guests_record(g, "a", "a", -1);
	fd = guests_caller(g, (struct start){.cgroup = "a"}, NULL);
	ALLOC_WALK(r == -ENOMEM)
	{
		struct identity *identity = NULL;

		r = identity_new(g->registry, 4, &identity);
		assert_true(r == (identity ? 0 : -ENOMEM));
		identity_free(identity);
	}
	ALLOC_WALK(r == -ENOMEM)
	{
		_cleanup_(identity_freep) struct identity *identity = NULL;
		_cleanup_(caller_finish) struct caller c = {0};
		long armed = alloc_left;

		alloc_left = -1;
		assert_int_equal(identity_new(g->registry, 4, &identity), 0);
		alloc_left = armed;
		r = identity_peer(identity, fd, &c);
		assert_true(r == -ENOMEM || (r == 0 && streq(instance_name(c.instance), "a")));
	}
	ALLOC_WALK(r == -ENOMEM)
	r = identity_cgroup_of(g->identity, g->children[0].pid, path, &id);
	assert_int_equal(r, 0);
}

struct crowd {
	struct guests *g;
	int fd;
	_Atomic unsigned n_wrong;
};

static void *ask_often(void *data)
{
	struct crowd *crowd = data;

	for (int i = 0; i < 300; i++) {
		_cleanup_(caller_finish) struct caller c = {0};
		int r = identity_peer(crowd->g->identity, crowd->fd, &c);

		if (r != 0 || !streq(instance_name(c.instance), "a") ||
		    identity_confirm(crowd->g->identity, &c) != 0)
			crowd->n_wrong++;
	}
	return NULL;
}

static void test_threads(void **state)
{
	WORLD(g);
	struct crowd crowd = {.g = g};
	pthread_t threads[3];

	guests_make(g, "a/leaf");
	guests_record(g, "a", "a", -1);
	crowd.fd = guests_caller(g, (struct start){.cgroup = "a/leaf"}, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &crowd), 0);
	for (int i = 0; i < 100; i++) {
		guests_record(g, "b", i % 2 ? "b" : "c", -1);
		json_decref(identity_explain(g->identity, g->children[0].pid));
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.n_wrong, 0);
	close(crowd.fd);
}

static void test_words(void **state)
{
	for (int outcome = 0; outcome < _IDENTITY_E_N; outcome++)
		assert_non_null(identity_reason(outcome));
	assert_string_equal(identity_reason(-EMFILE), strerror(EMFILE));
	assert_null(identity_free(NULL));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_profile),
		WORLD_TEST(test_recognises),
		WORLD_TEST(test_longest_claim_by_whole_components),
		WORLD_TEST(test_root_cgroup_is_nobodys),
		WORLD_TEST(test_mapped_guest),
		WORLD_TEST(test_record_says_who_is_root),
		WORLD_TEST(test_nobody_is_root),
		WORLD_TEST(test_map_comes_late),
		WORLD_TEST(test_next_run_is_another),
		WORLD_TEST(test_first_process_is_found_below),
		WORLD_TEST(test_too_much_to_look_at),
		WORLD_TEST(test_match_against_binding),
		WORLD_TEST(test_match_while_bound_elsewhere),
		WORLD_TEST(test_confirm_while_bound_elsewhere),
		WORLD_TEST(test_match_around_binding),
		WORLD_TEST(test_two_matches),
		WORLD_TEST(test_conflict_above_does_not_matter),
		WORLD_TEST(test_binding),
		WORLD_TEST(test_stale_binding),
		WORLD_TEST(test_confirm),
		WORLD_TEST(test_cache_is_bounded),
		WORLD_TEST(test_no_memory),
		WORLD_TEST(test_threads),
		cmocka_unit_test(test_words),
	};

	arg_kernel = argc > 1 ? argv[1] : NULL;
	if (!guests_are_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
