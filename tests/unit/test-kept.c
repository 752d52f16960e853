/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kept contents on file: the next worker reads what was written, and nothing that means something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "kept.h"
#include "scratch.h"

#define MOUNT "0123456789abcdef0123456789abcdef"
#define ID    UINT64_C(0x10000000abcdef12)

struct world {
	void *dir;
	int published_fd, fd;
};

static int setup(void **state)
{
	static struct world w;

	*state = &w;
	if (scratch_setup(&w.dir) < 0)
		return -1;
	w.published_fd = open(w.dir, O_RDONLY | O_DIRECTORY);
	w.fd = kept_open(w.published_fd);
	return w.fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->fd);
	close(w->published_fd);
	return scratch_teardown(&w->dir);
}

static struct kept *make(uint64_t id, const char *text, size_t n)
{
	struct kept *k = calloc(1, sizeof(*k) + n);

	assert_non_null(k);
	k->refs = 1;
	k->id = id;
	k->changed_ns = 5;
	k->mode = 0440;
	k->uid = 7;
	k->gid = 8;
	k->size = n;
	memcpy(k->bytes, text, n);
	return k;
}

struct loaded {
	unsigned n;
	struct kept *taken[4];
	bool is_wanted;
};

static void take(void *arg, struct kept **k)
{
	struct loaded *l = arg;

	assert_true(l->n < ARRAY_SIZE(l->taken));
	if (l->is_wanted)
		l->taken[l->n] = steal_ptr(k);
	l->n++;
}

static struct loaded load(const struct world *w, const char *mount_id, bool is_wanted)
{
	struct loaded l = {.is_wanted = is_wanted};

	assert_int_equal(kept_load(w->fd, mount_id, take, &l), 0);
	return l;
}

static void test_round_trip(void **state)
{
	const struct world *w = *state;
	_cleanup_(kept_unrefp) struct kept *empty = make(ID + 1, "", 0);
	_cleanup_(kept_unrefp) struct kept *k = make(ID, "a\0b\n", 4);
	struct loaded l;

	assert_int_equal(kept_save(w->fd, MOUNT, k), 0);
	l = load(w, MOUNT, true);
	assert_int_equal(l.n, 1);
	assert_true(l.taken[0]->id == ID && l.taken[0]->changed_ns == 5 && l.taken[0]->refs == 1);
	assert_int_equal(l.taken[0]->mode, 0440);
	assert_int_equal(l.taken[0]->uid, 7);
	assert_int_equal(l.taken[0]->gid, 8);
	assert_int_equal(l.taken[0]->size, 4);
	assert_memory_equal(l.taken[0]->bytes, "a\0b\n", 4);
	assert_true(l.taken[0]->is_inherited && !k->is_inherited);
	kept_unref(l.taken[0]);
	assert_int_equal(kept_save(w->fd, MOUNT, empty), 0);
	kept_remove(w->fd, ID);
	kept_remove(w->fd, ID);
	l = load(w, MOUNT, true);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.taken[0]->size, 0);
	kept_unref(l.taken[0]);
}

static void test_removed_when_nobody_wants_it(void **state)
{
	const struct world *w = *state;
	_cleanup_(kept_unrefp) struct kept *k = make(ID, "a", 1);

	assert_int_equal(kept_save(w->fd, MOUNT, k), 0);
	assert_int_equal(load(w, MOUNT, false).n, 1);
	assert_int_equal(load(w, MOUNT, false).n, 0);
	/* Of another mount. */
	assert_int_equal(kept_save(w->fd, "another", k), 0);
	assert_int_equal(load(w, MOUNT, true).n, 0);
	assert_int_equal(load(w, "another", true).n, 0);
}

static void test_rubbish(void **state)
{
	const struct world *w = *state;
	_cleanup_(kept_unrefp) struct kept *k = make(ID, "text", 4);
	_cleanup_(freep) char *bytes = NULL;
	struct kept *found = NULL;
	size_t n;

	assert_int_equal(kept_save(w->fd, MOUNT, k), 0);
	assert_int_equal(file_read(w->fd, "1152921507489246994", 4096, &bytes, &n), 0);
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(kept_parse(bytes, cut, MOUNT, ID, &found), -EINVAL);
	assert_int_equal(kept_parse(bytes, n, MOUNT, ID + 1, &found), -EINVAL);
	assert_int_equal(kept_parse(bytes, n, "", ID, &found), 0);
	/* Under the name of another, under no name, too large. */
	assert_int_equal(file_write(w->fd, "1152921507489246995", 0600, bytes, n, FILE_SYNC_NONE),
			 0);
	assert_int_equal(file_write(w->fd, "01152921507489246994", 0600, bytes, n, FILE_SYNC_NONE),
			 0);
	assert_int_equal(file_write(w->fd, "0", 0600, bytes, n, FILE_SYNC_NONE), 0);
	close(openat(w->fd, "1152921507489246996", O_CREAT | O_WRONLY, 0600));
	assert_int_equal(load(w, MOUNT, false).n, 1);
	assert_int_equal(load(w, MOUNT, false).n, 0);
	assert_int_equal(unlinkat(w->published_fd, "kept", AT_REMOVEDIR), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_when_nobody_wants_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rubbish, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
