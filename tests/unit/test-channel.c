/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages: with a descriptor and without, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "channel.h"

static int pair[2];

static int setup(void **state)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int teardown(void **state)
{
	closep(&pair[0]);
	closep(&pair[1]);
	return 0;
}

static void test_without_a_descriptor(void **state)
{
	const struct channel_message sent = {CHANNEL_FAILED, 77, -EMFILE};
	struct channel_message m = {0};
	int fd = 5;

	assert_int_equal(channel_send(pair[0], sent, -1), 0);
	assert_int_equal(channel_send(pair[0], (struct channel_message){CHANNEL_READY}, -1), 0);
	assert_int_equal(channel_receive(pair[1], &m, &fd), 0);
	assert_memory_equal(&m, &sent, sizeof(m));
	assert_int_equal(fd, -1);
	assert_int_equal(channel_wait(pair[1], &m, &fd), 0);
	assert_int_equal(m.type, CHANNEL_READY);
	assert_int_equal(channel_receive(pair[1], &m, &fd), -EAGAIN);
	assert_int_equal(m.type, CHANNEL_READY);
}

static void test_with_a_descriptor(void **state)
{
	_cleanup_(closep) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_(closep) int fd = -1;
	struct channel_message m;
	struct stat a, b;

	assert_int_equal(channel_send(pair[0], (struct channel_message){CHANNEL_BIND, 3}, null), 0);
	assert_int_equal(channel_receive(pair[1], &m, &fd), 0);
	assert_int_equal(m.type, CHANNEL_BIND);
	assert_int_equal(m.serial, 3);
	assert_true(fd >= 0 && fd != null);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(fstat(null, &b), 0); /* lent */
	assert_true(a.st_rdev == b.st_rdev);
}

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Bytes that are no message, with a descriptor for each of two. */
static void send_garbage(const void *bytes, size_t n)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(2 * sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)bytes, n};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control.space)};

	memcpy(CMSG_DATA(&control.head), pair, sizeof(pair));
	assert_int_equal(sendmsg(pair[0], &m, 0), n);
}

static void test_garbage(void **state)
{
	const struct channel_message unknown = {_CHANNEL_N};
	char larger[sizeof(unknown) + 1] = {0};
	struct channel_message m = {.type = CHANNEL_BOUND};
	unsigned n_fds = count_fds();
	int fd = -7;

	send_garbage(&unknown, sizeof(unknown));
	send_garbage(&unknown, sizeof(unknown) - 1);
	send_garbage(larger, sizeof(larger));
	for (int i = 0; i < 3; i++)
		assert_int_equal(channel_receive(pair[1], &m, &fd), -EPROTO);
	assert_int_equal(m.type, CHANNEL_BOUND);
	assert_int_equal(fd, -7);
	assert_int_equal(count_fds(), n_fds);
	/* The next one is as good as ever. */
	assert_int_equal(channel_send(pair[0], (struct channel_message){CHANNEL_READY}, -1), 0);
	assert_int_equal(channel_receive(pair[1], &m, &fd), 0);
}

static void test_closed(void **state)
{
	struct channel_message m;
	int fd;

	assert_int_equal(channel_send(pair[0], (struct channel_message){CHANNEL_READY}, -1), 0);
	closep(&pair[0]);
	pair[0] = -1;
	assert_int_equal(channel_receive(pair[1], &m, &fd), 0);
	assert_int_equal(channel_receive(pair[1], &m, &fd), -EPIPE);
	assert_int_equal(channel_wait(pair[1], &m, &fd), -EPIPE);
	assert_int_equal(channel_send(pair[1], m, -1), -EPIPE);
	assert_int_equal(channel_send(-1, m, -1), -EBADF);
}

static void test_closed_with_something_unread(void **state)
{
	struct channel_message m;
	int fd;

	assert_int_equal(channel_send(pair[1], (struct channel_message){CHANNEL_READY}, -1), 0);
	closep(&pair[0]);
	pair[0] = -1;
	assert_int_equal(channel_receive(pair[1], &m, &fd), -EPIPE);
}

/* The other end does not read: we do not wait for that. */
static void test_full(void **state)
{
	struct channel_message m = {CHANNEL_READY};
	unsigned n = 0, n_received = 0;
	int fd, r;

	while ((r = channel_send(pair[0], m, -1)) == 0)
		n++;
	assert_int_equal(r, -EAGAIN);
	while (channel_receive(pair[1], &m, &fd) == 0)
		n_received++;
	assert_true(n > 0);
	assert_int_equal(n, n_received);
}

static void *wait_for_one(void *arg)
{
	struct channel_message m = {_CHANNEL_N};
	int fd;

	if (channel_wait(pair[1], &m, &fd) < 0)
		abort();
	return (void *)(uintptr_t)m.serial;
}

static void test_wait(void **state)
{
	pthread_t waiter;
	void *serial;

	assert_int_equal(pthread_create(&waiter, NULL, wait_for_one, NULL), 0);
	assert_int_equal(channel_send(pair[0], (struct channel_message){CHANNEL_READY, 9}, -1), 0);
	pthread_join(waiter, &serial);
	assert_int_equal((uintptr_t)serial, 9);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_without_a_descriptor),
		TEST(test_with_a_descriptor),
		TEST(test_garbage),
		TEST(test_closed),
		TEST(test_closed_with_something_unread),
		TEST(test_full),
		TEST(test_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
