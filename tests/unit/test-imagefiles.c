/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Image files: found by number, read from a bounded number of descriptors, never in two ways at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>

#include "alloc.h"
#include "base/cleanup.h"
#include "fakes.h"
#include "imagefiles.h"
#include "shared.h"
#include "tree.h"

struct world {
	struct fake fake;
	struct shared *shared;
	int shared_fd;
	struct imagefiles *files;
	/* Of the kernel. */
	int backing; /* what it says next: a number or -errno */
	unsigned n_opened, n_closed;
	uint64_t closed;
};

#define FP_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define FP_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define A(...)                                                                                     \
	{                                                                                          \
		FP_A, NULL, "a", "12345", ##__VA_ARGS__                                            \
	}
#define B                                                                                          \
	{                                                                                          \
		FP_B, NULL, "b", "6789"                                                            \
	}

static int open_backing(void *ctx, uint64_t node, int fd)
{
	struct world *w = ctx;

	assert_true(fd >= 0 && tree_id_is_file(node));
	w->n_opened++;
	return w->backing;
}

static void close_backing(void *ctx, uint64_t node)
{
	struct world *w = ctx;

	w->n_closed++;
	w->closed = node;
}

static struct imagefiles_options options_of(struct world *w)
{
	return (struct imagefiles_options){&w->fake.source, w->shared,     true,
					   open_backing,    close_backing, w};
}

/* A worker begins, the first or the next. */
static void begin(struct world *w)
{
	const struct imagefiles_options options = options_of(w);

	imagefiles_free(w->files);
	w->files = imagefiles_new(&options);
	assert_non_null(w->files);
}

static int setup(void **state)
{
	static struct world w;

	w = (struct world){.backing = 5};
	*state = &w;
	fake_init(&w.fake);
	if (shared_new(&w.shared_fd, &w.shared) < 0)
		return -1;
	begin(&w);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	imagefiles_free(w->files);
	shared_free(w->shared);
	closep(&w->shared_fd);
	return fake_finish(&w->fake);
}

/* The file of the image @fingerprint as it is now. */
static struct source_file file_of(struct world *w, const char *fingerprint, const char *name)
{
	const struct source_ops *ops = w->fake.source.ops;
	struct source_images *images = ops->images(&w->fake);
	struct source_file file;

	assert_true(ops->image_file(images, fingerprint, name, &file));
	ops->images_unref(images);
	return file;
}

static uint64_t id_of(struct world *w, const struct source_file *file)
{
	return imagefiles_id(file, w->shared->secret);
}

static void test_ids(void **state)
{
	struct world *w = *state;
	struct source_file file, other;
	uint64_t id;

	SET_IMAGES(&w->fake, A());
	file = file_of(w, FP_A, "a");
	id = id_of(w, &file);
	assert_true(tree_id_is_file(id) && id == id_of(w, &file));
	other = file;
	other.part = 1;
	assert_true(id != id_of(w, &other));
	other = file;
	other.size++;
	assert_true(id != id_of(w, &other));
	other = file;
	other.mtime_ns++;
	assert_true(id != id_of(w, &other));
	other = file;
	other.fingerprint[63] = 'b';
	assert_true(id != id_of(w, &other));
}

static void test_find(void **state)
{
	struct world *w = *state;
	struct source_file file, found = {.part = 9};

	assert_int_equal(imagefiles_find(w->files, TREE_FILE_BIT | 1, &found), -ESTALE);
	SET_IMAGES(&w->fake, A(.is_hidden = true), B);
	file = file_of(w, FP_A, "a");
	assert_int_equal(imagefiles_find(w->files, id_of(w, &file), &found), 0);
	assert_string_equal(found.fingerprint, FP_A);
	SET_IMAGES(&w->fake, B);
	assert_int_equal(imagefiles_find(w->files, id_of(w, &file), &found), -ESTALE);
}

static void assert_reads(struct world *w, const struct source_file *file, off_t offset,
			 const char *expected)
{
	char bytes[16];
	ssize_t n = imagefiles_read(w->files, file, bytes, sizeof(bytes), offset);

	assert_int_equal(n, strlen(expected));
	assert_memory_equal(bytes, expected, (size_t)n);
}

static void test_read(void **state)
{
	struct world *w = *state;
	struct source_file file;
	char byte;

	SET_IMAGES(&w->fake, A(.mtime_ns = INT64_C(1234567890123)));
	file = file_of(w, FP_A, "a");
	assert_reads(w, &file, 0, "12345");
	assert_reads(w, &file, 3, "45");
	assert_reads(w, &file, 5, "");
	assert_int_equal(imagefiles_read(w->files, &file, &byte, 1, 1), 1);
	assert_int_equal(byte, '2');
}

/* Who has it open reads on when it is gone, and the descriptor goes with the last of them. */
static void test_gone(void **state)
{
	struct world *w = *state;
	struct source_file file, found;

	SET_IMAGES(&w->fake, A());
	file = file_of(w, FP_A, "a");
	assert_int_equal(imagefiles_open(w->files, &file, NULL), 0);
	assert_int_equal(imagefiles_open(w->files, &file, NULL), 0);
	SET_IMAGES(&w->fake, B);
	imagefiles_settle(w->files);
	imagefiles_close(w->files, id_of(w, &file));
	assert_int_equal(imagefiles_find(w->files, id_of(w, &file), &found), 0);
	assert_reads(w, &found, 0, "12345");
	imagefiles_close(w->files, id_of(w, &file));
	assert_int_equal(imagefiles_find(w->files, id_of(w, &file), &found), -ESTALE);
	assert_int_equal(imagefiles_read(w->files, &file, &found, 1, 0), -EIO);
	imagefiles_close(w->files, id_of(w, &file)); /* harmless */
}

/* The descriptor of one that nobody opened here goes when it is gone. */
static void test_gone_and_not_counted(void **state)
{
	struct world *w = *state;
	struct source_file file, found;

	SET_IMAGES(&w->fake, A());
	file = file_of(w, FP_A, "a");
	assert_reads(w, &file, 0, "12345");
	SET_IMAGES(&w->fake, B);
	assert_int_equal(imagefiles_find(w->files, id_of(w, &file), &found), -ESTALE);
}

static void test_not_what_it_was(void **state)
{
	struct world *w = *state;
	struct source_file file, longer;
	char byte;

	SET_IMAGES(&w->fake, A());
	file = longer = file_of(w, FP_A, "a");
	longer.size++;
	assert_int_equal(imagefiles_open(w->files, &longer, NULL), -EIO);
	assert_int_equal(imagefiles_read(w->files, &longer, &byte, 1, 0), -EIO);
	SET_IMAGES(&w->fake, {FP_A, NULL, "a", NULL});
	assert_int_equal(imagefiles_open(w->files, &file, NULL), -EIO);
}

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void test_descriptors_are_bounded(void **state)
{
	struct world *w = *state;
	struct fake_file files[FAKE_FILES_MAX + 1] = {{0}};
	char names[FAKE_FILES_MAX][SOURCE_FINGERPRINT_LEN + 1];
	unsigned before = count_fds();
	struct source_file file;

	for (size_t i = 0; i < FAKE_FILES_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "%064zx", i);
		files[i] = (struct fake_file){names[i], NULL, "x", names[i] + 60};
	}
	fake_set_images(&w->fake, files);
	for (size_t i = 0; i < FAKE_FILES_MAX; i++) {
		file = file_of(w, names[i], "x");
		assert_int_equal(imagefiles_open(w->files, &file, NULL), 0);
	}
	assert_true(count_fds() - before <= 64);
	for (size_t i = 0; i < FAKE_FILES_MAX; i++) {
		file = file_of(w, names[i], "x");
		assert_reads(w, &file, 0, names[i] + 60);
	}
	assert_true(count_fds() - before <= 64);
}

static int32_t backing_of(struct world *w, const struct source_file *file)
{
	int32_t backing = -77;

	assert_int_equal(imagefiles_open(w->files, file, &backing), 0);
	return backing;
}

static void test_backing(void **state)
{
	struct world *w = *state;
	struct source_file a, b;

	SET_IMAGES(&w->fake, A(), B);
	a = file_of(w, FP_A, "a");
	b = file_of(w, FP_B, "b");
	assert_int_equal(backing_of(w, &a), 5);
	w->backing = -ELOOP;
	assert_int_equal(backing_of(w, &b), 0);
	w->backing = 6;
	/* It is asked once, whatever the answer, and by whichever worker. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(backing_of(w, &a), 5);
		assert_int_equal(backing_of(w, &b), 0);
		begin(w);
	}
	assert_int_equal(w->n_opened, 2);
	assert_int_equal(imagefiles_count_backed(w->files), 1);
}

static void test_backing_goes(void **state)
{
	struct world *w = *state;
	struct source_file a, b;

	SET_IMAGES(&w->fake, A(), B);
	a = file_of(w, FP_A, "a");
	b = file_of(w, FP_B, "b");
	assert_int_equal(backing_of(w, &a), 5);
	w->backing = -ELOOP;
	assert_int_equal(backing_of(w, &b), 0);
	imagefiles_close(w->files, id_of(w, &a));
	assert_int_equal(w->n_closed, 0); /* it is there yet */
	w->backing = 7;
	assert_int_equal(backing_of(w, &a), 5);
	SET_IMAGES(&w->fake, {0});
	imagefiles_settle(w->files);
	assert_int_equal(w->n_closed, 0); /* it is open yet */
	imagefiles_close(w->files, id_of(w, &a));
	imagefiles_close(w->files, id_of(w, &b));
	assert_int_equal(w->n_closed, 1);
	assert_true(w->closed == id_of(w, &a));
	assert_int_equal(imagefiles_count_backed(w->files), 0);
	SET_IMAGES(&w->fake, A());
	assert_int_equal(backing_of(w, &a), 7);
	/* The next worker counts nothing as open. */
	SET_IMAGES(&w->fake, {0});
	begin(w);
	imagefiles_settle(w->files);
	assert_int_equal(w->n_closed, 2);
}

/* A file that was opened when there was no place is never given one while it may be open. */
static void test_backings_are_over(void **state)
{
	struct world *w = *state;
	struct source_file a, b;

	for (size_t i = 0; i < SHARED_BACKINGS_MAX - 1; i++)
		w->shared->backings[i].node = i + 1;
	SET_IMAGES(&w->fake, A(), B);
	imagefiles_settle(w->files); /* frees them all */
	for (size_t i = 0; i < SHARED_BACKINGS_MAX - 1; i++) {
		assert_true(w->shared->backings[i].node == 0);
		w->shared->backings[i].node = i + 1;
	}
	a = file_of(w, FP_A, "a");
	b = file_of(w, FP_B, "b");
	assert_int_equal(backing_of(w, &a), 5);
	assert_int_equal(backing_of(w, &b), 0);
	w->shared->backings[0].node = 0;
	assert_int_equal(backing_of(w, &b), 0);
	assert_int_equal(backing_of(w, &a), 5);
}

static void test_backing_is_off(void **state)
{
	struct world *w = *state;
	struct imagefiles_options options = options_of(w);
	struct imagefiles *none;
	struct source_file a, b;
	int32_t backing = -77;

	w->shared->is_passthrough_off = true;
	SET_IMAGES(&w->fake, A(), B);
	a = file_of(w, FP_A, "a");
	b = file_of(w, FP_B, "b");
	assert_int_equal(backing_of(w, &a), 0);
	w->shared->is_passthrough_off = false;
	assert_int_equal(backing_of(w, &a), 0); /* as it is open already */
	options.has_passthrough = false;
	none = imagefiles_new(&options);
	assert_int_equal(imagefiles_open(none, &b, &backing), 0);
	assert_int_equal(backing, 0);
	assert_null(imagefiles_free(none));
	assert_int_equal(w->n_opened, 0);
}

static void test_memory(void **state)
{
	struct world *w = *state;
	void *one = imagefiles_take_memory(w->files), *two = imagefiles_take_memory(w->files);

	assert_true(one && two && one != two);
	imagefiles_give_memory(w->files, one);
	assert_ptr_equal(imagefiles_take_memory(w->files), one);
	imagefiles_give_memory(w->files, one);
	imagefiles_give_memory(w->files, two);
}

static void test_no_memory(void **state)
{
	struct world *w = *state;
	const struct imagefiles_options options = options_of(w);
	struct imagefiles *f = NULL;
	struct source_file file, found;
	int r = 0;

	SET_IMAGES(&w->fake, A());
	file = file_of(w, FP_A, "a");
	ALLOC_WALK(!f)
	f = imagefiles_new(&options);
	ALLOC_WALK(r == -ENOMEM)
	r = imagefiles_find(f, id_of(w, &file), &found);
	assert_int_equal(r, 0);
	ALLOC_WALK(r == -ENOMEM)
	r = imagefiles_open(f, &file, NULL);
	assert_int_equal(r, 0);
	assert_null(imagefiles_free(f));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ids),
		TEST(test_find),
		TEST(test_read),
		TEST(test_gone),
		TEST(test_gone_and_not_counted),
		TEST(test_not_what_it_was),
		TEST(test_descriptors_are_bounded),
		TEST(test_backing),
		TEST(test_backing_goes),
		TEST(test_backings_are_over),
		TEST(test_backing_is_off),
		TEST(test_memory),
		TEST(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
