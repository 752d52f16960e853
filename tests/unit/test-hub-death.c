/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A death at every instruction of a change: the next hub loses no line and makes none twice
 *
 * A child publishes, one instruction at a time. Whenever that has changed the memory that outlives it, a copy of this is what a hub
 * finds that takes over at that moment.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "core/diff.h"
#include "core/hub-private.h"
#include "core/instance.h"
#include "core/published-private.h"
#include "core/registry.h"
#include "records.h"

/* Of each piece of memory this much says whether it has changed: what is longer is the journal, whose head comes first. */
#define LOOKED_AT 16384
/* More than the memory has, most of it holes. */
#define MAPPED (64UL << 30)

struct scene {
	/* In the child: what was before, and the change. */
	void (*before)(struct hub *h);
	void (*after)(struct hub *h);
	struct snapshot *old_snapshot, *new_snapshot;
	/* What a hub that takes over then finds, and must say. */
	void (*check)(const struct scene *s, int fd);
};

/* What the memory has, as pieces: where, how long, bytes. */
static void dump(int fd, struct buf *b)
{
	off_t end = 0, at;

	b->len = 0;
	while ((at = lseek(fd, end, SEEK_DATA)) >= 0) {
		size_t n;

		end = lseek(fd, at, SEEK_HOLE);
		n = (size_t)(end - at);
		if (buf_append(b, &at, sizeof(at)) < 0 || buf_append(b, &n, sizeof(n)) < 0 ||
		    buf_reserve(b, n) < 0 || pread(fd, b->data + b->len, n, at) != (ssize_t)n)
			abort();
		b->len += n;
	}
}

static int copy_of(int fd)
{
	_cleanup_(buf_finish) struct buf b = {0};
	int copy = memfd_create("copy", MFD_CLOEXEC);

	assert_int_equal(ftruncate(copy, lseek(fd, 0, SEEK_END)), 0);
	dump(fd, &b);
	for (size_t i = 0; i < b.len;) {
		off_t at;
		size_t n;

		memcpy(&at, b.data + i, sizeof(at));
		memcpy(&n, b.data + i + sizeof(at), sizeof(n));
		i += sizeof(at) + sizeof(n);
		assert_int_equal(pwrite(copy, b.data + i, n, at), n);
		i += n;
	}
	return copy;
}

/* The memory as it was looked at last. */
struct watch {
	int fd;
	char *at;
	blkcnt_t blocks;
	struct {
		off_t at;
		size_t n;
	} pieces[64];
	size_t n_pieces;
	struct buf seen;
};

static void watch_init(struct watch *w, int fd)
{
	*w = (struct watch){.fd = fd, .blocks = -1};
	w->at = mmap(NULL, MAPPED, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	assert_ptr_not_equal(w->at, MAP_FAILED);
}

static void watch_finish(struct watch *w)
{
	munmap(w->at, MAPPED);
	buf_finish(&w->seen);
}

static bool watch_is_changed(const struct watch *w)
{
	struct stat st;
	size_t done = 0;

	if (fstat(w->fd, &st) < 0 || st.st_blocks != w->blocks)
		return true;
	for (size_t i = 0; i < w->n_pieces; done += w->pieces[i++].n)
		if (memcmp(w->at + w->pieces[i].at, w->seen.data + done, w->pieces[i].n) != 0)
			return true;
	return false;
}

static void watch_look(struct watch *w)
{
	off_t end = 0, at;
	struct stat st;

	w->seen.len = w->n_pieces = 0;
	while ((at = lseek(w->fd, end, SEEK_DATA)) >= 0) {
		size_t n;

		end = lseek(w->fd, at, SEEK_HOLE);
		n = end - at < LOOKED_AT ? (size_t)(end - at) : LOOKED_AT;
		assert_in_range(w->n_pieces, 0, ARRAY_SIZE(w->pieces) - 1);
		w->pieces[w->n_pieces].at = at;
		w->pieces[w->n_pieces++].n = n;
		assert_int_equal(buf_append(&w->seen, w->at + at, n), 0);
	}
	assert_int_equal(fstat(w->fd, &st), 0);
	w->blocks = st.st_blocks;
}

static struct hub *open_hub(int fd)
{
	struct hub *h = NULL;

	if (hub_new(&(struct hub_options){.fd = fd}, &h) < 0)
		abort();
	return h;
}

static void put_in_force(struct registry *r, struct snapshot *s)
{
	_cleanup_(diff_freep) struct diff *d = NULL;

	if (registry_publish(r, s, &d) < 0)
		abort();
}

/* Takes the memory over with @s (NULL: none) in the registry. Returns what the log then has, without times; NULL: there is no log. */
static char *take_over(int fd, struct snapshot *s)
{
	_cleanup_(registry_freep) struct registry *registry = registry_new();
	_cleanup_(hub_freep) struct hub *h = open_hub(fd);
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	_cleanup_(hub_log_unrefp) struct hub_log *l = NULL;
	_cleanup_(freep) char *bytes = malloc(256 * 1024);
	_cleanup_(buf_finish) struct buf said = {0};
	struct eventlog_cursor c = {0};
	struct hub_stats stats;
	ssize_t n;

	if (s)
		put_in_force(registry, s);
	assert_int_equal(hub_take_up(h, registry, NULL, NULL), 0);
	hub_count(h, &stats);
	if (stats.n_logs == 0)
		return NULL;
	assert_int_equal(hub_log_of(h, i, &l), 0);
	while ((n = hub_read(l, &c, EVENT_TYPES_ALL, bytes, 256 * 1024)) == -ENODATA)
		hub_skip_lost(l, &c);
	assert_true(n >= 0);
	assert_int_equal(buf_puts(&said, ""), 0);
	bytes[n] = '\0';
	for (char *line = strtok(bytes, "\n"); line; line = strtok(NULL, "\n"))
		if (!strstr(line, "log-started"))
			assert_true(buf_printf(&said, "%s\n", strstr(line, "\"metadata\"")) >= 0);
	hub_end(l, &c);
	assert_true(buf_printf(&said, "%lu lines\n", (unsigned long)c.n) >= 0);
	return buf_steal(&said, &(size_t){0});
}

/* Both what the first hub says and what one after that does: there is nothing left to do. */
static char *take_over_twice(int fd, struct snapshot *s)
{
	_cleanup_(freep) char *first = take_over(fd, s), *again = take_over(fd, s);

	if (first)
		assert_string_equal(first, again);
	else
		assert_null(again);
	return steal_ptr(&first);
}

static void be_child(const struct scene *s, int fd)
{
	struct hub *h = open_hub(fd);
	struct registry *registry = registry_new();
	struct diff *d = NULL;

	if (s->old_snapshot)
		put_in_force(registry, s->old_snapshot);
	if (hub_take_up(h, registry, NULL, NULL) < 0 ||
	    diff_new(s->old_snapshot, s->new_snapshot, &d) < 0)
		_exit(1);
	if (s->before)
		s->before(h);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	hub_changed(h, d, NULL, NULL);
	if (s->after)
		s->after(h);
	raise(SIGSTOP);
	_exit(0);
}

/* True: it has done one more instruction. */
static bool step(pid_t child)
{
	int status;

	if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0 ||
	    waitpid(child, &status, __WALL) != child)
		abort();
	assert_true(WIFSTOPPED(status));
	return WSTOPSIG(status) != SIGSTOP;
}

static void run(const struct scene *s)
{
	_cleanup_(closep) int fd = memfd_create("test", MFD_CLOEXEC);
	struct watch w;
	const char *is_long = getenv("LONG");
	/* Every state in the long run, else some of them, other ones each time. */
	size_t stride = is_long && streq(is_long, "1") ? 1 : 7,
	       n_states = (size_t)getpid() % stride;
	size_t n_checked = 0;
	int status;
	pid_t child = fork();

	if (child == 0)
		be_child(s, fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	watch_init(&w, fd);
	do {
		_cleanup_(closep) int copy = -1;

		if (!watch_is_changed(&w))
			continue;
		watch_look(&w);
		if (n_states++ % stride != 0)
			continue;
		copy = copy_of(fd);
		s->check(s, copy);
		n_checked++;
	} while (step(child));
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	watch_finish(&w);
	print_message("%zu of %zu states\n", n_checked, n_states);
	assert_true(n_states > 10 && n_checked > 0);
}

static struct snapshot *snapshot(const char *const *config)
{
	return records_snapshot(records_new("web1", config), NULL);
}

#define A_CHANGED "\"metadata\":{\"key\":\"user.a\",\"old_value\":\"1\",\"value\":\"2\"}}\n"
#define B_ADDED   "\"metadata\":{\"key\":\"user.b\",\"old_value\":\"\",\"value\":\"new\"}}\n"
#define B_GONE    "\"metadata\":{\"key\":\"user.b\",\"old_value\":\"new\",\"value\":\"\"}}\n"
#define A_BACK    "\"metadata\":{\"key\":\"user.a\",\"old_value\":\"2\",\"value\":\"1\"}}\n"

static void check_change(const struct scene *s, int fd)
{
	_cleanup_(closep) int other = copy_of(fd);
	_cleanup_(freep) char *said = take_over_twice(fd, s->new_snapshot);
	_cleanup_(freep) char *back = take_over_twice(other, s->old_snapshot);

	assert_string_equal(said, A_CHANGED B_ADDED "3 lines\n");
	/* Changed back meanwhile: neither, or both. */
	if (back && !streq(back, "1 lines\n"))
		assert_string_equal(back, A_CHANGED B_ADDED A_BACK B_GONE "5 lines\n");
}

static void test_first_change(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *old = snapshot(PAIRS("user.a", "1"));
	_cleanup_(snapshot_unrefp) struct snapshot *new =
		snapshot(PAIRS("user.a", "2", "user.b", "new"));

	run(&(struct scene){.old_snapshot = old, .new_snapshot = new, .check = check_change});
}

static void open_log(struct hub *h)
{
	struct instance *i = instance_new("web1");
	struct hub_log *l;
	uint64_t id;

	if (hub_log_of(h, i, &l) < 0 || hub_open(l, &id) < 0)
		_exit(1);
}

static void test_change_that_is_listened_to(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *old = snapshot(PAIRS("user.a", "1"));
	_cleanup_(snapshot_unrefp) struct snapshot *new =
		snapshot(PAIRS("user.a", "2", "user.b", "new"));

	run(&(struct scene){.before = open_log,
			    .old_snapshot = old,
			    .new_snapshot = new,
			    .check = check_change});
}

static void change(struct hub *h, struct snapshot *a, struct snapshot *b)
{
	_cleanup_(diff_freep) struct diff *d = NULL;

	if (diff_new(a, b, &d) < 0)
		_exit(1);
	hub_changed(h, d, NULL, NULL);
}

/* The log is full, and so is the journal, but for less than a change: old lines go, and what counts is written again. */
static void fill(struct hub *h)
{
	static char text[1024 * 1024];
	_cleanup_(snapshot_unrefp) struct snapshot *old = snapshot(PAIRS("user.a", "1"));
	_cleanup_(snapshot_unrefp) struct snapshot *new = snapshot(PAIRS("user.a", "11"));
	_cleanup_(snapshot_unrefp) struct snapshot *large = NULL;
	const struct published_head *j = h->published->head;

	open_log(h);
	for (int i = 0; i < 100; i++) {
		change(h, old, new);
		change(h, new, old);
	}
	memset(text, 'x', sizeof(text) - (j->end - j->start) - 250);
	large = snapshot(PAIRS("user.a", "1", "user.large", text));
	change(h, old, large);
	change(h, large, old);
	if (j->start > 0)
		_exit(1);
}

static void was_tidied(struct hub *h)
{
	if (h->published->head->start == 0)
		_exit(1);
}

static void check_full(const struct scene *s, int fd)
{
	_cleanup_(freep) char *said = take_over_twice(fd, s->new_snapshot);
	const char *last = strstr(said, A_CHANGED B_ADDED);

	assert_non_null(last);
	assert_string_equal(last, A_CHANGED B_ADDED "205 lines\n");
}

static void test_change_where_all_is_full(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *old = snapshot(PAIRS("user.a", "1"));
	_cleanup_(snapshot_unrefp) struct snapshot *new =
		snapshot(PAIRS("user.a", "2", "user.b", "new"));

	run(&(struct scene){.before = fill,
			    .after = was_tidied,
			    .old_snapshot = old,
			    .new_snapshot = new,
			    .check = check_full});
}

static void tell_secret(struct hub *h)
{
	_cleanup_(snapshot_unrefp) struct snapshot *old = snapshot(PAIRS("user.a", "1"));

	open_log(h);
	change(h, old, snapshot(PAIRS("user.a", "secret")));
}

static void check_deletion(const struct scene *s, int fd)
{
	_cleanup_(snapshot_unrefp) struct snapshot *another = snapshot(PAIRS("user.a", "another"));
	_cleanup_(closep) int other = copy_of(fd);
	_cleanup_(freep) char *said = take_over_twice(fd, NULL);
	_cleanup_(freep) char *returned = take_over_twice(other, another);

	if (said)
		assert_string_equal(said, "3 lines\n");
	/* There again meanwhile: as another one, or it has changed. */
	if (returned && !streq(returned, "3 lines\n"))
		assert_non_null(strstr(returned,
				       "\"old_value\":\"secret\",\"value\":\"another\"}}\n"
				       "3 lines\n"));
}

static void test_deletion(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *old = snapshot(PAIRS("user.a", "secret"));

	run(&(struct scene){.before = tell_secret, .old_snapshot = old, .check = check_deletion});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_change),
		cmocka_unit_test(test_change_that_is_listened_to),
		cmocka_unit_test(test_change_where_all_is_full),
		cmocka_unit_test(test_deletion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
