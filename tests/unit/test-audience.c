/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listeners of one thread, on a socket pair and with a clock of our own: when websockets are pinged, given up and closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "core/hub.h"
#include "core/identity.h"
#include "core/limits.h"
#include "front/feed.h"
#include "front/hearer.h"
#include "front/websocket.h"

#define SECOND UINT64_C(1000000)

static _Atomic uint64_t clock_us = 1000 * SECOND;

uint64_t __wrap_now_us(void);
uint64_t __wrap_now_us(void)
{
	return clock_us;
}

/* Somebody on the host who listens with a websocket: no permission is asked of it. */
static struct {
	struct hub *hub;
	struct audience audience;
	struct account account;
	struct caller caller;
	struct hearer *hearer;
	int epoll_fd, ours, theirs;
} world;

static int setup(void **state)
{
	const struct hub_options options = {.fd = -1, .window = EVENTLOG_WINDOW_MIN};
	struct reply_events events = {.types = EVENT_TYPES_ALL, .account = &world.account};
	int pair[2];

	if (hub_new(&options, &world.hub) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	world.ours = pair[0];
	world.theirs = pair[1];
	world.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	world.account = (struct account){.n_event_listeners = 1};
	if (audience_init(&world.audience, NULL, world.epoll_fd) < 0)
		return -1;
	events.log = hub_host_log(world.hub, true);
	hub_end(events.log, &events.cursor);
	world.hearer = hearer_new(&world.audience, &events, &world.caller, NULL, world.ours);
	hearer_upgrade(world.hearer, NULL, NULL, NULL, 0, world.ours, NULL);
	return 0;
}

static int teardown(void **state)
{
	hearer_free(world.hearer);
	audience_finish(&world.audience);
	hub_free(world.hub);
	close(world.epoll_fd);
	close(world.ours);
	close(world.theirs);
	return world.account.n_event_listeners == 0 ? 0 : -1;
}

/* Passes events on until there are none for @ms. */
static void run(int ms)
{
	struct epoll_event event;

	while (epoll_wait(world.epoll_fd, &event, 1, ms) == 1) {
		assert_true(audience_is_event(event.data.ptr));
		audience_event(&world.audience, event.data.ptr);
		ms = 0;
	}
}

static void pass(uint64_t us)
{
	clock_us += us;
	audience_expire(&world.audience, clock_us);
}

static void assert_sent(const char *bytes, size_t n)
{
	char got[256];
	ssize_t done = recv(world.theirs, got, sizeof(got), MSG_DONTWAIT);

	assert_int_equal(done, n);
	assert_memory_equal(got, bytes, n);
}

static void assert_silent(void)
{
	char byte;

	assert_int_equal(recv(world.theirs, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void say(const char *bytes, size_t n)
{
	assert_int_equal(send(world.theirs, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL), n);
	run(0);
}

#define PING       "\x89\0"
#define PONG       "\x8a\x80"
#define MASK       "\0\0\0\0"
#define SENT(text) assert_sent(text, sizeof(text) - 1)
#define SAY(text)  say(text, sizeof(text) - 1)

static bool is_given_up(void)
{
	return world.account.n_event_listeners == 0;
}

static void test_pings(void **state)
{
	SENT(PING);
	pass(9 * SECOND);
	assert_silent();
	pass(1 * SECOND);
	SENT(PING);
	SAY(PONG MASK);
	for (int i = 0; i < 10; i++) {
		pass(10 * SECOND);
		SENT(PING);
		SAY(PONG MASK);
	}
	assert_false(is_given_up());
}

static void test_silence(void **state)
{
	pass(20 * SECOND);
	SAY(PONG MASK);
	pass(34 * SECOND);
	assert_false(is_given_up());
	pass(1 * SECOND);
	assert_true(is_given_up());
	assert_false(audience_has_deadlines(&world.audience));
}

static void test_event(void **state)
{
	char got[4096];
	ssize_t n;

	SENT(PING);
	hub_lifecycle(world.hub, LIFECYCLE_CREATED, "web1", NULL);
	run(20000);
	n = recv(world.theirs, got, sizeof(got), MSG_DONTWAIT);
	assert_true(n > 4);
	assert_int_equal((uint8_t)got[0], 0x81);
	assert_int_equal(got[n - 1], '\n');
	assert_non_null(memmem(got, (size_t)n, "instance-created", 16));
}

static void test_client_closes(void **state)
{
	SENT(PING);
	SAY("\x88\x82" MASK "\x03\xe8");
	SENT("\x88\x02\x03\xe8");
	assert_true(is_given_up());
	/* It does not end the connection: that is done for it. */
	assert_true(audience_has_deadlines(&world.audience));
	pass(1 * SECOND);
	assert_false(audience_has_deadlines(&world.audience));
}

static void test_data(void **state)
{
	SENT(PING);
	SAY("\x82\xff");
	SENT("\x88\x02\x03\xeb");
	SAY("\x7f\xff\xff\xff anything at all");
	assert_sent("", 0);
}

static void test_stopping(void **state)
{
	SENT(PING);
	audience_close(&world.audience);
	SENT("\x88\x02\x03\xe9");
}

static void test_aborted(void **state)
{
	audience_abort(&world.audience);
	assert_true(is_given_up());
	assert_false(audience_has_deadlines(&world.audience));
}

/* Fills the socket with pongs until it takes no more. */
static void stuff(void)
{
	char ping[6 + 125] = "\x89\xfd";

	for (int i = 0; i < 100000 && !world.audience.deadlines[AUDIENCE_WRITE]; i++)
		say(ping, sizeof(ping));
	assert_non_null(world.audience.deadlines[AUDIENCE_WRITE]);
}

static void test_nothing_is_taken(void **state)
{
	stuff();
	pass(4 * SECOND);
	assert_false(is_given_up());
	pass(1 * SECOND);
	assert_true(is_given_up());
}

static void test_little_is_taken(void **state)
{
	static char bytes[1 << 20];

	stuff();
	for (int i = 0; i < 3; i++) {
		pass(4 * SECOND);
		assert_true(recv(world.theirs, bytes, sizeof(bytes), MSG_DONTWAIT) > 0);
		run(0);
		stuff();
		assert_false(is_given_up());
	}
}

static void test_peer_is_gone(void **state)
{
	shutdown(world.theirs, SHUT_RDWR);
	run(0);
	assert_true(is_given_up());
}

static void test_freed_while_woken(void **state)
{
	/* Whether it is with the hub, in between, or in the box: all are waited for. */
	for (int i = 0; i < 200; i++) {
		struct reply_events events = {.types = EVENT_TYPES_ALL};
		struct feed *f;
		const char *bytes;
		size_t n;

		events.log = hub_host_log(world.hub, false);
		hub_end(events.log, &events.cursor);
		f = feed_new(&world.audience.box, &events, true, &world);
		assert_int_equal(feed_next(f, &bytes, &n), FEED_E_NOTHING);
		hub_lifecycle(world.hub, LIFECYCLE_UPDATED, "web1", NULL);
		feed_free(f);
	}
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pings),
		TEST(test_silence),
		TEST(test_event),
		TEST(test_client_closes),
		TEST(test_data),
		TEST(test_stopping),
		TEST(test_aborted),
		TEST(test_nothing_is_taken),
		TEST(test_little_is_taken),
		TEST(test_peer_is_gone),
		TEST(test_freed_while_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
