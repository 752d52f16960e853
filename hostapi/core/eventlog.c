/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event log: lines in memory that outlives the process
 *
 * A head page, then slots of equal size: what is known of the log, its readers, its ring. What says where lines are is written before
 * their room is taken and after they are there, so that a death in between leaves whole lines.
 */
#include "core/eventlog.h"

#include <assert.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC     UINT64_C(0x6c78646576656e74) /* "lxdevent" */
#define VERSION   1
#define PAGE      4096
#define NAME_SIZE 64 /* of an instance, with NUL */
#define GAP_MAX   96 /* bytes of a line that says what is lost */

struct head {
	uint64_t magic;
	uint32_t version, window;
	_Atomic uint32_t n_slots; /* that were used so far: the others are not touched */
};

struct eventlog_slot {
	char name[NAME_SIZE]; /* "": free */
	uint32_t window;
	uint32_t n_readers, first_free; /* no reader below is free */
	uint32_t is_changing;           /* positions, or lines before them, may be halfway */
	uint64_t last_id;
	uint64_t tail, tail_n, end, end_n; /* positions, and lines before them */
	uint64_t base;
	int64_t changed_ns;
	struct eventlog_reader readers[EVENTLOG_READERS_MAX];
};

#define READERS_BITS 12
static_assert(EVENTLOG_READERS_MAX == 1 << READERS_BITS, "ids hold a position");

struct eventlog {
	char *at;
	size_t size;
	struct head *head;
	uint32_t first_free; /* no slot below is free */
};

static size_t round_up(size_t n)
{
	return (n + PAGE - 1) / PAGE * PAGE;
}

static size_t slot_size(uint32_t window)
{
	return round_up(sizeof(struct eventlog_slot)) + window;
}

static char *ring_of(const struct eventlog_slot *s)
{
	return (char *)s + round_up(sizeof(*s));
}

static struct eventlog_slot *slot_at(const struct eventlog *e, uint32_t i)
{
	return (struct eventlog_slot *)(e->at + PAGE + i * slot_size(e->head->window));
}

static uint32_t index_of(const struct eventlog *e, const struct eventlog_slot *s)
{
	return (uint32_t)((size_t)((const char *)s - e->at - PAGE) / slot_size(e->head->window));
}

static size_t total_size(uint32_t window)
{
	return PAGE + EVENTLOG_SLOTS_MAX * slot_size(window);
}

/* Order for whoever finds the memory after us: the processor keeps it, the compiler shall. */
static void keep_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* Reads the head if there is one. Returns 0 with the window, 1 when there is none, or -errno. */
static int find_head(int fd, size_t offset, uint32_t *ret_window)
{
	struct head head;
	struct stat st;
	ssize_t n = pread(fd, &head, sizeof(head), (off_t)offset);

	if (n < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (n == 0)
		return 1;
	if (n != sizeof(head) || head.magic != MAGIC || head.version != VERSION ||
	    head.window < EVENTLOG_WINDOW_MIN || head.window % PAGE != 0 ||
	    offset + total_size(head.window) > (size_t)st.st_size ||
	    head.n_slots > EVENTLOG_SLOTS_MAX)
		return -EINVAL;
	*ret_window = head.window;
	return 0;
}

/* The file ends there. Returns 1: there is nothing, or -errno. */
static int wipe(int fd, size_t offset)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					    (off_t)offset, st.st_size - (off_t)offset) < 0)
		return -errno;
	return 1;
}

static int lay_out(int fd, size_t offset, uint32_t window)
{
	const struct head head = {.magic = MAGIC, .version = VERSION, .window = window};
	off_t size = (off_t)(offset + total_size(window));
	struct stat st;

	if (pwrite(fd, &head, sizeof(head), (off_t)offset) != sizeof(head) || fstat(fd, &st) < 0 ||
	    (st.st_size < size && ftruncate(fd, size) < 0))
		return -errno;
	return 0;
}

/* The bytes from @at on that lie together, before @end. */
static const char *span_at(const struct eventlog_slot *s, uint64_t at, uint64_t end, size_t *ret_n)
{
	size_t from = at % s->window;

	*ret_n = s->window - from < end - at ? s->window - from : (size_t)(end - at);
	return ring_of(s) + from;
}

/* Behind the first newline at or after @at, which there is. */
static uint64_t next_line(const struct eventlog_slot *s, uint64_t at)
{
	while (at < s->end) {
		size_t n;
		const char *from = span_at(s, at, s->end, &n);
		const char *found = memchr(from, '\n', n);

		if (found)
			return at + (uint64_t)(found - from) + 1;
		at += n;
	}
	return s->end;
}

static uint64_t count_lines(const struct eventlog_slot *s, uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	while (from < to) {
		size_t len;
		const char *at = span_at(s, from, to, &len), *end = at + len;

		while ((at = memchr(at, '\n', (size_t)(end - at)))) {
			at++;
			n++;
		}
		from += len;
	}
	return n;
}

static void fix_base(struct eventlog_slot *s)
{
	if (s->base < s->tail)
		s->base = s->tail;
}

/*
 * Whoever changed it died: a line that was counted and is not there is not counted, one that was to go and is there goes. Those are
 * told apart by which are more.
 */
static void mend(struct eventlog_slot *s)
{
	uint64_t n = count_lines(s, s->tail, s->end);

	for (; n > s->end_n - s->tail_n; n--)
		s->tail = next_line(s, s->tail);
	s->end_n = s->tail_n + n;
	fix_base(s);
	keep_order();
	s->is_changing = 0;
}

/* Whether what says where things are can be true: whoever wrote it may have been somebody else's. Contents are text whatever they are. */
static bool is_sound(const struct eventlog *e, const struct eventlog_slot *s)
{
	return memchr(s->name, '\0', sizeof(s->name)) && s->window == e->head->window &&
	       s->tail <= s->end && s->end - s->tail <= s->window && s->end <= INT64_MAX &&
	       s->base <= s->end && s->tail_n <= s->end_n && s->end_n <= INT64_MAX &&
	       s->n_readers <= EVENTLOG_READERS_MAX && s->first_free <= EVENTLOG_READERS_MAX;
}

static void mend_all(struct eventlog *e)
{
	for (struct eventlog_slot *s = NULL; (s = eventlog_next(e, s));) {
		if (!is_sound(e, s))
			eventlog_remove(e, s);
		else if (s->is_changing || s->base < s->tail)
			mend(s);
	}
}

int eventlog_check(int fd, size_t offset)
{
	uint32_t window;
	int r = find_head(fd, offset, &window);

	return r > 0 ? 0 : r;
}

int eventlog_new(int fd, size_t offset, uint32_t window, struct eventlog **ret)
{
	_cleanup_(closep) int own = fd < 0 ? memfd_create("devlxdfs-events", MFD_CLOEXEC) : -1;
	_cleanup_(eventlog_freep) struct eventlog *e = calloc(1, sizeof(*e));
	void *at;
	int r;

	if (!e)
		return -ENOMEM;
	if (fd < 0)
		fd = own;
	if (fd < 0)
		return -errno;
	window = (uint32_t)round_up(window < EVENTLOG_WINDOW_MIN ? EVENTLOG_WINDOW_MIN : window);
	r = find_head(fd, offset, &window);
	if (r == -EINVAL)
		r = wipe(fd, offset);
	if (r > 0)
		r = lay_out(fd, offset, window);
	if (r < 0)
		return r;
	at = mmap(NULL, total_size(window), PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	if (at == MAP_FAILED)
		return -errno;
	(void)madvise(at, total_size(window), MADV_DONTDUMP);
	e->at = at;
	e->size = total_size(window);
	e->head = at;
	mend_all(e);
	*ret = steal_ptr(&e);
	return 0;
}

struct eventlog *eventlog_free(struct eventlog *e)
{
	if (e && e->at)
		munmap(e->at, e->size);
	free(e);
	return NULL;
}

size_t eventlog_size(const struct eventlog *e)
{
	return e->size;
}

struct eventlog_slot *eventlog_slot_new(uint32_t window)
{
	struct eventlog_slot *s;
	void *at;

	window = (uint32_t)round_up(window);
	at = mmap(NULL, slot_size(window), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		  0);
	if (at == MAP_FAILED)
		return NULL;
	s = at;
	s->window = window;
	return s;
}

struct eventlog_slot *eventlog_slot_free(struct eventlog_slot *s)
{
	if (s)
		munmap(s, slot_size(s->window));
	return NULL;
}

int eventlog_add(struct eventlog *e, const char *name, struct eventlog_slot **ret)
{
	uint32_t n = e->head->n_slots, i = e->first_free;
	struct eventlog_slot *s;

	while (i < n && *slot_at(e, i)->name)
		i++;
	e->first_free = i;
	if (i == EVENTLOG_SLOTS_MAX)
		return -ENOSPC;
	s = slot_at(e, i);
	/* Whoever gave it back may have died before it was empty. */
	if (i < n)
		(void)madvise(s, slot_size(e->head->window), MADV_REMOVE);
	else
		e->head->n_slots = n + 1;
	s->window = e->head->window;
	keep_order();
	snprintf(s->name, sizeof(s->name), "%s", name);
	*ret = s;
	return 0;
}

void eventlog_remove(struct eventlog *e, struct eventlog_slot *s)
{
	uint32_t i = index_of(e, s);

	*s->name = '\0';
	keep_order();
	if (i < e->first_free)
		e->first_free = i;
	/* Zeroes, too. */
	(void)madvise(s, slot_size(e->head->window), MADV_REMOVE);
}

struct eventlog_slot *eventlog_next(struct eventlog *e, struct eventlog_slot *s)
{
	uint32_t i = s ? index_of(e, s) + 1 : 0;

	while (i < e->head->n_slots && !*slot_at(e, i)->name)
		i++;
	return i < e->head->n_slots ? slot_at(e, i) : NULL;
}

const char *eventlog_name(const struct eventlog_slot *s)
{
	return s->name;
}

size_t eventlog_line_max(const struct eventlog_slot *s)
{
	return s->window / 4 < EVENTLOG_LINE_MAX ? s->window / 4 : EVENTLOG_LINE_MAX;
}

/* Drops whole lines until @n more bytes make no more than @keep. */
static void make_room(struct eventlog_slot *s, size_t n, size_t keep)
{
	while (s->tail < s->end && s->end + n - s->tail > keep) {
		uint64_t tail = next_line(s, s->tail);

		s->tail_n++;
		keep_order();
		s->tail = tail;
	}
	keep_order();
}

/* Gives back the pages of the ring that hold nothing, between the positions. */
static void give_back(const struct eventlog_slot *s, uint64_t from, uint64_t to)
{
	from = from / PAGE * PAGE;
	to = to / PAGE * PAGE;
	for (; from < to; from += PAGE)
		/* Its beginning may be in a page that is in use again already. */
		if (from + s->window >= s->end)
			(void)madvise(ring_of(s) + from % s->window, PAGE, MADV_REMOVE);
}

static void put(struct eventlog_slot *s, const char *line, size_t n)
{
	size_t from = s->end % s->window, first = s->window - from < n ? s->window - from : n;

	memcpy(ring_of(s) + from, line, first);
	memcpy(ring_of(s), line + first, n - first);
	keep_order();
	s->end_n++;
	keep_order();
	s->end += n;
}

void eventlog_append(struct eventlog_slot *s, const char *line, size_t n, bool is_quiet)
{
	uint64_t tail = s->tail;
	struct timespec now;

	assert(n > 0 && n <= eventlog_line_max(s));
	clock_gettime(CLOCK_REALTIME, &now);
	s->changed_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	s->is_changing = 1;
	keep_order();
	make_room(s, n, is_quiet && n < EVENTLOG_QUIET ? EVENTLOG_QUIET : s->window);
	put(s, line, n);
	if (is_quiet)
		give_back(s, tail, s->tail);
	/* Nothing between is lost to who opens the file now: half of the window is more than the longest line. */
	if (s->end - s->base > s->window)
		s->base = next_line(s, s->end - s->window / 2);
	fix_base(s);
	keep_order();
	s->is_changing = 0;
}

void eventlog_clear(struct eventlog_slot *s)
{
	s->is_changing = 1;
	keep_order();
	s->tail_n = s->end_n;
	keep_order();
	s->tail = s->base = s->end;
	keep_order();
	s->is_changing = 0;
	(void)madvise(ring_of(s), s->window, MADV_REMOVE);
}

struct eventlog_cursor eventlog_begin(const struct eventlog_slot *s)
{
	return (struct eventlog_cursor){s->tail, s->tail_n};
}

struct eventlog_cursor eventlog_end(const struct eventlog_slot *s)
{
	return (struct eventlog_cursor){s->end, s->end_n};
}

size_t eventlog_copy(const struct eventlog_slot *s, uint64_t at, char *bytes, size_t size)
{
	uint64_t end = size < s->end - at ? at + size : s->end;
	size_t done = 0;

	while (at < end) {
		size_t n;
		const char *from = span_at(s, at, end, &n);

		memcpy(bytes + done, from, n);
		done += n;
		at += n;
	}
	return done;
}

size_t eventlog_line_at(const struct eventlog_slot *s, uint64_t at)
{
	return (size_t)(next_line(s, at) - at);
}

uint64_t eventlog_base(const struct eventlog_slot *s)
{
	return s->base;
}

int64_t eventlog_changed_ns(const struct eventlog_slot *s)
{
	return s->changed_ns;
}

struct eventlog_reader *eventlog_open(struct eventlog_slot *s)
{
	uint32_t i = s->first_free;
	struct eventlog_reader *r;

	while (i < EVENTLOG_READERS_MAX && s->readers[i].id)
		i++;
	s->first_free = i;
	if (i == EVENTLOG_READERS_MAX)
		return NULL;
	r = &s->readers[i];
	*r = (struct eventlog_reader){.base = s->base,
				      .n = s->tail_n + count_lines(s, s->tail, s->base)};
	s->last_id++;
	s->n_readers++;
	keep_order();
	r->id = s->last_id << READERS_BITS | i;
	return r;
}

struct eventlog_reader *eventlog_reader(struct eventlog_slot *s, uint64_t id)
{
	struct eventlog_reader *r = &s->readers[id % EVENTLOG_READERS_MAX];

	return id && r->id == id ? r : NULL;
}

void eventlog_close(struct eventlog_slot *s, struct eventlog_reader *r)
{
	uint32_t i = (uint32_t)(r - s->readers);

	*r = (struct eventlog_reader){0};
	s->n_readers--;
	if (i < s->first_free)
		s->first_free = i;
}

size_t eventlog_n_readers(const struct eventlog_slot *s)
{
	return s->n_readers;
}

/* The line in the place of what is lost: made again from what is remembered. Returns its length. */
static size_t make_gap(const struct eventlog_reader *r, char text[GAP_MAX])
{
	int n = snprintf(text, GAP_MAX, "%s{\"type\":\"lost\",\"metadata\":{\"events\":%llu}}\n",
			 r->gap_breaks_line ? "\n" : "", (unsigned long long)r->gap_n);

	return (size_t)n;
}

/* Whether @offset is in the line that says what is lost. */
static bool is_in_gap(const struct eventlog_reader *r, uint64_t offset)
{
	return r->gap_n && offset >= r->gap_at && offset < r->gap_at + r->gap_len;
}

/* The position of @offset, which is not in a gap. */
static uint64_t position_of(const struct eventlog_reader *r, uint64_t offset)
{
	if (r->gap_n && offset >= r->gap_at)
		return r->gap_to + (offset - r->gap_at - r->gap_len);
	return r->base + offset;
}

uint64_t eventlog_position(const struct eventlog_reader *r, uint64_t offset)
{
	return is_in_gap(r, offset) ? r->gap_to : position_of(r, offset);
}

static void open_gap(const struct eventlog_slot *s, struct eventlog_reader *r, uint64_t offset)
{
	struct eventlog_reader gap = *r;
	char text[GAP_MAX];

	gap.gap_at = offset;
	gap.gap_to = s->tail;
	gap.gap_to_n = s->tail_n;
	gap.gap_breaks_line = offset == r->next && r->is_mid_line;
	/* Of a line that it has begun it has lost the rest. */
	gap.gap_n = offset == r->next && s->tail_n > r->n ? s->tail_n - r->n : 1;
	gap.gap_len = (uint16_t)make_gap(&gap, text);
	r->gap_n = 0;
	keep_order();
	*r = gap;
}

static size_t read_gap(struct eventlog_reader *r, uint64_t offset, char *bytes, size_t size)
{
	char text[GAP_MAX];
	size_t len = make_gap(r, text), from = (size_t)(offset - r->gap_at);
	size_t left = from < len ? len - from : 0;
	size_t n = size < left ? size : left;

	memcpy(bytes, text + from, n);
	r->next = offset + n;
	r->n = r->gap_to_n;
	r->is_mid_line = from + n < len;
	return n;
}

size_t eventlog_read(struct eventlog_slot *s, struct eventlog_reader *r, uint64_t offset,
		     char *bytes, size_t size)
{
	uint64_t at;
	size_t n;

	if (size == 0)
		return 0;
	if (!is_in_gap(r, offset) && position_of(r, offset) < s->tail)
		open_gap(s, r, offset);
	if (is_in_gap(r, offset))
		return read_gap(r, offset, bytes, size);
	at = position_of(r, offset);
	n = at < s->end ? eventlog_copy(s, at, bytes, size) : 0;
	if (n == 0)
		return 0;
	if (offset != r->next)
		r->n = s->tail_n + count_lines(s, s->tail, at);
	r->n += count_lines(s, at, at + n);
	r->next = offset + n;
	r->is_mid_line = bytes[n - 1] != '\n';
	return n;
}

bool eventlog_has_more(const struct eventlog_slot *s, const struct eventlog_reader *r)
{
	return is_in_gap(r, r->next) || position_of(r, r->next) < s->end;
}

void eventlog_seek_end(const struct eventlog_slot *s, struct eventlog_reader *r)
{
	r->gap_n = 0;
	r->next = s->end - r->base;
	r->n = s->end_n;
	r->is_mid_line = false;
	r->has_seen_end = true;
}
