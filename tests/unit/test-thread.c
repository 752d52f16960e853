/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who asks through the tree: threads, which stand in for those that wait for an answer
 *
 * Run under `deny KERNEL` as well, where newer calls fail as on that kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "callers.h"
#include "core/identity.h"
#include "core/registry.h"
#include "guests.h"

#define UNTOUCHED UINT64_C(99)

/* The outcome for a thread, and whose it is: NULL when nobody's. */
static int ask_thread(struct guests *g, pid_t tid, uid_t uid, const char **ret_name,
		      uint64_t *ret_claimed_id)
{
	_cleanup_(instance_unrefp) struct instance *i = NULL;
	int r;

	*ret_claimed_id = UNTOUCHED;
	r = identity_thread(g->identity, tid, uid, &i, ret_claimed_id);
	assert_true((r == 0) == !!i);
	*ret_name = i ? instance_name(i) : NULL; /* the registry keeps it */
	return r;
}

/* Asks twice: what is cached must be what was found. */
static void assert_nobody(struct guests *g, pid_t tid, uid_t uid, int outcome)
{
	for (int i = 0; i < 2; i++) {
		const char *name;
		uint64_t claimed_id;

		assert_int_equal(ask_thread(g, tid, uid, &name, &claimed_id), outcome);
		assert_int_equal(claimed_id, UNTOUCHED);
	}
}

/* No uid makes a difference. */
static void assert_guest(struct guests *g, pid_t tid, const char *instance, uint64_t id)
{
	for (uid_t uid = 0; uid < 2; uid++) {
		const char *name;
		uint64_t claimed_id;

		assert_int_equal(ask_thread(g, tid, uid, &name, &claimed_id), 0);
		assert_string_equal(name, instance);
		assert_int_equal(claimed_id, id);
	}
}

/* guests_two_threads() in a child, which is the one that is in a new pid namespace. */
static int be_two_threads_in_child(void *data, int control)
{
	char c;

	if (fork() == 0)
		_exit(guests_two_threads(data, control));
	return read(control, &c, 1) == 0 ? 0 : 1;
}

/* The process in cgroup @name that is not @pid. */
static pid_t other_process(struct guests *g, const char *name, pid_t pid)
{
	char file[300], text[4096], *rest = text, *line;
	uint64_t found = 0, n;

	snprintf(file, sizeof(file), "%s/cgroup.procs", guests_path(g, name) + 1);
	assert_true(file_read_proc(g->root_fd, file, text, sizeof(text)) > 0);
	while ((line = strsep(&rest, "\n")))
		if (text_to_u64(line, 1, INT32_MAX, &n) == 0 && (pid_t)n != pid)
			found = n;
	assert_int_not_equal(found, 0);
	return (pid_t)found;
}

static void test_any_thread_of_a_guest(void **state)
{
	WORLD(g);
	uint64_t id = guests_make(g, "a");
	pid_t pid, tid;

	guests_record(g, "a", "a", -1);
	pid = guests_start(g, &(struct start){.cgroup = "a", .then = guests_two_threads});
	tid = guests_second_thread(pid);
	assert_guest(g, tid, "a", id);
	assert_guest(g, pid, "a", id);
}

static void test_nested(void **state)
{
	WORLD(g);
	struct start nested = {.cgroup = "a/b/c",
			       .unshare = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS,
			       .map = MAPPED,
			       .then = be_two_threads_in_child};
	uint64_t id = guests_make(g, "a");
	pid_t pid;

	guests_make(g, "a/b/c");
	guests_record(g, "a", "a", -1);
	pid = other_process(g, "a/b/c", guests_start(g, &nested));
	assert_guest(g, guests_second_thread(pid), "a", id);
	assert_guest(g, pid, "a", id);
}

/* A thread can be in another cgroup than its process, so its own one decides. */
static void test_threaded_cgroup(void **state)
{
	WORLD(g);
	uint64_t id = guests_make(g, "a"), inner_id = guests_make(g, "a/t");
	char file[300], tid[16];
	pid_t pid = guests_start(g, &(struct start){.cgroup = "a", .then = guests_two_threads});
	int type_fd, threads_fd;

	guests_record(g, "a", "a", -1);
	guests_record(g, "b", "a/t", -1);
	snprintf(file, sizeof(file), "%s/cgroup.type", guests_path(g, "a/t") + 1);
	type_fd = openat(g->root_fd, file, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(type_fd, "threaded", 8), 8);
	close(type_fd);
	snprintf(file, sizeof(file), "%s/cgroup.threads", guests_path(g, "a/t") + 1);
	snprintf(tid, sizeof(tid), "%d", guests_second_thread(pid));
	threads_fd = openat(g->root_fd, file, O_WRONLY | O_CLOEXEC);
	assert_true(write(threads_fd, tid, strlen(tid)) > 0);
	close(threads_fd);
	assert_guest(g, guests_second_thread(pid), "b", inner_id);
	assert_guest(g, pid, "a", id);
}

static void test_host(void **state)
{
	WORLD(g);
	pid_t pid, tid;

	guests_make(g, "a");
	guests_make(g, "host");
	guests_record(g, "a", "a", -1);
	pid = guests_start(g, &(struct start){.cgroup = "host", .then = guests_two_threads});
	tid = guests_second_thread(pid);
	assert_nobody(g, pid, 0, IDENTITY_E_HOST);
	assert_nobody(g, tid, 0, IDENTITY_E_HOST);
	assert_nobody(g, tid, 1, IDENTITY_E_UNKNOWN);
	assert_nobody(g, tid, 65534, IDENTITY_E_UNKNOWN);
	/* The root of the hierarchy is nobody's. */
	guests_move(g, "..", pid);
	assert_nobody(g, tid, 0, IDENTITY_E_HOST);
	guests_move(g, "a", pid);
	assert_guest(g, tid, "a", guests_make(g, "a"));
}

/* Nobody registered it, so it is nobody, but not the host. */
static void test_privileged_container(void **state)
{
	WORLD(g);
	struct start start = {.cgroup = "container",
			      .unshare = CLONE_NEWPID | CLONE_NEWNS,
			      .then = be_two_threads_in_child};
	pid_t outer, pid;

	guests_make(g, "container");
	outer = guests_start(g, &start);
	pid = other_process(g, "container", outer);
	assert_nobody(g, pid, 0, IDENTITY_E_UNKNOWN);
	assert_nobody(g, guests_second_thread(pid), 0, IDENTITY_E_UNKNOWN);
	assert_nobody(g, outer, 0, IDENTITY_E_HOST); /* who started it is outside */
}

static void test_conflict(void **state)
{
	WORLD(g);
	uint64_t id = guests_make(g, "a");
	pid_t pid = guests_start(g, &(struct start){.cgroup = "a", .then = guests_two_threads});

	guests_record(g, "a", "a", -1);
	assert_guest(g, guests_second_thread(pid), "a", id);
	guests_record(g, "b", "a", -1);
	for (uid_t uid = 0; uid < 2; uid++)
		assert_nobody(g, guests_second_thread(pid), uid, IDENTITY_E_CONFLICT);
	guests_withdraw(g, "a");
	assert_guest(g, guests_second_thread(pid), "b", id);
	guests_withdraw(g, "b");
	assert_nobody(g, guests_second_thread(pid), 0, IDENTITY_E_HOST);
}

/* Leaves its id to a process group in which another one lives on. */
static int leave_group(void *data, int control)
{
	char c;

	if (setpgid(0, 0) < 0)
		return 1;
	if (fork() == 0)
		_exit(read(control, &c, 1) == 0 ? 0 : 1);
	return write(control, "x", 1) == 1 ? 0 : 1;
}

static void test_gone(void **state)
{
	WORLD(g);
	uint64_t id = guests_make(g, "a");
	pid_t pid, tid, leader;

	guests_record(g, "a", "a", -1);
	pid = guests_start(g, &(struct start){.cgroup = "a", .then = guests_two_threads});
	tid = guests_second_thread(pid);
	guests_end(g, pid);
	assert_nobody(g, tid, 0, IDENTITY_E_GONE);
	assert_nobody(g, pid, 0, IDENTITY_E_GONE);
	assert_nobody(g, 1 << 23, 0, IDENTITY_E_GONE); /* above the largest id */
	assert_nobody(g, 0, 0, IDENTITY_E_UNKNOWN);
	assert_nobody(g, -1, 0, IDENTITY_E_UNKNOWN);
	assert_nobody(g, INT32_MIN, 0, IDENTITY_E_UNKNOWN);
	leader = guests_start(g, &(struct start){.cgroup = "a", .then = leave_group});
	assert_int_equal(waitpid(leader, NULL, 0), leader);
	assert_nobody(g, leader, 0, IDENTITY_E_GONE);
	close(g->children[--g->n_children].control);
	pid = guests_start(g, &(struct start){.cgroup = "a", .then = guests_two_threads});
	assert_guest(g, guests_second_thread(pid), "a", id);
}

/* A binding whose cgroup has gone is no claim; what was bound counts by its id. */
static void test_binding(void **state)
{
	WORLD(g);
	uint64_t id = guests_make(g, "a/leaf"), bound_id = guests_make(g, "a");
	pid_t pid = guests_start(g, &(struct start){.cgroup = "a/leaf"});

	guests_record(g, "a", NULL, -1);
	assert_int_equal(registry_bind(g->registry, "a", guests_path(g, "a"), id), 0);
	assert_nobody(g, pid, 1, IDENTITY_E_UNKNOWN);
	assert_int_equal(registry_bind(g->registry, "a", guests_path(g, "a"), bound_id), 0);
	assert_guest(g, pid, "a", bound_id);
}

static void test_no_memory(void **state)
{
	WORLD(g);
	uint64_t id = guests_make(g, "a"), claimed_id;
	const char *name;
	pid_t pid;
	int r = 0;

	guests_record(g, "a", "a", -1);
	pid = guests_start(g, &(struct start){.cgroup = "a"});
	ALLOC_WALK(r == -ENOMEM)
	{
		_cleanup_(identity_freep) struct identity *identity = NULL;
		_cleanup_(instance_unrefp) struct instance *i = NULL;
		long armed = alloc_left;

		alloc_left = -1;
		assert_int_equal(identity_new(g->registry, 4, &identity), 0);
		alloc_left = armed;
		r = identity_thread(identity, pid, 0, &i, &claimed_id);
		assert_true(i ? r == 0 && streq(instance_name(i), "a") : r == -ENOMEM);
	}
	assert_int_equal(r, 0);
	/* Once it is known, nothing is allocated any more. */
	assert_guest(g, pid, "a", id);
	alloc_arm(0);
	r = ask_thread(g, pid, 0, &name, &claimed_id);
	assert_int_equal(alloc_left, 0);
	alloc_arm(-1);
	assert_int_equal(r, 0);
}

struct crowd {
	struct guests *g;
	pid_t guest, host;
	_Atomic unsigned n_wrong;
};

static void *ask_often(void *data)
{
	struct crowd *crowd = data;

	for (int n = 0; n < 300; n++) {
		_cleanup_(instance_unrefp) struct instance *i = NULL;
		struct identity *id = crowd->g->identity;
		uint64_t claimed_id;

		if (identity_thread(id, crowd->guest, 0, &i, &claimed_id) != 0 ||
		    !streq(instance_name(i), "a") ||
		    identity_thread(id, crowd->host, 0, NULL, NULL) != IDENTITY_E_HOST)
			crowd->n_wrong++;
	}
	return NULL;
}

static void test_concurrent(void **state)
{
	WORLD(g);
	struct crowd crowd = {.g = g};
	pthread_t threads[3];

	guests_make(g, "a/leaf");
	guests_make(g, "host");
	guests_record(g, "a", "a", -1);
	crowd.guest = guests_second_thread(
		guests_start(g, &(struct start){.cgroup = "a/leaf", .then = guests_two_threads}));
	crowd.host = guests_start(g, &(struct start){.cgroup = "host"});
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &crowd), 0);
	for (int i = 0; i < 100; i++)
		guests_record(g, "b", i % 2 ? "b" : "c", -1);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.n_wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_any_thread_of_a_guest),
		WORLD_TEST(test_nested),
		WORLD_TEST(test_threaded_cgroup),
		WORLD_TEST(test_host),
		WORLD_TEST(test_privileged_container),
		WORLD_TEST(test_conflict),
		WORLD_TEST(test_gone),
		WORLD_TEST(test_binding),
		WORLD_TEST(test_no_memory),
		WORLD_TEST(test_concurrent),
	};

	if (!guests_are_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
