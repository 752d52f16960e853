/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal: nothing that was read is lost, whenever its reader dies, and what is no request is harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "journal.h"

struct world {
	int fd;
	struct journal *j;
	/* What the last take-up showed. */
	size_t n;
	struct {
		void *request;
		size_t n;
		uint64_t unique;
	} seen[4096];
};

static int setup(void **state)
{
	static struct world w;

	w = (struct world){.fd = -1};
	*state = &w;
	return journal_make(&w.fd) < 0 || journal_new(w.fd, &w.j) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	journal_free(w->j);
	close(w->fd);
	return 0;
}

/* The length last: for who is killed meanwhile the kernel has written all or nothing. */
static void fill(void *request, uint64_t unique, size_t n)
{
	struct fuse_in_header *head = request;

	memset(&head->opcode, (int)(unique % 251), n - sizeof(head->len));
	head->opcode = FUSE_LOOKUP;
	head->unique = unique;
	atomic_signal_fence(memory_order_seq_cst);
	head->len = (uint32_t)n;
}

static void check(void *request, uint64_t unique, size_t n)
{
	const struct fuse_in_header *head = request;
	const unsigned char *bytes = request;

	assert_int_equal(head->len, n);
	assert_int_equal(head->unique, unique);
	for (size_t i = sizeof(*head); i < n; i++)
		assert_int_equal(bytes[i], unique % 251);
}

/* As the kernel does it. */
static void *read_one(struct world *w, unsigned reader, uint64_t unique, size_t n)
{
	void *request = journal_reader(w->j, reader);

	fill(request, unique, n);
	return request;
}

static void *put_one(struct world *w, uint64_t unique, size_t n)
{
	return journal_put_aside(w->j, read_one(w, 0, unique, n), n);
}

static void see(void *ctx, void *request, size_t n)
{
	struct world *w = ctx;

	assert_true(w->n < ARRAY_SIZE(w->seen));
	w->seen[w->n].request = request;
	w->seen[w->n].n = n;
	w->seen[w->n++].unique = ((struct fuse_in_header *)request)->unique;
}

/* The worker is another one. */
static void take_up(struct world *w)
{
	journal_free(w->j);
	assert_int_equal(journal_new(w->fd, &w->j), 0);
	w->n = 0;
	assert_int_equal(journal_take_up(w->j, see, w), 0);
}

static void test_life_of_a_request(void **state)
{
	struct world *w = *state;
	void *aside;

	take_up(w);
	assert_int_equal(w->n, 0);
	/* Read, and answered. */
	journal_begin(w->j, read_one(w, 3, 10, 100));
	take_up(w);
	assert_int_equal(w->n, 1);
	check(w->seen[0].request, 10, 100);
	assert_ptr_not_equal(w->seen[0].request, journal_reader(w->j, 3));
	journal_begin(w->j, w->seen[0].request);
	journal_end(w->j);
	take_up(w);
	assert_int_equal(w->n, 0);
	journal_begin(w->j, read_one(w, 3, 12, 100));
	journal_end(w->j);
	take_up(w);
	assert_int_equal(w->n, 0);
	/* Put aside, which frees the reader for the next one. */
	aside = put_one(w, 14, 200);
	check(aside, 14, 200);
	assert_int_equal(((struct fuse_in_header *)journal_reader(w->j, 0))->len, 0);
	(void)read_one(w, 0, 16, JOURNAL_REQUEST_MAX);
	take_up(w);
	assert_int_equal(w->n, 2);
	check(w->seen[0].request, 14, 200);
	check(w->seen[1].request, 16, JOURNAL_REQUEST_MAX);
	assert_int_equal(w->seen[1].n, JOURNAL_REQUEST_MAX);
	for (int i = 0; i < 2; i++)
		journal_done(w->j, w->seen[i].request);
	take_up(w);
	assert_int_equal(w->n, 0);
	assert_null(journal_free(NULL));
}

static void test_kept(void **state)
{
	struct world *w = *state;
	void *kept[2], *aside;

	/* From where it was read to. */
	journal_begin(w->j, read_one(w, 0, 20, 80));
	kept[0] = journal_keep(w->j);
	journal_end(w->j);
	check(kept[0], 20, 80);
	/* One that was aside already stays there. */
	aside = put_one(w, 22, 80);
	journal_begin(w->j, aside);
	kept[1] = journal_keep(w->j);
	journal_end(w->j);
	assert_ptr_equal(kept[1], aside);
	take_up(w);
	assert_int_equal(w->n, 2);
	assert_ptr_equal(w->seen[0].request, kept[0]);
	assert_ptr_equal(w->seen[1].request, kept[1]);
	journal_done(w->j, kept[0]);
	take_up(w);
	assert_int_equal(w->n, 1);
	assert_int_equal(w->seen[0].unique, 22);
	/* Answered before whoever began with it has come back. */
	journal_begin(w->j, w->seen[0].request);
	aside = journal_keep(w->j);
	journal_done(w->j, aside);
	assert_ptr_equal(put_one(w, 24, 80), kept[0]);
	assert_ptr_equal(put_one(w, 26, 80), kept[1]);
	journal_end(w->j);
	check(kept[1], 26, 80);
}

static void test_order(void **state)
{
	static const uint64_t uniques[] = {40, 6, 1ULL << 63 | 2, 1000, 8};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(uniques); i++)
		assert_non_null(put_one(w, uniques[i], i % 2 ? 4000 : 100));
	(void)read_one(w, 0, 2, 100);
	(void)read_one(w, 7, 41, 100);
	take_up(w);
	assert_int_equal(w->n, 7);
	for (size_t i = 0; i < 6; i++)
		assert_true(w->seen[i].unique < w->seen[i + 1].unique);
}

/* A death between putting aside and crossing out. */
static void test_twice(void **state)
{
	struct world *w = *state;
	void *aside = put_one(w, 30, 100);

	(void)read_one(w, 0, 30, 100);
	take_up(w);
	assert_int_equal(w->n, 1);
	assert_ptr_equal(w->seen[0].request, aside);
	journal_done(w->j, aside);
	take_up(w);
	assert_int_equal(w->n, 0);
}

/* The lowest first: what was never needed is never touched. */
static void test_memory(void **state)
{
	struct world *w = *state;
	void *first = put_one(w, 2, 100), *second = put_one(w, 4, 100), *large = put_one(w, 6, 600);
	struct stat st;

	assert_true(second > first);
	for (uint64_t i = 0; i < 10000; i++) {
		void *third = put_one(w, 8 + i, 100);

		assert_ptr_equal((char *)third - (char *)second, JOURNAL_SMALL_MAX);
		journal_done(w->j, third);
	}
	journal_done(w->j, first);
	assert_ptr_equal(put_one(w, 10, 100), first);
	journal_done(w->j, large);
	assert_ptr_equal(put_one(w, 12, 16384), large);
	assert_int_equal(fstat(w->fd, &st), 0);
	assert_true(st.st_blocks * 512 <= 4096 + (JOURNAL_READERS_MAX + 1) * 16384 + 4096);
	/* The next worker goes on with what is free. */
	take_up(w);
	assert_int_equal(w->n, 3);
	assert_ptr_equal((char *)put_one(w, 14, 100) - (char *)second, JOURNAL_SMALL_MAX);
	journal_clear(w->j);
	assert_int_equal(fstat(w->fd, &st), 0);
	assert_true(st.st_blocks * 512 <= 4096 + JOURNAL_READERS_MAX * 16384);
	take_up(w);
	assert_int_equal(w->n, 0);
}

static void test_exhaustion(void **state)
{
	struct world *w = *state;
	void *last = NULL, *aside;
	uint64_t n = 0;

	assert_int_equal(journal_share(w->j, 1024), 1024);
	while ((aside = put_one(w, n, 100))) {
		assert_int_equal(journal_share(w->j, 1024), ++n < JOURNAL_N_SMALL / 2 ? 1024 : 16);
		last = aside;
	}
	assert_int_equal(n, JOURNAL_N_SMALL - JOURNAL_READERS_MAX);
	assert_int_equal(journal_share(w->j, 5), 1);
	assert_int_equal(journal_share(w->j, 0), 0);
	/* It stays where it was read to: answered now, or refused. */
	check(journal_reader(w->j, 0), n, 100);
	journal_begin(w->j, journal_reader(w->j, 0));
	assert_null(journal_keep(w->j));
	journal_end(w->j);
	/* Large ones have room of their own. */
	assert_non_null(put_one(w, n, 1000));
	journal_done(w->j, last);
	assert_ptr_equal(put_one(w, n, 100), last);
	for (n = 1; put_one(w, n, 16384); n++)
		continue;
	assert_int_equal(n, JOURNAL_N_LARGE - JOURNAL_READERS_MAX);
}

static void count(void *ctx, void *request, size_t n)
{
	size_t *total = ctx;

	++*total;
}

/* What readers have read has room also when there is none. */
static void test_take_up_when_full(void **state)
{
	struct world *w = *state;
	size_t n = 0;

	while (put_one(w, n, 100))
		n++;
	for (unsigned i = 0; i < JOURNAL_READERS_MAX; i++)
		(void)read_one(w, i, n + i, 100);
	for (int i = 0; i < 2; i++) {
		size_t total = 0;

		journal_free(w->j);
		assert_int_equal(journal_new(w->fd, &w->j), 0);
		assert_int_equal(journal_take_up(w->j, count, &total), 0);
		assert_int_equal(total, JOURNAL_N_SMALL);
	}
}

static void test_rubbish(void **state)
{
	static const uint32_t lengths[] = {
		1, sizeof(struct fuse_in_header) - 1, 513, 16385, 1U << 31, UINT32_MAX};
	struct world *w = *state;
	struct fuse_in_header *slots[ARRAY_SIZE(lengths) + 2];
	unsigned char *memory;
	unsigned seed = 1;
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		slots[i] = put_one(w, 2 * i, 100);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		slots[i]->len = lengths[i];
	slots[ARRAY_SIZE(lengths)]->opcode = FUSE_INIT;
	((struct fuse_in_header *)journal_reader(w->j, 1))->len = 16385;
	take_up(w);
	assert_int_equal(w->n, 1);
	assert_int_equal(w->seen[0].unique, 2 * (ARRAY_SIZE(slots) - 1));
	/* Anything anywhere, but for what says which version it is. */
	assert_int_equal(fstat(w->fd, &st), 0);
	memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	assert_true(memory != MAP_FAILED);
	for (int round = 0; round < 20; round++) {
		size_t n = 0;

		for (size_t i = 12; i < 300000; i++)
			memory[i] = rand_r(&seed) % 4 ? 0 : (unsigned char)rand_r(&seed);
		journal_free(w->j);
		assert_int_equal(journal_new(w->fd, &w->j), 0);
		assert_int_equal(journal_take_up(w->j, count, &n), 0);
	}
	munmap(memory, (size_t)st.st_size);
}

static void test_another_version(void **state)
{
	_cleanup_(closep) int fd = -1;
	struct stat before, after;
	struct journal *j = NULL;

	assert_int_equal(journal_make(&fd), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	/* Of one that a worker uses no byte is touched: not even a page comes to be. */
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(journal_check(fd), 0);
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(before.st_blocks, after.st_blocks);
	assert_int_equal(pwrite(fd, "x", 1, 8), 1);
	assert_int_equal(journal_check(fd), -EINVAL);
	/* What is of another version goes. */
	assert_int_equal(journal_new(fd, &j), 0);
	assert_int_equal(journal_check(fd), 0);
	journal_free(j);
	j = NULL;
	/* Nobody can make it shorter, or longer. */
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(ftruncate(fd, before.st_size + 4096), -1);
	assert_int_equal(journal_new(-1, &j), -EBADF);
	assert_null(j);
}

static void test_no_memory(void **state)
{
	struct world *w = *state;
	struct journal *j = NULL;
	int r = 0;

	assert_non_null(put_one(w, 2, 100));
	ALLOC_WALK(r == -ENOMEM)
	r = journal_new(w->fd, &j);
	assert_int_equal(r, 0);
	w->n = 0;
	ALLOC_WALK(r == -ENOMEM)
	{
		assert_int_equal(w->n, 0);
		r = journal_take_up(j, see, w);
	}
	assert_int_equal(w->n, 1);
	journal_free(j);
}

#define N_READ_MAX 100000

/* Of a worker that dies: what it has read and answered. */
struct done {
	_Atomic uint64_t n_read; /* requests 1, 2, ... */
	_Atomic unsigned char answers[N_READ_MAX + 2];
};

/* In the child: reads, puts aside and answers until it is killed. */
static _Noreturn void work(struct world *w, struct done *d, unsigned seed)
{
	void *aside[64] = {NULL};

	for (uint64_t unique = 1; unique <= N_READ_MAX; unique++) {
		size_t i = (size_t)rand_r(&seed) % ARRAY_SIZE(aside), n = 60 + unique % 40;

		if (aside[i]) {
			d->answers[((struct fuse_in_header *)aside[i])->unique]++;
			journal_done(w->j, aside[i]);
		}
		fill(journal_reader(w->j, 0), unique, n);
		d->n_read = unique;
		aside[i] = journal_put_aside(w->j, journal_reader(w->j, 0), n);
	}
	for (;;)
		pause();
}

/* Killed at any moment: each request is answered, or found by the next one. */
static void test_killed_in_the_middle(void **state)
{
	struct world *w = *state;
	struct done *d =
		mmap(NULL, sizeof(*d), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned seed = 1;

	assert_true(d != MAP_FAILED);
	for (unsigned round = 0; round < 300; round++) {
		uint64_t enough = 64 * 64 + (uint64_t)rand_r(&seed) % 2000;
		pid_t pid;

		memset(d, 0, sizeof(*d));
		pid = fork();
		if (pid == 0)
			work(w, d, round);
		while (d->n_read < enough)
			sched_yield();
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		take_up(w);
		assert_in_range(w->n, 60, 65);
		for (size_t i = 0; i < w->n; i++) {
			check(w->seen[i].request, w->seen[i].unique, w->seen[i].n);
			d->answers[w->seen[i].unique]++;
			journal_done(w->j, w->seen[i].request);
		}
		/* Twice: it died between answering and crossing out. */
		for (uint64_t i = 1; i <= d->n_read; i++)
			assert_in_range(d->answers[i], 1, 2);
	}
	munmap(d, sizeof(*d));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_life_of_a_request),
		TEST(test_kept),
		TEST(test_order),
		TEST(test_twice),
		TEST(test_memory),
		TEST(test_exhaustion),
		TEST(test_take_up_when_full),
		TEST(test_rubbish),
		TEST(test_another_version),
		TEST(test_no_memory),
		TEST(test_killed_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
