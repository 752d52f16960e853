/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was told, on file: the same is read as was written, and what cannot be read costs nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "base/file.h"
#include "indexes.h"
#include "scratch.h"
#include "told.h"

#define MOUNT "0123456789abcdef0123456789abcdef"

struct world {
	struct fake fake;
	void *dir;
	int fd;
};

static int setup(void **state)
{
	static struct world w;

	fake_init(&w.fake);
	*state = &w;
	if (scratch_setup(&w.dir) < 0)
		return -1;
	w.fd = told_open(w.dir);
	return w.fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->fd);
	return scratch_teardown(&w->dir) ?: fake_finish(&w->fake);
}

/* What told_load() gave. */
struct loaded {
	unsigned n;
	char names[8][80];
	uint32_t serials[8];
	struct index *indexes[8];
	int r; /* what to return */
};

static int take(void *arg, const char *name, uint32_t serial, struct index **index)
{
	struct loaded *l = arg;

	assert_in_range(l->n, 0, 7);
	snprintf(l->names[l->n], sizeof(l->names[0]), "%s", name);
	l->serials[l->n] = serial;
	l->indexes[l->n++] = steal_ptr(index);
	return l->r;
}

static void loaded_finish(struct loaded *l)
{
	for (unsigned i = 0; i < l->n; i++)
		index_unref(l->indexes[i]);
}

static void put(struct world *w, const char *file, const char *text)
{
	assert_int_equal(file_write(w->fd, file, 0600, text, strlen(text), FILE_SYNC_NONE), 0);
}

static bool is_there(struct world *w, const char *file)
{
	return faccessat(w->fd, file, F_OK, 0) == 0;
}

static void test_directory(void **state)
{
	struct world *w = *state;
	_cleanup_(closep) int again = told_open(w->dir);
	struct stat st;

	assert_true(again >= 0);
	assert_int_equal(fstat(again, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_true(fcntl(again, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(told_open("/dev/null"), -ENOTDIR);
}

static void test_round_trip(void **state)
{
	struct world *w = *state;
	struct fake *f = &w->fake;
	_cleanup_(loaded_finish) struct loaded l = {0};
	_cleanup_(index_unrefp) struct index *x = INDEX(
		f, KEY("a", "1"), KEY("x y/%\xc3\xa9\n\"\\\x01", "1"), DEVICE("e/0", "k", "1"),
		DEVICE("none", NULL, NULL), TEXT(SOURCE_NAME, "n\n"), SOCKET);

	for (uint32_t i = 0; i < x->n_nodes; i++)
		x->nodes[i].changed_ns = INT64_C(1764060000000000000) + i;
	assert_int_equal(told_save(w->fd, MOUNT, "web1", 7, x), 0);
	assert_int_equal(told_load(w->fd, MOUNT, take, &l), 0);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.names[0], "web1");
	assert_int_equal(l.serials[0], 7);
	assert_int_equal(l.indexes[0]->n_nodes, x->n_nodes);
	assert_null(l.indexes[0]->source);
	for (uint32_t i = 0; i < x->n_nodes; i++) {
		const struct index_node *a = &x->nodes[i], *b = &l.indexes[0]->nodes[i];
		_cleanup_(buf_finish) struct buf path = {0}, path2 = {0};

		assert_int_equal(index_path(x, a, &path), 0);
		assert_int_equal(index_path(l.indexes[0], b, &path2), 0);
		assert_string_equal(path.data ?: "", path2.data ?: "");
		assert_true(a->hash == b->hash && a->changed_ns == b->changed_ns &&
			    a->row == b->row);
		assert_int_equal(a->is_shared, b->is_shared);
	}
}

static void test_nothing_told_yet(void **state)
{
	struct world *w = *state;
	_cleanup_(loaded_finish) struct loaded l = {0};

	assert_int_equal(told_save(w->fd, MOUNT, "web1", TREE_SERIAL_MAX, NULL), 0);
	assert_int_equal(told_load(w->fd, MOUNT, take, &l), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.serials[0], TREE_SERIAL_MAX);
	assert_null(l.indexes[0]);
}

/* Directories that are only there for who is inside are told as gone. */
static void test_hidden(void **state)
{
	struct world *w = *state;
	_cleanup_(loaded_finish) struct loaded l = {0};
	_cleanup_(index_unrefp) struct index *x = NULL;

	fake_hide(&w->fake, "web1");
	x = index_of(&w->fake, index_input(&w->fake));
	assert_int_equal(told_save(w->fd, MOUNT, "web1", 7, x), 0);
	assert_int_equal(told_load(w->fd, MOUNT, take, &l), 0);
	assert_int_equal(l.indexes[0]->n_nodes, 1);
}

static void test_another_mount(void **state)
{
	struct world *w = *state;
	_cleanup_(loaded_finish) struct loaded l = {0};

	assert_int_equal(told_save(w->fd, "another", "web1", 1, NULL), 0);
	assert_int_equal(told_save(w->fd, MOUNT, "web2", 2, NULL), 0);
	assert_int_equal(told_load(w->fd, MOUNT, take, &l), 0);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.names[0], "web2");
	assert_false(is_there(w, "web1.json"));
	assert_true(is_there(w, "web2.json"));
}

/* How many lines told_load() logs. */
static unsigned load_and_count_lines(struct world *w, struct loaded *l)
{
	_cleanup_(closep) int log = memfd_create("log", MFD_CLOEXEC);
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	char text[4096];
	unsigned n_lines = 0;
	ssize_t n;

	assert_true(log >= 0 && saved >= 0);
	dup2(log, STDERR_FILENO);
	assert_int_equal(told_load(w->fd, MOUNT, take, l), 0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(log, text, sizeof(text), 0);
	for (ssize_t i = 0; i < n; i++)
		n_lines += text[i] == '\n';
	return n_lines;
}

static void test_garbage(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"{",
		"[]",
		"null",
		"{}",
		"{\"mount\":\"" MOUNT "\"}",
		"{\"mount\":\"" MOUNT "\",\"serial\":0}",
		"{\"mount\":\"" MOUNT "\",\"serial\":\"1\"}",
		"{\"mount\":\"" MOUNT "\",\"serial\":268435456}",
		"{\"mount\":1,\"serial\":1}",
		"{\"mount\":\"" MOUNT "\",\"mount\":\"" MOUNT "\",\"serial\":1}",
		"{\"mount\":\"" MOUNT "\",\"serial\":1,\"nodes\":{\"\":[1]}}",
		"{\"mount\":\"" MOUNT "\",\"serial\":1,\"nodes\":{\"\":[\"1\",1]}}",
		"{\"mount\":\"" MOUNT "\",\"serial\":1,\"nodes\":{\"\":[1,-1]}}",
		"{\"mount\":\"" MOUNT "\",\"serial\":1,\"nodes\":{\"\":[1,9223372036854775807]}}",
		"{\"mount\":\"" MOUNT "\",\"serial\":1,\"nodes\":{\"\":null}}",
	};
	struct world *w = *state;
	_cleanup_(loaded_finish) struct loaded l = {0};
	char file[32];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(file, sizeof(file), "bad%zu.json", i);
		put(w, file, bad[i]);
	}
	put(w, "good.json", "{\"mount\":\"" MOUNT "\",\"serial\":1,\"more\":2,\"nodes\":[1]}");
	assert_int_equal(load_and_count_lines(w, &l), ARRAY_SIZE(bad));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.names[0], "good");
	assert_null(l.indexes[0]);
	assert_true(is_there(w, "bad0.json"));
}

/* Files that are none of ours, and a name that is no file. */
static void test_other_names(void **state)
{
	static const char good[] = "{\"mount\":\"" MOUNT "\",\"serial\":1}";
	struct world *w = *state;
	_cleanup_(loaded_finish) struct loaded l = {0};
	char longest[64 + sizeof(".json")];

	put(w, ".web1.json.abc123", good);
	put(w, ".json", good);
	put(w, ".hidden.json", good);
	put(w, "web1", good);
	put(w, "web1.json.bak", good);
	put(w, "-web1.json", good);
	put(w, "a b.json", good);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest + 64, ".json", sizeof(".json"));
	put(w, longest, good);
	assert_int_equal(mkdirat(w->fd, "web3.json", 0700), 0);
	assert_int_equal(load_and_count_lines(w, &l), 1); /* of the directory */
	assert_int_equal(l.n, 0);
	put(w, longest + 1, good);
	assert_int_equal(load_and_count_lines(w, &l), 1);
	assert_int_equal(l.n, 1);
	assert_int_equal(strlen(l.names[0]), 63);
	assert_int_equal(told_save(w->fd, MOUNT, "../web1", 1, NULL), -EINVAL);
	assert_int_equal(told_save(w->fd, MOUNT, "", 1, NULL), -EINVAL);
	told_remove(w->fd, "../web1");
	assert_int_equal(unlinkat(w->fd, "web3.json", AT_REMOVEDIR), 0);
}

static void test_stops(void **state)
{
	struct world *w = *state;
	_cleanup_(loaded_finish) struct loaded l = {.r = -ENOMEM};

	assert_int_equal(told_save(w->fd, MOUNT, "web1", 1, NULL), 0);
	assert_int_equal(told_save(w->fd, MOUNT, "web2", 2, NULL), 0);
	assert_int_equal(told_load(w->fd, MOUNT, take, &l), -ENOMEM);
	assert_int_equal(l.n, 1);
	assert_int_equal(told_load(-1, MOUNT, take, &l), -EBADF);
}

static void test_remove(void **state)
{
	struct world *w = *state;

	assert_int_equal(told_save(w->fd, MOUNT, "web1", 1, NULL), 0);
	assert_int_equal(told_save(w->fd, MOUNT, "web1", 2, NULL), 0);
	assert_true(is_there(w, "web1.json"));
	told_remove(w->fd, "web1");
	told_remove(w->fd, "web1");
	assert_false(is_there(w, "web1.json"));
	assert_int_equal(told_save(-1, MOUNT, "web1", 1, NULL), -EBADF);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_directory),   TEST(test_round_trip),    TEST(test_nothing_told_yet),
		TEST(test_hidden),      TEST(test_another_mount), TEST(test_garbage),
		TEST(test_other_names), TEST(test_stops),         TEST(test_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
