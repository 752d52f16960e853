/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The index: what it holds, how nodes are found, listed and named, and every allocation failing once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "core/filename.h"
#include "indexes.h"

static void test_of_a_view(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *x = INDEX(
		f, KEY("user.a", "1"), DEVICE("eth0", "type", "nic"), DEVICE("none", NULL, NULL),
		TEXT(SOURCE_NAME, "web1\n"), TEXT(SOURCE_DEVICES, ""), SOCKET);
	static const char *const paths[] = {"",
					    "config",
					    "devices",
					    "events",
					    "name",
					    "sock",
					    "state",
					    "config/user.a",
					    "devices/eth0",
					    "devices/none",
					    "devices/eth0/type"};

	assert_int_equal(x->n_nodes, ARRAY_SIZE(paths));
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_(buf_finish) struct buf path = {0};

		/* Parents before children, those of one directory side by side and sorted. */
		assert_int_equal(index_path(x, &x->nodes[i], &path), 0);
		assert_string_equal(path.data ?: "", paths[i]);
		assert_ptr_equal(index_at(x, paths[i]), &x->nodes[i]);
		if (x->nodes[i].row != TREE_SOCK)
			assert_ptr_equal(index_find(x, index_id(x, &x->nodes[i])), &x->nodes[i]);
		assert_true(x->nodes[i].changed_ns == INT64_C(1000000000005));
	}
	assert_ptr_equal(index_find(x, tree_id(7, TREE_TOP_LOW)), &x->nodes[0]);
	assert_null(index_find(x, tree_id(7, TREE_OWN_SOCKET_LOW)));
	assert_null(index_child(x, x->nodes, "zzz"));
	assert_null(index_child(x, x->nodes, ""));
	assert_null(index_child(x, index_at(x, "devices/none"), "type"));
}

static void assert_value(const struct index *x, const char *path, const char *value)
{
	const struct index_node *n = index_at(x, path);
	_cleanup_(source_bytes_finish) struct source_bytes bytes = {0};

	assert_int_equal(index_read(x, n, &bytes), 0);
	assert_int_equal(bytes.len, strlen(value));
	assert_int_equal(n->size, strlen(value));
	assert_memory_equal(bytes.at, value, bytes.len);
}

static void test_values(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *x =
		INDEX(f, KEY("user.a", "1"), KEY("a/b%", "odd"), DEVICE("e/0", "t%", "nic"),
		      DEVICE("eth0", "t%", "other"), TEXT(SOURCE_TYPE, "container\n"));

	assert_value(x, "config/user.a", "1");
	assert_value(x, "config/a%2Fb%25", "odd");
	assert_value(x, "devices/e%2F0/t%25", "nic");
	assert_value(x, "devices/eth0/t%25", "other");
	assert_value(x, "type", "container\n");
}

static void assert_access(const struct index *x, const char *path, mode_t mode, uid_t uid,
			  gid_t gid)
{
	mode_t m = 0;
	uid_t u = 77;
	gid_t g = 77;

	assert_int_equal(index_access(x, index_at(x, path), &m, &u, &g), 0);
	assert_int_equal(m, mode);
	assert_int_equal(u, uid);
	assert_int_equal(g, gid);
}

static void test_access(void **state)
{
	struct fake *f = *state;
	struct index_input input = index_input(f);
	const struct source_owner owner = {.is_known = true, .uid = 1000, .gid = 2000};
	_cleanup_(index_unrefp) struct index *x = NULL;

	SHOW(f, "web1", KEY("user.a", "1"), KEY("user.b", "2"), RULE("config/user.b", 0440, 33),
	     TEXT(SOURCE_NAME, "web1\n"), RULE("name", 0777, 33), RULE("state", 0606, 34), SOCKET);
	input.owner = &owner;
	x = index_of(f, input);
	assert_access(x, "", 0555, 1000, 2000);
	assert_access(x, "config", 0555, 1000, 2000);
	assert_access(x, "config/user.a", 0400, 1000, 2000);
	assert_access(x, "config/user.b", 0440, 33, 33);
	assert_access(x, "name", 0444, 1000, 2000); /* no rule is asked for it */
	assert_access(x, "state", 0606, 34, 34);
	assert_access(x, "sock", 0666, 0, 0); /* it is everybody's */
}

/* An id says all there is to a content, and nothing else. */
static void test_ids(void **state)
{
	struct fake *f = *state;
	struct index_input input = index_input(f);
	const struct source_owner owner = {.is_known = true, .uid = 1000};
	_cleanup_(index_unrefp) struct index *a = INDEX(f, KEY("k", "1"), KEY("l", "1"));
	_cleanup_(index_unrefp) struct index *again = INDEX(f, KEY("l", "1"), KEY("k", "1"));
	_cleanup_(index_unrefp) struct index *other = INDEX(f, KEY("k", "2"), KEY("l", "1"));
	_cleanup_(index_unrefp) struct index *ruled =
		INDEX(f, KEY("k", "1"), RULE("config/k", 0440, 0));
	_cleanup_(index_unrefp) struct index *owned = NULL;
	uint64_t id = index_at(a, "config/k")->hash;

	SHOW(f, "web1", KEY("k", "1"));
	input.owner = &owner;
	owned = index_of(f, input);
	assert_true(id == index_at(again, "config/k")->hash);
	assert_true(id != index_at(a, "config/l")->hash);
	assert_true(id != index_at(other, "config/k")->hash);
	assert_true(index_at(a, "config/l")->hash == index_at(other, "config/l")->hash);
	assert_true(id != index_at(ruled, "config/k")->hash);
	assert_true(id != index_at(owned, "config/k")->hash);
	/* A directory is the same whatever is in it and whoever owns it. */
	assert_true(index_at(a, "config")->hash == index_at(owned, "config")->hash);
	assert_int_equal(tree_serial(index_id(a, index_at(a, "config/k"))), 7);
	assert_true(index_generation(index_at(a, "config/k")) == id >> TREE_LOW_BITS);
	assert_true((index_id(a, index_at(a, "config/k")) & TREE_LOW_MASK) == (id & TREE_LOW_MASK));
}

static void test_ids_are_of_the_secret(void **state)
{
	struct fake *f = *state;
	struct index_input input = index_input(f);
	unsigned char secret[SHARED_SECRET_SIZE] = {1, 2, 3};
	_cleanup_(index_unrefp) struct index *a = INDEX(f, KEY("k", "1"));
	_cleanup_(index_unrefp) struct index *b = NULL;

	SHOW(f, "web1", KEY("k", "1"));
	input.secret = secret;
	b = index_of(f, input);
	assert_true(index_at(a, "config/k")->hash != index_at(b, "config/k")->hash);
	assert_true(index_at(a, "config")->hash != index_at(b, "config")->hash);
	assert_true(index_at(a, "")->hash == index_at(b, "")->hash);
}

static void test_sockets(void **state)
{
	struct fake *f = *state;
	struct index_input input = index_input(f);
	_cleanup_(index_unrefp) struct index *shared = NULL, *unbound = NULL, *own = NULL;

	SHOW(f, "web1", SOCKET);
	shared = index_of(f, input);
	assert_true(index_id(shared, index_at(shared, "sock")) == TREE_SOCKET_ID);
	assert_true(index_generation(index_at(shared, "sock")) == 0);
	input.is_socket_bound = false;
	input.is_own_socket_bound = true;
	unbound = index_of(f, input);
	assert_null(index_at(unbound, "sock"));
	assert_true(unbound->is_own_socket_bound && !unbound->is_socket_bound);

	SHOW(f, "web1", OWN_SOCKET);
	own = index_of(f, input);
	assert_true(index_id(own, index_at(own, "sock")) == tree_id(7, TREE_OWN_SOCKET_LOW));
	assert_ptr_equal(index_find(own, tree_id(7, TREE_OWN_SOCKET_LOW)), index_at(own, "sock"));
	assert_true(index_generation(index_at(own, "sock")) == 0);
}

#define FP_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define FP_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void test_images(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *x = NULL, *none = NULL;
	const struct index_node *n, *alias;
	struct source_file file;

	SET_IMAGES(f, {FP_A, "a", "image.tar", "12345", .mtime_ns = 7}, {FP_B, NULL, "b", "1"});
	x = INDEX(f, KEY("k", "1"), IMAGES);
	assert_int_equal(index_at(x, "images")->n_children, 3);
	n = index_at(x, "images/" FP_A "/image.tar");
	alias = index_at(x, "images/a/image.tar");
	assert_true(n->is_shared && n->size == 5 && n->changed_ns == 7);
	assert_true(index_id(x, n) == index_id(x, alias) && tree_id_is_file(index_id(x, n)));
	assert_true(index_generation(n) == 0);
	assert_null(index_find(x, index_id(x, n)));
	assert_true(index_id(x, n) != index_id(x, index_at(x, "images/" FP_B "/b")));
	assert_true(index_at(x, "images/a")->hash != index_at(x, "images/" FP_A)->hash);
	assert_true(index_file(x, alias, &file));
	assert_string_equal(file.fingerprint, FP_A);
	assert_access(x, "images/a/image.tar", 0444, 0, 0);
	none = INDEX(f, KEY("k", "1"));
	assert_null(index_at(none, "images"));
}

/* An image directory is the same node as long as the same files are in it. */
static void test_image_directories(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *before = NULL, *other = NULL, *moved = NULL;

	SET_IMAGES(f, {FP_A, "a", "x", "1", .mtime_ns = 7});
	before = INDEX(f, IMAGES);
	SET_IMAGES(f, {FP_A, "a", "x", "1", .mtime_ns = 8});
	other = INDEX(f, IMAGES);
	SET_IMAGES(f, {FP_A, NULL, "x", "1", .mtime_ns = 7}, {FP_B, "a", "x", "1", .mtime_ns = 7});
	moved = INDEX(f, IMAGES);
	assert_true(index_at(before, "images")->hash == index_at(other, "images")->hash);
	assert_true(index_at(before, "images/a")->hash != index_at(other, "images/a")->hash);
	assert_true(index_at(before, "images/a")->hash != index_at(moved, "images/a")->hash);
	assert_true(index_at(before, "images/" FP_A)->hash ==
		    index_at(moved, "images/" FP_A)->hash);
}

static void test_images_by_mount(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *own = NULL, *restored = NULL;
	const struct index_node *n;

	SET_IMAGES(f, {FP_A, "a", "x", "1"});
	own = INDEX(f, OWN_IMAGES);
	n = index_at(own, "images/" FP_A "/x");
	assert_false(n->is_shared);
	assert_int_equal(tree_serial(index_id(own, n)), 7);
	assert_ptr_equal(index_find(own, index_id(own, n)), n);
	assert_true(index_id(own, n) != index_id(own, index_at(own, "images/a/x")));
	/* As what it was it is also restored. */
	{
		const struct index_kept kept[] = {
			{"images", 100, 1},
			{"images/a", 101, 1},
			{"images/a/own", n->hash, 1},
			{"images/a/shared", TREE_FILE_BIT | 5, 1},
		};

		assert_int_equal(index_restore(kept, ARRAY_SIZE(kept), 7, &restored), 0);
	}
	assert_true(index_id(restored, index_at(restored, "images/a/own")) == index_id(own, n));
	assert_true(index_id(restored, index_at(restored, "images/a/shared")) ==
		    (TREE_FILE_BIT | 5));
}

static void test_hidden(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *x = NULL;
	struct source_bytes bytes;

	fake_hide(f, "web1");
	x = index_of(f, index_input(f));
	assert_true(x->is_hidden);
	assert_int_equal(x->n_nodes, 3);
	assert_non_null(index_at(x, "config"));
	assert_non_null(index_at(x, "devices"));
	assert_null(index_next(x, x->nodes, 0));
	assert_int_equal(index_read(x, x->nodes, &bytes), SOURCE_E_ABSENT);
}

static void test_empty_values_are_absent(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *x =
		INDEX(f, KEY("a", ""), KEY("b/", ""), KEY("c", "1"));

	assert_null(index_at(x, "config/a"));
	assert_null(index_at(x, "config/b%2F"));
	assert_non_null(index_at(x, "config/c"));
	assert_int_equal(index_at(x, "config")->n_children, 1);
}

static void test_names_too_long(void **state)
{
	struct fake *f = *state;
	char fits[FILENAME_MAX_BYTES + 1], larger[FILENAME_MAX_BYTES + 2], slashes[100];
	_cleanup_(index_unrefp) struct index *x = NULL;

	memset(fits, 'x', sizeof(fits));
	memset(larger, 'x', sizeof(larger));
	memset(slashes, '/', sizeof(slashes));
	fits[sizeof(fits) - 1] = larger[sizeof(larger) - 1] = slashes[sizeof(slashes) - 1] = '\0';
	x = INDEX(f, KEY(fits, "1"), KEY(larger, "2"), KEY(slashes, "3"), DEVICE(larger, "t", "n"));
	assert_non_null(index_child(x, index_at(x, "config"), fits));
	assert_int_equal(index_at(x, "config")->n_children, 1);
	assert_int_equal(index_at(x, "devices")->n_children, 0);
}

/* Two devices whose paths have the same low bits with the secret of index_input(), found by trying. */
#define TWIN_A "f8db2"
#define TWIN_B "12c1d9"

static void test_two_with_one_id(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *a = INDEX(f, DEVICE(TWIN_A, "t", "1"));
	_cleanup_(index_unrefp) struct index *b = INDEX(f, DEVICE(TWIN_B, "t", "1"));
	_cleanup_(index_unrefp) struct index *both =
		INDEX(f, DEVICE(TWIN_A, "t", "1"), DEVICE(TWIN_B, "t", "1"));
	const struct index_node *first, *second;
	uint64_t id = index_id(a, index_at(a, "devices/" TWIN_A));

	assert_true(id == index_id(b, index_at(b, "devices/" TWIN_B)));
	/* "12c1d9" is the earlier name. */
	first = index_at(both, "devices/" TWIN_B);
	second = index_at(both, "devices/" TWIN_A);
	assert_true(index_id(both, first) == id);
	assert_true(index_id(both, second) == id + 1);
	assert_ptr_equal(index_find(both, id), first);
	assert_ptr_equal(index_find(both, id + 1), second);
	assert_true(index_generation(first) != index_generation(second));
}

/* Reads a listing to its end as the kernel does; a bit for each of @names, asserted to come once. */
static unsigned list_from(const struct index *x, uint64_t offset, const char *const *names,
			  size_t n)
{
	const struct index_node *dir = index_at(x, "config"), *at;
	unsigned seen = 0;

	while ((at = index_next(x, dir, offset))) {
		assert_true(at->cookie > offset && at->cookie >= INDEX_COOKIE_MIN);
		offset = at->cookie;
		for (size_t i = 0; i < n; i++) {
			if (!streq(names[i], at->name))
				continue;
			assert_false(seen & (1U << i));
			seen |= 1U << i;
		}
	}
	return seen;
}

/* Whatever comes and goes between two reads, the others are seen exactly once. */
static void test_listing_while_it_changes(void **state)
{
	struct fake *f = *state;
	static const char *const stay[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	struct fake_item before[24] = {{0}}, after[24] = {{0}};
	_cleanup_(index_unrefp) struct index *x = NULL, *y = NULL;
	const struct index_node *at;

	for (size_t i = 0; i < 8; i++)
		before[i] = after[i] = KEY(stay[i], "1");
	for (size_t i = 0; i < 8; i++) {
		static const char *const gone[] = {"i", "j", "k", "l", "m", "n", "o", "p"};
		static const char *const come[] = {"q", "r", "s", "t", "u", "v", "w", "x"};

		before[8 + i] = KEY(gone[i], "1");
		after[8 + i] = KEY(come[i], "1");
	}
	fake_show(f, "web1", before);
	x = index_of(f, index_input(f));
	fake_show(f, "web1", after);
	y = index_of(f, index_input(f));
	assert_int_equal(list_from(x, 0, stay, 8), 0xff);
	assert_int_equal(list_from(x, INDEX_COOKIE_MIN - 1, stay, 8), 0xff);
	at = NULL;
	while ((at = index_next(x, index_at(x, "config"), at ? at->cookie : 0))) {
		unsigned seen = 0, rest = list_from(y, at->cookie, stay, 8);
		const struct index_node *e = NULL;

		while (e != at) {
			e = index_next(x, index_at(x, "config"), e ? e->cookie : 0);
			for (size_t i = 0; i < 8; i++)
				seen |= (unsigned)streq(e->name, stay[i]) << i;
		}
		assert_int_equal(seen | rest, 0xff);
		assert_int_equal(seen & rest, 0);
	}
}

static void test_unlisted(void **state)
{
	struct fake *f = *state;
	_cleanup_(index_unrefp) struct index *x =
		INDEX(f, UNLISTED("a", "1"), KEY("b", "1"), UNLISTED("c", "1"), UNLISTED("d", "1"));
	static const char *const names[] = {"a", "b", "c", "d"};

	assert_int_equal(list_from(x, 0, names, 4), 2);
	assert_value(x, "config/a", "1");
	assert_value(x, "config/d", "1");
}

/* Two keys whose paths make one cookie with the secret of index_input(), found by trying. */
static void test_two_with_one_cookie(void **state)
{
	struct fake *f = *state;
	static const char *const names[] = {"8de2", "11148"};
	_cleanup_(index_unrefp) struct index *a = INDEX(f, KEY("8de2", "1"));
	_cleanup_(index_unrefp) struct index *b = INDEX(f, KEY("11148", "1"));
	_cleanup_(index_unrefp) struct index *both = INDEX(f, KEY("8de2", "1"), KEY("11148", "1"));
	uint32_t cookie = index_at(a, "config/8de2")->cookie;

	assert_int_equal(cookie, index_at(b, "config/11148")->cookie);
	assert_int_equal(index_at(both, "config/11148")->cookie, cookie);
	assert_int_equal(index_at(both, "config/8de2")->cookie, cookie + 1);
	assert_int_equal(list_from(both, 0, names, 2), 3);
	assert_int_equal(list_from(both, cookie, names, 2), 1);
}

static void test_restored(void **state)
{
	struct fake *f = *state;
	static const struct index_kept kept[] = {
		{"", TREE_TOP_LOW, 11},  {"config", 100, 22},        {"config/a", 101, 33},
		{"config/a/b", 102, 44}, {"config/dup", 101, 5},     {"devices", 103, 55},
		{"devices//x", 104, 66}, {"devices/eth0", 105, 77},  {"devices/eth0/type", 106, 88},
		{"nothing", 107, 99},    {"nothing/below", 108, 99}, {"sock", 0, 1},
	};
	_cleanup_(index_unrefp) struct index *x = NULL;
	struct source_bytes bytes;

	assert_non_null(f);
	assert_int_equal(index_restore(kept, ARRAY_SIZE(kept), 9, &x), 0);
	assert_int_equal(x->n_nodes, 8);
	assert_true(index_at(x, "")->changed_ns == 11);
	assert_true(index_id(x, index_at(x, "config")) == tree_id(9, 100));
	assert_true(index_id(x, index_at(x, "config/a")) == tree_id(9, 101));
	assert_true(index_id(x, index_at(x, "config/dup")) == tree_id(9, 102));
	assert_true(index_at(x, "devices/eth0/type")->changed_ns == 88);
	assert_true(index_id(x, index_at(x, "sock")) == TREE_SOCKET_ID);
	assert_false(x->is_hidden);
	assert_int_equal(index_read(x, index_at(x, "config/a"), &bytes), SOURCE_E_ABSENT);
	x = index_unref(x);
	assert_int_equal(index_restore(NULL, 0, 9, &x), 0);
	assert_int_equal(x->n_nodes, 1);
}

static void test_references(void **state)
{
	struct fake *f = *state;
	struct index *x = INDEX(f, KEY("k", "1"));

	assert_null(index_unref(NULL));
	assert_null(index_ref(NULL));
	assert_ptr_equal(index_ref(x), x);
	fake_hide(f, "web1");
	assert_null(index_unref(x));
	assert_value(x, "config/k", "1"); /* the view is the index's */
	assert_int_equal(f->n_views, 1);
	assert_null(index_unref(x));
	assert_int_equal(f->n_views, 0);
}

static void test_no_memory(void **state)
{
	struct fake *f = *state;
	struct fake_item items[60] = {{0}};
	char names[58][8];
	struct index_input input = index_input(f);
	_cleanup_(index_unrefp) struct index *x = NULL;
	_cleanup_(index_unrefp) struct index *restored = NULL;
	struct index_kept kept[58] = {{"", 1, 1}};
	int r = 0;

	/* So many that every list grows, half of them with names of their own. */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(names[i], sizeof(names[i]), "%zu%s", i, i % 2 ? "/" : "");
		items[i] = KEY(names[i], "1");
		kept[i] = (struct index_kept){i == 0 ? "config" : "config/x", i, 1};
	}
	items[58] = RULE("config/0", 0444, 0);
	fake_show(f, "web1", items);
	input.instance = fake_get(f, "web1")->instance;
	input.view = f->source.ops->view(f, input.instance);
	ALLOC_WALK(r == -ENOMEM)
	{
		r = index_new(&input, &x);
		assert_int_equal(f->n_views, 1); /* still the caller's when it failed */
	}
	assert_int_equal(r, 0);
	assert_int_equal(x->n_nodes, 58 + 5);
	ALLOC_WALK(r == -ENOMEM)
	r = index_restore(kept, ARRAY_SIZE(kept), 1, &restored);
	assert_int_equal(r, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, indexes_setup, indexes_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_of_a_view),
		TEST(test_values),
		TEST(test_access),
		TEST(test_ids),
		TEST(test_ids_are_of_the_secret),
		TEST(test_sockets),
		TEST(test_images),
		TEST(test_image_directories),
		TEST(test_images_by_mount),
		TEST(test_hidden),
		TEST(test_empty_values_are_absent),
		TEST(test_names_too_long),
		TEST(test_two_with_one_id),
		TEST(test_listing_while_it_changes),
		TEST(test_unlisted),
		TEST(test_two_with_one_cookie),
		TEST(test_restored),
		TEST(test_references),
		TEST(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
