/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watching directories, with the real library in a real process: each test runs in a child of its
 * own, where dir_run() is the main thread and an alarm ends what hangs. The child does something, and
 * what is reported is compared with a script of what must be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/wait.h>

#include "scratch.h"
#include "store/dir.h"

#define DEADLINE_S 100 /* a bound, not a wait: the machine may be busy */

/* One step: what is done, and the report that must follow before the next. */
struct step {
	void (*act)(const char *base);
	const char *report;
};

struct script {
	const char *base;
	const struct step *steps; /* ends with a step without act */
	char last[256];
};

static char *path_of(const char *base, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", base, name) < 0)
		abort();
	return path;
}

static void make_dir(const char *base, const char *name)
{
	_cleanup_(freep) char *path = path_of(base, name);

	if (mkdir(path, 0755) < 0)
		abort();
}

static void make_file(const char *base, const char *name)
{
	_cleanup_(freep) char *path = path_of(base, name);
	_cleanup_(fclosep) FILE *f = fopen(path, "we");

	if (!f || fputs("x", f) < 0)
		abort();
}

static void move(const char *base, const char *from, const char *to)
{
	_cleanup_(freep) char *old_path = path_of(base, from), *new_path = path_of(base, to);

	if (rename(old_path, new_path) < 0)
		abort();
}

static void delete_file(const char *base, const char *name)
{
	_cleanup_(freep) char *path = path_of(base, name);

	if (remove(path) < 0)
		abort();
}

/* Does what comes next as soon as the report the last step waited for has been seen. */
static void advance(struct script *s, const char *report)
{
	if (!streq(report, s->steps->report))
		return;
	s->steps++;
	if (!s->steps->act)
		_exit(0);
	s->steps->act(s->base);
}

static void on_changed(void *ctx, size_t tag, const char *name, bool is_open)
{
	char report[512];

	snprintf(report, sizeof(report), "%s %zu %s", is_open ? "created" : "changed", tag, name);
	advance(ctx, report);
}

static void on_rescan(void *ctx, size_t tag)
{
	char report[32];

	snprintf(report, sizeof(report), "rescan %zu", tag);
	advance(ctx, report);
}

static void on_lost(void *ctx, size_t tag, int error)
{
	char report[64];

	snprintf(report, sizeof(report), "lost %zu %s", tag, strerrorname_np(-error));
	advance(ctx, report);
}

static int on_idle(void *ctx)
{
	struct script *s = ctx;

	/* The first step is done when the watches stand. */
	if (!*s->last) {
		snprintf(s->last, sizeof(s->last), "begun");
		s->steps->act(s->base);
	}
	return -1;
}

static void run(void **state, const struct step *steps, void (*before)(const char *base))
{
	_cleanup_(freep) char *a = scratch_path(state, "conf/a"),
			      *b = scratch_path(state, "state/b");
	const char *const paths[] = {a, b};
	struct script script = {.base = *state, .steps = steps};
	const struct dir_handler handler = {on_changed, on_rescan, on_lost, on_idle, &script};
	struct dir_watcher *w;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		return;
	}
	alarm(DEADLINE_S);
	if (before)
		before(*state);
	if (dir_init() < 0 || dir_watch(paths, 2, &handler, &w) < 0)
		_exit(1);
	dir_run(w);
}

static void make_both(const char *base)
{
	make_dir(base, "conf");
	make_dir(base, "conf/a");
	make_dir(base, "state");
	make_dir(base, "state/b");
}

static void write_x(const char *base)
{
	make_file(base, "conf/a/x");
}

static void rename_over_x(const char *base)
{
	make_file(base, "conf/new");
	move(base, "conf/new", "conf/a/x");
}

static void link_y(const char *base)
{
	_cleanup_(freep) char *x = path_of(base, "conf/a/x"), *y = path_of(base, "conf/a/y");

	if (link(x, y) < 0)
		abort();
}

static void delete_x(const char *base)
{
	delete_file(base, "conf/a/x");
}

static void write_b(const char *base)
{
	make_file(base, "state/b/z");
}

static void test_names(void **state)
{
	static const struct step steps[] = {
		{write_x, "changed 0 x"},  {rename_over_x, "changed 0 x"}, {link_y, "created 0 y"},
		{delete_x, "changed 0 x"}, {write_b, "changed 1 z"},       {NULL}};

	run(state, steps, make_both);
}

static void make_conf(const char *base)
{
	make_dir(base, "conf");
	make_dir(base, "conf/a");
}

static void make_b_at_once(const char *base)
{
	make_dir(base, "state");
	make_dir(base, "state/b");
	make_file(base, "state/b/z");
}

static void test_appears_later(void **state)
{
	static const struct step steps[] = {{make_conf, "rescan 0"},
					    {write_x, "changed 0 x"},
					    {make_b_at_once, "rescan 1"},
					    {write_b, "changed 1 z"},
					    {NULL}};

	run(state, steps, NULL);
}

static void remove_a(const char *base)
{
	delete_file(base, "conf/a");
}

static void make_a(const char *base)
{
	make_dir(base, "conf/a");
}

static void remove_and_make_a(const char *base)
{
	delete_file(base, "conf/a/x");
	delete_file(base, "conf/a");
	make_dir(base, "conf/a");
	make_file(base, "conf/a/x");
}

static void test_comes_and_goes(void **state)
{
	static const struct step steps[] = {{remove_a, "lost 0 ENOENT"},
					    {make_a, "rescan 0"},
					    {write_x, "changed 0 x"},
					    {remove_and_make_a, "rescan 0"},
					    {write_x, "changed 0 x"},
					    {remove_and_make_a, "rescan 0"},
					    {write_x, "changed 0 x"},
					    {write_b, "changed 1 z"},
					    {NULL}};

	run(state, steps, make_both);
}

static void move_conf_away(const char *base)
{
	move(base, "conf", "conf.old");
}

static void move_conf_back(const char *base)
{
	move(base, "conf.old", "conf");
}

static void replace_conf(const char *base)
{
	move(base, "conf", "conf.old");
	make_dir(base, "conf");
	make_dir(base, "conf/a");
}

static void test_ancestor_moves(void **state)
{
	static const struct step steps[] = {
		{move_conf_away, "lost 0 ENOENT"}, {move_conf_back, "rescan 0"},
		{write_x, "changed 0 x"},          {replace_conf, "rescan 0"},
		{write_x, "changed 0 x"},          {NULL}};

	run(state, steps, make_both);
}

static void link_to(const char *base, const char *target)
{
	_cleanup_(freep) char *new_path = path_of(base, "conf.new"), *path = path_of(base, "conf");

	if (symlink(target, new_path) < 0 || rename(new_path, path) < 0)
		abort();
}

static void make_releases(const char *base)
{
	make_dir(base, "one");
	make_dir(base, "one/a");
	make_dir(base, "two");
	make_dir(base, "two/a");
	make_dir(base, "state");
	make_dir(base, "state/b");
	link_to(base, "one");
}

static void deploy_two(const char *base)
{
	link_to(base, "two");
}

static void test_link_on_the_way_is_replaced(void **state)
{
	static const struct step steps[] = {{write_x, "changed 0 x"},
					    {deploy_two, "rescan 0"},
					    {write_x, "changed 0 x"},
					    {NULL}};

	run(state, steps, make_releases);
}

/* Both paths lead to one directory. */
static void make_alias(const char *base)
{
	_cleanup_(freep) char *path = path_of(base, "state/b");

	make_dir(base, "conf");
	make_dir(base, "conf/a");
	make_dir(base, "state");
	if (symlink("../conf/a", path) < 0)
		abort();
}

static void test_one_directory_twice(void **state)
{
	static const struct step steps[] = {{write_x, "changed 1 x"},
					    {remove_and_make_a, "rescan 1"},
					    {write_x, "changed 1 x"},
					    {NULL}};

	run(state, steps, make_alias);
}

static void flood(const char *base)
{
	_cleanup_(freep) char *limit = NULL;
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	unsigned long n = 0;
	size_t size = 0;

	if (!f || getline(&limit, &size, f) < 0 || fclose(f) != 0)
		abort();
	for (const char *p = limit; *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (unsigned long)(*p - '0');
	/* The kernel merges equal neighbours: two names in turn. */
	for (unsigned long i = 0; i <= n; i++)
		make_file(base, i % 2 ? "conf/a/x" : "conf/a/y");
}

/* Nobody reads while the child itself makes the events, so the queue does overflow. */
static void test_overflow(void **state)
{
	static const struct step steps[] = {
		{flood, "rescan 0"}, {write_x, "changed 0 x"}, {write_b, "changed 1 z"}, {NULL}};

	run(state, steps, make_both);
}

static int idle_seconds(void *ctx)
{
	int *n_calls = ctx;

	if (++*n_calls == 3)
		_exit(0);
	return 1;
}

static void test_idle_is_called_again(void **state)
{
	_cleanup_(freep) char *path = scratch_path(state, "nowhere");
	const char *const paths[] = {path};
	int n_calls = 0, status;
	struct dir_handler handler = {.idle = idle_seconds, .ctx = &n_calls};
	struct dir_watcher *w;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(DEADLINE_S);
		if (dir_init() < 0 || dir_watch(paths, 1, &handler, &w) < 0)
			_exit(1);
		dir_run(w);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_descriptor_is_not_inherited(void **state)
{
	_cleanup_(freep) char *path = scratch_path(state, "nowhere");
	_cleanup_(dir_freep) struct dir_watcher *w = NULL;
	const char *const paths[] = {path};
	const struct dir_handler handler = {0};
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(dir_init(), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(dir_watch(paths, 1, &handler, &w), 0);
	w = dir_free(w);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_null(dir_free(NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_appears_later),
		TEST(test_comes_and_goes),
		TEST(test_ancestor_moves),
		TEST(test_link_on_the_way_is_replaced),
		TEST(test_one_directory_twice),
		TEST(test_overflow),
		TEST(test_idle_is_called_again),
		TEST(test_descriptor_is_not_inherited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
