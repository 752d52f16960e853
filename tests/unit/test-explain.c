/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an operator is told about a process, also on hosts that lack what identity needs
 *
 *	test-explain [none]
 *
 * Run under `deny KERNEL` as well; "none" is a kernel without pidfds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "callers.h"
#include "core/identity.h"
#include "core/registry.h"
#include "guests.h"

static const char *text_of(json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static void explains(struct guests *g, pid_t pid, const char *outcome, const char *instance)
{
	json_auto_t *e = identity_explain(g->identity, pid);

	assert_string_equal(text_of(e, "outcome"), outcome);
	if (instance)
		assert_string_equal(text_of(e, "instance"), instance);
	else
		assert_true(json_is_null(json_object_get(e, "instance")));
	assert_non_null(text_of(e, "reason"));
	assert_true(streq(outcome, "gone") || text_of(e, "remedy"));
}

/* Goes where no cgroup2 hierarchy is mounted, until setns(). */
static int go_without_hierarchy(struct guests *g)
{
	json_auto_t *features = identity_features(g->identity);
	int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	assert_true(ns >= 0);
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(
		umount2(json_string_value(json_object_get(features, "cgroup2")), MNT_DETACH), 0);
	return ns;
}

/* A match can be judged by the path alone; who is root cannot be found out. */
static void test_no_hierarchy(void **state)
{
	WORLD(g);
	uint64_t id = guests_make(g, "a"), got_id = 0;
	char path[CGROUP_PATH_MAX];
	json_auto_t *features = NULL, *e = NULL;
	int ns, fd, r;
	pid_t pid;

	guests_make(g, "b");
	guests_record(g, "a", "a", 0);
	guests_record(g, "b", NULL, 0);
	assert_int_equal(registry_bind(g->registry, "b", guests_path(g, "b"), guests_make(g, "b")),
			 0);
	ns = go_without_hierarchy(g);
	identity_free(g->identity);
	r = identity_new(g->registry, 4, &g->identity);
	fd = guests_caller(g, (struct start){.cgroup = "a"}, &pid);
	features = identity_features(g->identity);
	assert_int_equal(r, 0);
	assert_true(json_is_null(json_object_get(features, "cgroup2")));
	assert_is(g, fcntl(fd, F_DUPFD_CLOEXEC, 0), 0, "a");
	assert_is(g, guests_caller(g, (struct start){.cgroup = "b"}, NULL), IDENTITY_E_UNKNOWN,
		  NULL);
	r = identity_cgroup_of(g->identity, pid, path, &got_id);
	assert_int_equal(r, feature(g, "PIDFD_GET_INFO") ? 0 : -EOPNOTSUPP);
	assert_true(r < 0 || got_id == id);
	guests_record(g, "a", "a", -1);
	assert_is(g, fd, IDENTITY_E_NOT_ROOT, "a");
	e = identity_explain(g->identity, pid);
	assert_non_null(strstr(text_of(json_object_get(e, "root"), "error"), "no cgroup2"));
	assert_non_null(strstr(text_of(e, "remedy"), "mount the cgroup2 hierarchy"));
	assert_int_equal(setns(ns, CLONE_NEWNS), 0);
	close(ns);
}

/* Neither SO_PEERPIDFD nor pidfd_open(): nobody can be told, and it is said why. */
static void test_no_pidfds(void **state)
{
	WORLD(g);
	const char *name;
	pid_t pid;
	int fd;

	guests_make(g, "a");
	guests_record(g, "a", "a", 0);
	fd = guests_caller(g, (struct start){.cgroup = "a"}, &pid);
	assert_int_equal(ask(g, fd, &name), -ENOSYS);
	assert_null(name);
	explains(g, pid, "trouble", NULL);
	assert_false(feature(g, "pidfd_open"));
}

static void test_explain(void **state)
{
	WORLD(g);
	uint64_t id = guests_make(g, "a/leaf");
	pid_t pid = guests_start(g, &(struct start){.cgroup = "a/leaf"});
	json_auto_t *e = NULL;
	json_t *first, *second, *claim;

	guests_record(g, "a", "a", -1);
	e = identity_explain(g->identity, pid);
	assert_int_equal(json_integer_value(json_object_get(e, "pid")), pid);
	assert_true(json_is_true(json_object_get(e, "exists")));
	assert_string_equal(text_of(e, "instance"), "a");
	assert_string_equal(text_of(e, "outcome"), "recognised");
	assert_true(json_is_null(json_object_get(e, "remedy")));
	assert_string_equal(text_of(json_object_get(e, "cgroup"), "path"),
			    guests_path(g, "a/leaf"));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(e, "cgroup"), "id")),
			 id);
	assert_true(json_is_object(json_object_get(e, "ways")));
	first = json_array_get(json_object_get(e, "tried"), 0);
	second = json_array_get(json_object_get(e, "tried"), 1);
	assert_string_equal(text_of(first, "path"), guests_path(g, "a/leaf"));
	assert_int_equal(json_array_size(json_object_get(first, "claims")), 0);
	claim = json_array_get(json_object_get(second, "claims"), 0);
	assert_string_equal(text_of(claim, "kind"), "match");
	assert_string_equal(text_of(claim, "instance"), "a");
	assert_true(json_is_true(json_object_get(claim, "valid")));
	assert_string_equal(text_of(json_object_get(e, "root"), "source"), "uid_map");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(e, "root"), "init")),
			 pid);
}

static void test_explain_refusals(void **state)
{
	WORLD(g);
	pid_t pid, user;

	guests_make(g, "a");
	pid = guests_start(g, &(struct start){.cgroup = "a"});
	user = guests_start(g, &(struct start){.cgroup = "a", .uid = 1000});
	explains(g, pid, "unknown", NULL);
	guests_record(g, "a", "a", -1);
	explains(g, user, "not-root", "a");
	guests_record(g, "b", "a", -1);
	explains(g, pid, "conflict", NULL);
	guests_end(g, pid);
	explains(g, pid, "gone", NULL);
}

/* The id is any thread's, as an operator finds it in a log. */
static void test_explain_thread(void **state)
{
	WORLD(g);
	json_auto_t *e = NULL;
	pid_t pid, tid;

	guests_make(g, "a");
	guests_record(g, "a", "a", -1);
	pid = guests_start(g, &(struct start){.cgroup = "a", .then = guests_two_threads});
	tid = guests_second_thread(pid);
	e = identity_explain(g->identity, tid);
	assert_int_equal(json_integer_value(json_object_get(e, "pid")), tid);
	assert_int_equal(json_integer_value(json_object_get(e, "process")), pid);
	assert_true(json_is_true(json_object_get(e, "exists")));
	assert_string_equal(text_of(e, "instance"), "a");
	assert_string_equal(text_of(e, "outcome"), "recognised");
	guests_end(g, pid);
	json_decref(e);
	e = identity_explain(g->identity, tid);
	assert_string_equal(text_of(e, "outcome"), "gone");
	assert_true(json_is_null(json_object_get(e, "process")));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_explain),
		WORLD_TEST(test_explain_refusals),
		WORLD_TEST(test_explain_thread),
		WORLD_TEST(test_no_hierarchy),
	};
	const struct CMUnitTest without_pidfds[] = {WORLD_TEST(test_no_pidfds)};

	if (!guests_are_possible())
		return 77;
	if (argc > 1 && streq(argv[1], "none"))
		return cmocka_run_group_tests(without_pidfds, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
