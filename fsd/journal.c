/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Journal: requests that were read and not answered yet, in memory that outlives the worker
 *
 * A slot is a request; the length in its header says whether there is one. That of a reader is written by the kernel in read(2), that of
 * a slot aside last, when the rest is there. Which slots are taken is known by the worker only, and by the
 * next one from the lengths.
 */
#include "journal.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/lock.h"

#define MAGIC   UINT64_C(0x6c78646a6f75726e) /* "lxdjourn" */
#define VERSION 1
#define PAGE    4096

/* While so many are aside an instance has its full share, and then a 64th. */
#define PLENTY_MAX   (JOURNAL_N_SMALL / 2)
#define SCARCE_SHARE 64

enum {
	SMALL,
	LARGE,
	N_SIZES,
};

static const struct size {
	size_t slot;
	uint32_t n;
} sizes[N_SIZES] = {
	[SMALL] = {JOURNAL_SMALL_MAX, JOURNAL_N_SMALL},
	[LARGE] = {JOURNAL_REQUEST_MAX, JOURNAL_N_LARGE},
};

struct head {
	uint64_t magic;
	uint32_t version;
	_Atomic uint32_t
		n_used[N_SIZES]; /* slots that were used so far: the others are not touched */
};

/* Slots of one size; all but at and size under the journal's lock. */
struct room {
	char *at;
	const struct size *size;
	_Atomic uint32_t *n_used;
	uint32_t n_taken, first_free; /* no slot in words below is free */
	uint64_t *taken;              /* a bit each */
};

struct journal {
	char *at;
	char *readers;
	pthread_key_t current; /* what the thread answers */
	pthread_mutex_t lock;
	_Atomic uint32_t n_aside; /* small ones */
	struct room rooms[N_SIZES];
};

static_assert(JOURNAL_N_SMALL % 64 == 0 && JOURNAL_N_LARGE % 64 == 0, "whole words of bits");
static_assert(JOURNAL_REQUEST_MAX % PAGE == 0, "slots begin with pages");

static size_t total_size(void)
{
	size_t n = PAGE + JOURNAL_READERS_MAX * JOURNAL_REQUEST_MAX;

	for (size_t i = 0; i < N_SIZES; i++)
		n += sizes[i].slot * sizes[i].n;
	return n;
}

/* Order for whoever finds the memory after us: the processor keeps it, the compiler shall. */
static void keep_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static void cross_out(void *request)
{
	((volatile struct fuse_in_header *)request)->len = 0;
}

static int write_head(int fd)
{
	const struct head head = {.magic = MAGIC, .version = VERSION};

	return pwrite(fd, &head, sizeof(head), 0) != sizeof(head) ? -errno : 0;
}

int journal_make(int *ret_fd)
{
	_cleanup_(closep) int fd =
		memfd_create("devlxdfs-requests", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	/* A worker that made it shorter would end the next one. */
	if (fd < 0 || ftruncate(fd, (off_t)total_size()) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	r = write_head(fd);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

/* What is there is of nobody that we know: it goes. Returns 0, -EINVAL when it is not even that size, or -errno. */
static int wipe(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != (off_t)total_size())
		return -EINVAL;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)total_size()) < 0)
		return -errno;
	return write_head(fd);
}

/* The kernel takes a page that is not there for a failure when the reader is killed meanwhile, and the request with it. */
static void touch_readers(struct journal *j)
{
	for (size_t i = 0; i < JOURNAL_READERS_MAX * JOURNAL_REQUEST_MAX; i += PAGE) {
		volatile char *byte = j->readers + i;

		*byte = *byte;
	}
}

static int map(struct journal *j, int fd)
{
	void *at = mmap(NULL, total_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct head *head = at;

	if (at == MAP_FAILED)
		return -errno;
	j->at = at;
	(void)madvise(at, total_size(), MADV_DONTDUMP);
	j->readers = j->at + PAGE;
	for (size_t i = 0; i < N_SIZES; i++) {
		j->rooms[i].at = i == 0 ? j->readers + JOURNAL_READERS_MAX * JOURNAL_REQUEST_MAX
					: j->rooms[i - 1].at + sizes[i - 1].slot * sizes[i - 1].n;
		j->rooms[i].n_used = &head->n_used[i];
	}
	touch_readers(j);
	return 0;
}

int journal_check(int fd)
{
	struct stat st;
	struct head head;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != (off_t)total_size() || pread(fd, &head, sizeof(head), 0) != sizeof(head))
		return -EINVAL;
	return head.magic == MAGIC && head.version == VERSION ? 0 : -EINVAL;
}

int journal_new(int fd, struct journal **ret)
{
	_cleanup_(journal_freep) struct journal *j = NULL;
	pthread_key_t key;
	int r = journal_check(fd);

	if (r == -EINVAL)
		r = wipe(fd);
	if (r < 0)
		return r;
	r = -pthread_key_create(&key, NULL);
	if (r < 0)
		return r;
	j = calloc(1, sizeof(*j));
	if (!j) {
		pthread_key_delete(key);
		return -ENOMEM;
	}
	j->current = key;
	pthread_mutex_init(&j->lock, NULL);
	for (size_t i = 0; i < N_SIZES; i++) {
		j->rooms[i].size = &sizes[i];
		j->rooms[i].taken = calloc(sizes[i].n / 64, sizeof(uint64_t));
		if (!j->rooms[i].taken)
			return -ENOMEM;
	}
	r = map(j, fd);
	if (r == 0)
		*ret = steal_ptr(&j);
	return r;
}

struct journal *journal_free(struct journal *j)
{
	if (!j)
		return NULL;
	for (size_t i = 0; i < N_SIZES; i++)
		free(j->rooms[i].taken);
	if (j->at)
		munmap(j->at, total_size());
	pthread_mutex_destroy(&j->lock);
	pthread_key_delete(j->current);
	free(j);
	return NULL;
}

/* The room that @request is in; NULL: it is a reader's. */
static struct room *room_of(struct journal *j, const void *request)
{
	const char *at = request;

	for (size_t i = 0; i < N_SIZES; i++) {
		struct room *room = &j->rooms[i];

		if (at >= room->at && at < room->at + room->size->slot * room->size->n)
			return room;
	}
	return NULL;
}

static uint32_t index_in(const struct room *room, const void *request)
{
	return (uint32_t)((size_t)((const char *)request - room->at) / room->size->slot);
}

static void set_taken(struct journal *j, struct room *room, uint32_t i, bool is_taken)
{
	const uint64_t bit = UINT64_C(1) << i % 64;

	if (is_taken)
		room->taken[i / 64] |= bit;
	else
		room->taken[i / 64] &= ~bit;
	room->n_taken += is_taken ? 1 : -1U;
	if (!is_taken && i / 64 < room->first_free)
		room->first_free = i / 64;
	if (room == &j->rooms[SMALL])
		j->n_aside = room->n_taken;
}

/* What a dead worker's readers have read finds room in any case. */
static void *take_slot(struct journal *j, struct room *room, uint32_t reserve)
{
	LOCK_HOLD(&j->lock);
	uint32_t i = room->first_free;

	if (room->n_taken + reserve >= room->size->n)
		return NULL;
	while (room->taken[i] == UINT64_MAX)
		i++;
	room->first_free = i;
	i = i * 64 + (uint32_t)__builtin_ctzll(~room->taken[i]);
	set_taken(j, room, i, true);
	if (i >= *room->n_used)
		*room->n_used = i + 1;
	return room->at + i * room->size->slot;
}

static void *put_aside(struct journal *j, void *request, size_t n, uint32_t reserve)
{
	struct room *room = &j->rooms[n > JOURNAL_SMALL_MAX ? LARGE : SMALL];
	const size_t skip = sizeof(((struct fuse_in_header *)request)->len);
	struct fuse_in_header *head = take_slot(j, room, reserve);

	if (!head)
		return NULL;
	memcpy((char *)head + skip, (char *)request + skip, n - skip);
	keep_order();
	head->len = (uint32_t)n;
	keep_order();
	cross_out(request);
	return head;
}

void *journal_put_aside(struct journal *j, void *request, size_t n)
{
	return put_aside(j, request, n, JOURNAL_READERS_MAX);
}

void *journal_reader(struct journal *j, unsigned i)
{
	assert(i < JOURNAL_READERS_MAX);
	return j->readers + (size_t)i * JOURNAL_REQUEST_MAX;
}

void journal_begin(struct journal *j, void *request)
{
	pthread_setspecific(j->current, request);
}

void journal_end(struct journal *j)
{
	void *request = pthread_getspecific(j->current);

	if (request)
		journal_done(j, request);
}

void *journal_keep(struct journal *j)
{
	struct fuse_in_header *request = pthread_getspecific(j->current);

	assert(request);
	if (!room_of(j, request))
		request = journal_put_aside(j, request, request->len);
	if (request)
		pthread_setspecific(j->current, NULL);
	return request;
}

void journal_done(struct journal *j, void *request)
{
	struct room *room = room_of(j, request);

	cross_out(request);
	if (!room)
		return;
	LOCK_HOLD(&j->lock);

	set_taken(j, room, index_in(room, request), false);
}

unsigned journal_share(struct journal *j, unsigned limit)
{
	unsigned share = limit / SCARCE_SHARE;

	if (j->n_aside < PLENTY_MAX)
		return limit;
	return share ? share : limit ? 1 : 0;
}

struct survivor {
	uint64_t unique;
	struct fuse_in_header *request;
};

/* By age; of one that is in two slots, the one aside first. */
static int compare(const void *a, const void *b)
{
	const struct survivor *x = a, *y = b;

	if (x->unique != y->unique)
		return x->unique < y->unique ? -1 : 1;
	return x->request > y->request ? -1 : 1;
}

/* Notes what is in the slot of @size bytes, unless that is nothing. */
static void consider(struct journal *j, char *slot, size_t size, struct survivor *all, size_t *n)
{
	struct fuse_in_header *head = (void *)slot;
	struct room *room = room_of(j, slot);

	if (head->len == 0)
		return;
	if (head->len < sizeof(*head) || head->len > size || head->opcode == FUSE_INIT) {
		cross_out(head);
		return;
	}
	if (room)
		set_taken(j, room, index_in(room, slot), true);
	all[(*n)++] = (struct survivor){head->unique, head};
}

/* Returns how many; @all has room for what was ever used. */
static size_t collect(struct journal *j, struct survivor *all)
{
	size_t n = 0;

	for (unsigned i = 0; i < JOURNAL_READERS_MAX; i++)
		consider(j, journal_reader(j, i), JOURNAL_REQUEST_MAX, all, &n);
	for (size_t r = 0; r < N_SIZES; r++)
		for (uint32_t i = 0; i < *j->rooms[r].n_used; i++)
			consider(j, j->rooms[r].at + i * sizes[r].slot, sizes[r].slot, all, &n);
	return n;
}

int journal_take_up(struct journal *j, void (*each)(void *ctx, void *request, size_t n), void *ctx)
{
	_cleanup_(freep) struct survivor *all = NULL;
	size_t n = JOURNAL_READERS_MAX;

	for (size_t i = 0; i < N_SIZES; i++) {
		if (*j->rooms[i].n_used > sizes[i].n)
			*j->rooms[i].n_used = sizes[i].n;
		n += *j->rooms[i].n_used;
	}
	all = calloc(n, sizeof(*all));
	if (!all)
		return -ENOMEM;
	n = collect(j, all);
	qsort(all, n, sizeof(*all), compare);
	for (size_t i = 0; i < n; i++) {
		void *request = all[i].request;
		size_t len = all[i].request->len;

		if (i > 0 && all[i].unique == all[i - 1].unique) {
			journal_done(j, request);
			continue;
		}
		if (!room_of(j, request))
			request = put_aside(j, request, len, 0);
		if (request)
			each(ctx, request, len);
	}
	return 0;
}

void journal_clear(struct journal *j)
{
	struct head *head = (void *)j->at;

	for (size_t r = 0; r < N_SIZES; r++)
		for (uint32_t i = 0; i < *j->rooms[r].n_used && i < sizes[r].n; i++)
			cross_out(j->rooms[r].at + i * sizes[r].slot);
	for (unsigned i = 0; i < JOURNAL_READERS_MAX; i++)
		cross_out(journal_reader(j, i));
	keep_order();
	for (size_t i = 0; i < N_SIZES; i++)
		head->n_used[i] = 0;
	/* Gives the memory back. */
	(void)madvise(j->at + PAGE, total_size() - PAGE, MADV_REMOVE);
	touch_readers(j);
}
