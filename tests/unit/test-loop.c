/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The request loop: nothing is lost, nobody is forgotten, and it ends whatever its threads do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include "core/lock.h"
#include "fairness.h"
#include "journal.h"
#include "loop.h"
#include "tree.h"

#define N_MAX 8192

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int ours, theirs; /* the descriptor's two ends */
	struct journal *journal;
	_Atomic bool is_frozen; /* the clock: then no read seems to have slept */
	uint64_t gone;          /* a request that the kernel does not know; 0: none */
	uint32_t held;          /* requests of this instance wait in process(); 0: none */
	unsigned n_inside;
	size_t n_processed;
	uint64_t processed[N_MAX]; /* unique, in the order of being processed */
	unsigned n_refused;
} world = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

uint64_t __real_now_us(void);
uint64_t __wrap_now_us(void);

uint64_t __wrap_now_us(void)
{
	return world.is_frozen ? 1 : __real_now_us();
}

ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);

ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	const struct fuse_out_header *out = bytes;

	if (fd != world.theirs || !world.gone || out->unique != (world.gone | 1))
		return __real_write(fd, bytes, n);
	errno = ENOENT;
	return -1;
}

static int setup(void **state)
{
	_cleanup_(closep) int journal_fd = -1;
	int pair[2], large = 16 << 20;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
	    journal_make(&journal_fd) < 0 || journal_new(journal_fd, &world.journal) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large)) < 0)
			setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
	world.ours = pair[0];
	world.theirs = pair[1];
	world.n_processed = 0;
	world.n_refused = 0;
	world.is_frozen = false;
	world.held = 0;
	world.gone = 0;
	return fcntl(world.ours, F_SETFL, O_NONBLOCK);
}

static int teardown(void **state)
{
	close(world.ours);
	close(world.theirs);
	world.journal = journal_free(world.journal);
	return 0;
}

static bool is_answered(uint32_t opcode)
{
	return opcode != FUSE_FORGET && opcode != FUSE_INTERRUPT;
}

static void process(void *ctx, void *request, size_t n)
{
	struct fuse_in_header head;

	if (ctx != &world || n < sizeof(head))
		abort();
	memcpy(&head, request, sizeof(head));
	if (head.len != n)
		abort();
	memset(request, 0xff, n);
	{
		LOCK_HOLD(&world.lock);

		world.processed[world.n_processed++ % N_MAX] = head.unique;
		world.n_inside++;
		pthread_cond_broadcast(&world.changed);
		while (world.held && tree_serial(head.nodeid) == world.held)
			pthread_cond_wait(&world.changed, &world.lock);
		world.n_inside--;
	}
	if (is_answered(head.opcode)) {
		const struct fuse_out_header out = {.len = sizeof(out), .unique = head.unique};

		if (write(world.theirs, &out, sizeof(out)) != sizeof(out))
			abort();
	}
}

static void refused(void *ctx, uint32_t serial)
{
	LOCK_HOLD(&world.lock);

	if (ctx != &world || serial != 1)
		abort();
	world.n_refused++;
}

static struct loop *start_over(unsigned n_threads, bool is_taking_up)
{
	const struct loop_options options = {.fuse_fd = world.theirs,
					     .journal = world.journal,
					     .is_taking_up = is_taking_up,
					     .n_threads = n_threads,
					     .process = process,
					     .refused = refused,
					     .ctx = &world};
	struct loop *l = NULL;

	assert_int_equal(loop_new(&options, &l), 0);
	return l;
}

static struct loop *start(unsigned n_threads)
{
	return start_over(n_threads, false);
}

static void ask(uint32_t serial, uint32_t opcode, uint64_t unique)
{
	struct {
		struct fuse_in_header head;
		char bytes[100];
	} m = {{.len = sizeof(m.head) + (uint32_t)(unique % 100),
		.opcode = opcode,
		.unique = unique,
		.nodeid = tree_id(serial, 1)}};

	assert_int_equal(send(world.ours, &m, m.head.len, 0), m.head.len);
}

/* The next answer, waited for. Returns its errno. */
static int take(uint64_t *ret_unique)
{
	struct fuse_out_header out;
	struct pollfd wanted = {.fd = world.ours, .events = POLLIN};

	assert_int_equal(poll(&wanted, 1, -1), 1);
	assert_int_equal(read(world.ours, &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.len, sizeof(out));
	*ret_unique = out.unique;
	return -out.error;
}

static void hold(uint32_t serial)
{
	LOCK_HOLD(&world.lock);

	world.held = serial;
	pthread_cond_broadcast(&world.changed);
}

static void wait_inside(unsigned n)
{
	LOCK_HOLD(&world.lock);

	while (world.n_inside != n)
		pthread_cond_wait(&world.changed, &world.lock);
}

static void test_all_are_answered(void **state)
{
	static unsigned char n_answers[4000];
	struct loop *l = start(3);
	uint64_t unique;

	memset(n_answers, 0, sizeof(n_answers));
	for (uint64_t i = 0; i < ARRAY_SIZE(n_answers); i++) {
		ask((uint32_t)(i % 7), FUSE_LOOKUP, i);
		if (i % 3 == 0)
			ask(1, FUSE_FORGET, 100000 + i);
		if (i % 5 == 0)
			ask(1, FUSE_INTERRUPT, 200000 + i);
		if (i % 11 == 0)
			assert_int_equal(send(world.ours, "short", 5, 0), 5);
		/* Now and then all is quiet. */
		while (i % 100 == 99 && recv(world.ours, NULL, 0, MSG_PEEK | MSG_DONTWAIT) == 0) {
			assert_int_equal(take(&unique), 0);
			n_answers[unique]++;
		}
	}
	for (size_t n = 0; n < ARRAY_SIZE(n_answers);) {
		n = 0;
		for (size_t i = 0; i < ARRAY_SIZE(n_answers); i++)
			n += n_answers[i];
		if (n < ARRAY_SIZE(n_answers)) {
			assert_int_equal(take(&unique), 0);
			assert_true(unique < ARRAY_SIZE(n_answers));
			n_answers[unique]++;
		}
	}
	assert_null(loop_free(l));
	for (size_t i = 0; i < ARRAY_SIZE(n_answers); i++)
		assert_int_equal(n_answers[i], 1);
	assert_int_equal(world.n_processed, 4000 + 1334 + 800); /* and FORGET, INTERRUPT */
	assert_int_equal(recv(world.ours, NULL, 0, MSG_DONTWAIT), -1);
	assert_null(loop_free(NULL));
}

/* As many are answered before it is noticed that there is a queue. */
#define N_UNNOTICED 31

/* All at once, with a clock by which no read sleeps: what is beyond the limit is refused, but not FORGET. */
static void test_limit(void **state)
{
	unsigned n_answered = 0, n_refused = 0;
	struct loop *l;
	uint64_t unique;

	world.is_frozen = true;
	for (uint64_t i = 0; i < 1200; i++)
		ask(1, FUSE_LOOKUP, i);
	ask(1, FUSE_FORGET, 10000);
	ask(2, FUSE_LOOKUP, 10001);
	l = start(1);
	for (unsigned i = 0; i < 1201; i++) {
		int r = take(&unique);

		assert_true(r == 0 || r == EAGAIN);
		if (r == EAGAIN)
			assert_true(unique == N_UNNOTICED + FAIRNESS_MAX + n_refused++);
		else
			n_answered++;
	}
	loop_free(l);
	assert_int_equal(n_refused, 1200 - N_UNNOTICED - FAIRNESS_MAX);
	assert_int_equal(world.n_refused, n_refused);
	assert_int_equal(n_answered, N_UNNOTICED + FAIRNESS_MAX + 1);
	/* What nobody waits for was done while the queue was read; the neighbour is in the first round. */
	assert_int_equal(world.processed[N_UNNOTICED], 10000);
	assert_int_equal(world.processed[N_UNNOTICED + 1], N_UNNOTICED);
	assert_int_equal(world.processed[N_UNNOTICED + 2], 10001);
	assert_int_equal(world.processed[N_UNNOTICED + 3], N_UNNOTICED + 1);
}

/* Writing the state may wait: others are served meanwhile. */
static void test_neighbour_of_a_writer(void **state)
{
	struct loop *l = start(2);
	uint64_t unique;

	hold(1);
	ask(1, FUSE_WRITE, 1);
	wait_inside(1);
	for (uint64_t i = 2; i < 20; i++) {
		ask(2, FUSE_LOOKUP, i);
		assert_int_equal(take(&unique), 0);
		assert_int_equal(unique, i);
	}
	hold(0);
	assert_int_equal(take(&unique), 0);
	assert_int_equal(unique, 1);
	loop_free(l);
}

static void *end(void *l)
{
	return loop_free(l);
}

/* Whether the descriptor was made non-blocking for good: the end has begun. */
static void wait_for_end(void)
{
	while (!(fcntl(world.theirs, F_GETFL) & O_NONBLOCK))
		sched_yield();
}

static void test_end_answers_what_was_read(void **state)
{
	struct loop *l = start(2);
	uint64_t unique;
	pthread_t ender;

	hold(1);
	ask(1, FUSE_LOOKUP, 1);
	wait_inside(1);
	assert_int_equal(pthread_create(&ender, NULL, end, l), 0);
	wait_for_end();
	ask(1, FUSE_LOOKUP, 2); /* the next worker's */
	hold(0);
	pthread_join(ender, NULL);
	assert_int_equal(take(&unique), 0);
	assert_int_equal(unique, 1);
	assert_int_equal(recv(world.ours, NULL, 0, MSG_DONTWAIT), -1);
	l = start(1);
	assert_int_equal(take(&unique), 0);
	assert_int_equal(unique, 2);
	loop_free(l);
}

/* Requests that are left, answers that were given: each request is one or the other. */
static unsigned count(int fd, char *seen, size_t n_max)
{
	union {
		struct fuse_in_header in;
		struct fuse_out_header out;
		char bytes[200];
	} m;
	unsigned n = 0;

	while (recv(fd, &m, sizeof(m), MSG_DONTWAIT) > 0) {
		uint64_t unique = fd == world.ours ? m.out.unique : m.in.unique;

		assert_true(unique < n_max);
		assert_int_equal(seen[unique]++, 0);
		n++;
	}
	return n;
}

/* Ended while its threads sleep, poll, drain or stand by, again and again. */
static void test_end_at_any_moment(void **state)
{
	unsigned n_left = 0, seed = 1;

	for (int round = 0; round < 1000; round++) {
		uint64_t n = (uint64_t)rand_r(&seed) % 30,
			 before = n ? (uint64_t)rand_r(&seed) % n : 0;
		char seen[30] = {0};
		struct loop *l;

		world.is_frozen = round % 2;
		for (uint64_t i = 0; i < before; i++)
			ask((uint32_t)(i % 3), FUSE_LOOKUP, i);
		l = start(1 + (unsigned)round % 4);
		for (uint64_t i = before; i < n; i++)
			ask((uint32_t)(i % 3), i % 5 ? FUSE_LOOKUP : FUSE_WRITE, i);
		if (round % 3 == 0)
			sched_yield();
		loop_free(l);
		n -= count(world.ours, seen, sizeof(seen));
		n_left += n != 0;
		assert_int_equal(count(world.theirs, seen, sizeof(seen)), n);
	}
	assert_true(n_left > 0); /* else this shows nothing */
}

/* What a worker has left that died over it. */
static void leave(unsigned reader, uint32_t opcode, uint64_t unique)
{
	const struct fuse_in_header head = {
		.len = sizeof(head), .opcode = opcode, .unique = unique, .nodeid = tree_id(1, 1)};

	memcpy(journal_reader(world.journal, reader), &head, sizeof(head));
}

/* The kernel is asked of each whether it waits still; interrupts it sends again itself. */
static void test_take_up(void **state)
{
	unsigned n_asked = 0, n_answered = 0;
	struct fuse_out_header out;
	struct loop *l;

	leave(0, FUSE_LOOKUP, 4);
	leave(1, FUSE_INTERRUPT, 5);
	leave(2, FUSE_RELEASE, 8);
	leave(3, FUSE_LOOKUP, 10);
	world.gone = 10;
	l = start_over(2, true);
	while (n_asked + n_answered < 5) {
		struct pollfd wanted = {.fd = world.ours, .events = POLLIN};

		assert_int_equal(poll(&wanted, 1, -1), 1);
		assert_int_equal(read(world.ours, &out, sizeof(out)), sizeof(out));
		if (out.error == -EAGAIN)
			assert_true(out.unique == (n_asked++ < 2 ? 5 : 9));
		else
			assert_true(out.unique == 4 || out.unique == 8);
		n_answered += out.error == 0;
	}
	assert_int_equal(n_answered, 2);
	loop_free(l);
	/* Nothing is left to the next one, and it is not served when the kernel sends requests again. */
	leave(0, FUSE_LOOKUP, 12);
	loop_free(start(2));
	loop_free(start_over(2, true));
	assert_int_equal(world.n_processed, 2);
	assert_int_equal(recv(world.ours, NULL, 0, MSG_DONTWAIT), -1);
}

static void test_resend(void **state)
{
	struct fuse_out_header out = {0};

	assert_int_equal(loop_resend(world.theirs), 0);
	assert_int_equal(read(world.ours, &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.error, 7);
	assert_int_equal(out.unique, 0);
	assert_int_equal(out.len, sizeof(out));
	assert_int_equal(loop_resend(-1), -EBADF);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_are_answered),
		TEST(test_limit),
		TEST(test_neighbour_of_a_writer),
		TEST(test_end_answers_what_was_read),
		TEST(test_end_at_any_moment),
		TEST(test_take_up),
		TEST(test_resend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
