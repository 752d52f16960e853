/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest cannot name itself: every way to be taken for another that we know of
 *
 * Run under `deny KERNEL` as well, where newer calls fail as on that kernel. "attacker" and "victim" are
 * guests; where only the kernel's newest calls give the right answer, older ones must give none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "callers.h"
#include "core/identity.h"
#include "core/registry.h"
#include "guests.h"

/* Connects, then becomes a program with the title that LXD looks for. */
static int forge_title(void *data, int control)
{
	if (write(control, "x", 1) != 1 || dup2(control, STDIN_FILENO) < 0)
		return 1;
	execl("/bin/cat", "[lxc monitor] /var/lib/lxc victim", NULL);
	return 1;
}

static void test_attack_forged_title(void **state)
{
	WORLD(g);
	struct start forged = {.cgroup = "attacker", .then = forge_title};

	guests_make(g, "victim");
	guests_make(g, "attacker");
	guests_make(g, "stranger");
	guests_record(g, "victim", "victim", -1);
	guests_record(g, "attacker", "attacker", -1);
	assert_is(g, guests_caller(g, forged, NULL), 0, "attacker");
	forged.cgroup = "stranger";
	assert_is(g, guests_caller(g, forged, NULL), IDENTITY_E_UNKNOWN, NULL);
}

struct move {
	struct guests *g;
	const char *to; /* NULL: stays */
	int fd;
};

/* A process of one guest has a child that goes to another guest's cgroup and connects from there. */
static int connect_in_child(void *data, int control)
{
	struct move *move = data;
	struct sockaddr_un address;
	socklen_t size = sizeof(address);
	char c;

	if (fork() != 0)
		return read(control, &c, 1) == 0 ? 0 : 1;
	if (move->to)
		guests_move(move->g, move->to, 0);
	if (getsockname(move->g->listen_fd, (struct sockaddr *)&address, &size) < 0 ||
	    connect(move->fd, (struct sockaddr *)&address, size) < 0 || write(control, "x", 1) != 1)
		_exit(1);
	_exit(read(control, &c, 1) == 0 ? 0 : 1);
}

static void test_attack_child_of_another_guest(void **state)
{
	WORLD(g);

	guests_make(g, "a");
	guests_make(g, "b");
	guests_record(g, "a", "a", -1);
	guests_record(g, "b", "b", -1);
	guests_start(g, &(struct start){.cgroup = "a"});
	guests_start(g, &(struct start){.cgroup = "b"});
	for (int stays = 0; stays < 2; stays++) {
		_cleanup_(closep) int fd = guests_socket();
		struct move move = {g, stays ? NULL : "b", fd};

		guests_start(
			g, &(struct start){.cgroup = "a", .then = connect_in_child, .data = &move});
		assert_is(g, guests_accept(g), 0, stays ? "a" : "b");
	}
}

/* A connection is the connecting process's, whoever holds the descriptor. */
static void test_attack_passed_descriptor(void **state)
{
	WORLD(g);
	struct start connecting = {.cgroup = "attacker"};
	_cleanup_(closep) int client = guests_socket();
	pid_t pid;
	int fd;

	guests_make(g, "victim");
	guests_make(g, "attacker");
	guests_record(g, "victim", "victim", -1);
	guests_record(g, "attacker", "attacker", -1);
	guests_start(g, &(struct start){.cgroup = "attacker"});
	connecting.connect_fd = client;
	pid = guests_start(g, &connecting);
	fd = guests_accept(g);
	/* It inherits what SCM_RIGHTS would give it, and writes. */
	guests_start(g, &(struct start){.cgroup = "victim"});
	assert_int_equal(send(client, "GET", 3, MSG_NOSIGNAL), 3);
	assert_is(g, fcntl(fd, F_DUPFD_CLOEXEC, 0), 0, "attacker");
	/* Also after the connecting process has gone: its own or nobody's. */
	guests_end(g, pid);
	if (feature(g, "PIDFD_GET_INFO"))
		assert_is(g, fd, 0, "attacker");
	else
		assert_is(g, fd, IDENTITY_E_GONE, NULL);
}

/* A process of @from connects and ends; another one of @to gets its id. Gives our end. */
static int reuse_pid(struct guests *g, const char *from, const char *to)
{
	_cleanup_(closep) int client = guests_socket();
	struct start connecting = {.cgroup = from, .connect_fd = client};
	pid_t pid = guests_start(g, &connecting);
	int fd = guests_accept(g);

	guests_end(g, pid);
	assert_int_equal(guests_start(g, &(struct start){.cgroup = to, .pid = pid}), pid);
	return fd;
}

static void test_attack_reused_pid(void **state)
{
	WORLD(g);
	int fd;

	guests_make(g, "victim");
	guests_make(g, "attacker");
	guests_record(g, "victim", "victim", -1);
	guests_record(g, "attacker", "attacker", -1);
	guests_start(g, &(struct start){.cgroup = "victim"});
	guests_start(g, &(struct start){.cgroup = "attacker"});
	fd = reuse_pid(g, "attacker", "victim");
	if (feature(g, "PIDFD_GET_INFO"))
		assert_is(g, fd, 0, "attacker");
	else if (feature(g, "SO_PEERPIDFD"))
		assert_is(g, fd, IDENTITY_E_GONE, NULL);
	else
		/*
		 * The window before pidfd_open(), in docs/security.md: on such a kernel a
		 * process id is all there is, and it is the victim's by now.
		 */
		assert_is(g, fd, 0, "victim");
}

/* The same with an answer for that cgroup already in the cache. */
static void test_attack_reused_pid_after_an_answer(void **state)
{
	WORLD(g);
	int fd;

	guests_make(g, "victim");
	guests_make(g, "attacker");
	guests_record(g, "victim", "victim", -1);
	guests_record(g, "attacker", "attacker", -1);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "victim"}, NULL), 0, "victim");
	assert_is(g, guests_caller(g, (struct start){.cgroup = "attacker"}, NULL), 0, "attacker");
	fd = reuse_pid(g, "attacker", "victim");
	if (feature(g, "PIDFD_GET_INFO"))
		assert_is(g, fd, 0, "attacker");
	else if (feature(g, "SO_PEERPIDFD"))
		assert_is(g, fd, IDENTITY_E_GONE, NULL);
	else
		assert_is(g, fd, 0, "victim"); /* the window, as above */
}

/* The whole guest is gone, and its cgroup's name is another's now. */
static void test_attack_reused_cgroup(void **state)
{
	WORLD(g);
	_cleanup_(closep) int client = guests_socket();
	struct start connecting = {.cgroup = "a", .connect_fd = client};
	int fd;

	guests_make(g, "a");
	guests_record(g, "old", "a", -1);
	guests_end(g, guests_start(g, &connecting));
	fd = guests_accept(g);
	guests_remove(g, "a");
	guests_withdraw(g, "old");
	guests_make(g, "a");
	guests_record(g, "new", "a", -1);
	guests_start(g, &(struct start){.cgroup = "a"});
	assert_is(g, fd, IDENTITY_E_GONE, NULL);
}

static void test_attack_nested_cgroup_with_anothers_name(void **state)
{
	WORLD(g);
	_cleanup_(freep) char *nested = NULL;

	guests_make(g, "victim");
	guests_make(g, "attacker/victim");
	assert_true(asprintf(&nested, "attacker%s", guests_path(g, "victim")) > 0);
	guests_make(g, nested);
	guests_record(g, "victim", "victim", -1);
	guests_record(g, "attacker", "attacker", -1);
	assert_is(g, guests_caller(g, (struct start){.cgroup = "attacker/victim"}, NULL), 0,
		  "attacker");
	assert_is(g, guests_caller(g, (struct start){.cgroup = nested}, NULL), 0, "attacker");
}

static void test_attack_nested_namespaces(void **state)
{
	WORLD(g);
	struct start init = {.cgroup = "a", .unshare = CLONE_NEWUSER, .map = MAPPED};
	/* Any user can be root in a user namespace of his own. */
	struct start nested = {.cgroup = "a",
			       .unshare = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS,
			       .map = "0 101000 1"};

	guests_make(g, "a/user");
	guests_record(g, "a", "a", -1);
	guests_start(g, &init);
	assert_is(g, guests_caller(g, nested, NULL), IDENTITY_E_NOT_ROOT, "a");
	/* Not by a cgroup of his own either. */
	nested.cgroup = "a/user";
	assert_is(g, guests_caller(g, nested, NULL), IDENTITY_E_NOT_ROOT, "a");
	nested.map = "0 100000 1";
	assert_is(g, guests_caller(g, nested, NULL), 0, "a");
}

static void test_attack_nested_namespace_in_privileged_guest(void **state)
{
	WORLD(g);
	struct start nested = {.cgroup = "a", .unshare = CLONE_NEWUSER, .map = "0 1000 1"};

	guests_make(g, "a");
	guests_record(g, "a", "a", -1);
	guests_start(g, &(struct start){.cgroup = "a"});
	assert_is(g, guests_caller(g, nested, NULL), IDENTITY_E_NOT_ROOT, "a");
}

/* Enters the mount namespace of process *data and connects. */
static int enter_mounts(void *data, int control)
{
	struct move *move = data;
	_cleanup_(closep) int ns = open(move->to, O_RDONLY | O_CLOEXEC);
	struct sockaddr_un address;
	socklen_t size = sizeof(address);
	char c;

	if (ns < 0 || setns(ns, CLONE_NEWNS) < 0 ||
	    getsockname(move->g->listen_fd, (struct sockaddr *)&address, &size) < 0 ||
	    connect(move->fd, (struct sockaddr *)&address, size) < 0 || write(control, "x", 1) != 1)
		return 1;
	return read(control, &c, 1) == 0 ? 0 : 1;
}

static void test_attack_host_process_in_guests_mounts(void **state)
{
	WORLD(g);
	_cleanup_(closep) int fd = guests_socket();
	struct move move = {g, NULL, fd};
	char ns[64];

	guests_make(g, "a");
	guests_make(g, "host");
	guests_record(g, "a", "a", -1);
	snprintf(ns, sizeof(ns), "/proc/%d/ns/mnt",
		 guests_start(g, &(struct start){.cgroup = "a", .unshare = CLONE_NEWNS}));
	move.to = ns;
	guests_start(g, &(struct start){.cgroup = "host", .then = enter_mounts, .data = &move});
	assert_is(g, guests_accept(g), IDENTITY_E_UNKNOWN, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_attack_forged_title),
		WORLD_TEST(test_attack_child_of_another_guest),
		WORLD_TEST(test_attack_passed_descriptor),
		WORLD_TEST(test_attack_reused_pid),
		WORLD_TEST(test_attack_reused_pid_after_an_answer),
		WORLD_TEST(test_attack_reused_cgroup),
		WORLD_TEST(test_attack_nested_cgroup_with_anothers_name),
		WORLD_TEST(test_attack_nested_namespaces),
		WORLD_TEST(test_attack_nested_namespace_in_privileged_guest),
		WORLD_TEST(test_attack_host_process_in_guests_mounts),
	};

	if (!guests_are_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
