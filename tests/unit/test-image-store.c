/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store of images: what is written the daemon can read, what is found is what was meant, and directories of the dead go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/file.h>

#include "base/file.h"
#include "core/image.h"
#include "images/image-copy.h"
#include "images/image-hash.h"
#include "images/image-staging.h"
#include "scratch.h"

#define A1 "a100000000000000000000000000000000000000000000000000000000000000"
#define A2 "a200000000000000000000000000000000000000000000000000000000000000"
#define B1 "b100000000000000000000000000000000000000000000000000000000000000"

static struct image_store *open_store(void **state)
{
	struct image_store *s = NULL;

	assert_int_equal(image_store_open(*state, true, &s), 0);
	return s;
}

static json_t *describe(const char *fingerprint, const char *alias)
{
	json_t *image = json_pack(
		"{s:s, s:s, s:b, s:b, s:[s], s:[{s:s, s:s, s:i, s:i}], s:i, s:s, s:i, s:{s:s}}",
		"fingerprint", fingerprint, "type", "virtual-machine", "public", 1, "cached", 0,
		"aliases", alias, "parts", "name", "image.tar", "suffix", ".tar", "size", 5,
		"mtime_ns", 7, "imported_ns", 9, "architecture", "x86_64", "creation_date", 1,
		"properties", "os", "Debian");

	assert_non_null(image);
	return image;
}

static void put_image(struct image_store *s, const char *fingerprint, const char *alias)
{
	struct image_staging i;
	json_auto_t *image = describe(fingerprint, alias);
	_cleanup_(buf_finish) struct buf error = {0};

	assert_int_equal(image_staging_new(s, &i), 0);
	assert_int_equal(image_store_write(s, i.name, image, &error), 0);
	assert_int_equal(image_staging_commit(&i, fingerprint), 0);
	image_staging_finish(&i);
}

static void test_the_daemon_reads_what_is_written(void **state)
{
	_cleanup_(image_store_closep) struct image_store *s = open_store(state);
	_cleanup_(image_unrefp) struct image *image = NULL;
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *text = NULL;
	size_t n;

	put_image(s, A1, "debian");
	assert_int_equal(file_read(image_store_fd(s), A1 "/image.json", 1 << 20, &text, &n), 0);
	assert_int_equal(image_parse(text, n, &image, &error), 0);
	assert_string_equal(image->fingerprint, A1);
	assert_true(image->is_public && !image->is_cached && image->is_vm);
	assert_int_equal(image->n_parts, 1);
	assert_string_equal(image->parts[0].name, "image.tar");
	assert_string_equal(image->parts[0].suffix, ".tar");
	assert_int_equal(image->parts[0].size, 5);
	assert_int_equal(image->parts[0].mtime_ns, 7);
	assert_int_equal(image->imported_ns, 9);
	assert_int_equal(image->n_aliases, 1);
	assert_string_equal(image->aliases[0], "debian");
}

static void test_nothing_invalid_is_written(void **state)
{
	_cleanup_(image_store_closep) struct image_store *s = open_store(state);
	json_auto_t *image = describe(A1, "../x");
	_cleanup_(buf_finish) struct buf error = {0};

	put_image(s, A1, "debian");
	assert_int_equal(image_store_write(s, A1, image, &error), IMAGE_STORE_E_INVALID);
	assert_non_null(strstr(error.data, "aliases"));
	image = (json_decref(image), (json_t *)NULL);
	assert_int_equal(image_store_find(s, "debian", &image), 0);
}

static void assert_found(struct image_store *s, const char *word, const char *fingerprint)
{
	json_auto_t *image = NULL;

	assert_int_equal(image_store_find(s, word, &image), 0);
	assert_string_equal(json_string_value(json_object_get(image, "fingerprint")), fingerprint);
}

static void test_find(void **state)
{
	_cleanup_(image_store_closep) struct image_store *s = open_store(state);
	json_t *image = NULL;

	put_image(s, A2, "b1");
	put_image(s, A1, "debian");
	put_image(s, B1, "alpine");
	assert_found(s, A1, A1);
	assert_found(s, "a1", A1);
	assert_found(s, "b", B1);
	assert_found(s, "debian", A1);
	assert_found(s, "b1", A2); /* an alias before a beginning */
	assert_int_equal(image_store_find(s, "a", &image), IMAGE_STORE_E_AMBIGUOUS);
	assert_int_equal(image_store_find(s, "", &image), IMAGE_STORE_E_NOT_FOUND);
	assert_int_equal(image_store_find(s, "debia", &image), IMAGE_STORE_E_NOT_FOUND);
	assert_int_equal(image_store_find(s, A1 "0", &image), IMAGE_STORE_E_NOT_FOUND);
	assert_int_equal(image_store_find(s, "A1", &image), IMAGE_STORE_E_NOT_FOUND);
	assert_null(image);
}

static void test_what_cannot_be_used_is_listed(void **state)
{
	_cleanup_(image_store_closep) struct image_store *s = open_store(state);
	json_auto_t *images = NULL;

	put_image(s, B1, "alpine");
	assert_int_equal(mkdirat(image_store_fd(s), A1, 0750), 0);
	assert_int_equal(mkdirat(image_store_fd(s), "junk", 0750), 0);
	assert_int_equal(image_store_list(s, &images), 0);
	assert_int_equal(json_array_size(images), 2);
	assert_non_null(json_object_get(json_array_get(images, 0), "error"));
	assert_null(json_object_get(json_array_get(images, 1), "error"));
	assert_int_equal(image_staging_remove(s, A1), 0);
	assert_int_equal(image_staging_remove(s, A1), -ENOENT);
	json_decref(images);
	images = NULL;
	assert_int_equal(image_store_list(s, &images), 0);
	assert_int_equal(json_array_size(images), 1);
}

static void test_no_directory_is_an_empty_store(void **state)
{
	_cleanup_(image_store_closep) struct image_store *s = NULL;
	json_auto_t *images = NULL;

	assert_int_equal(image_store_open(*state, false, &s), 0);
	assert_int_equal(image_store_fd(s), -1);
	assert_int_equal(image_store_list(s, &images), 0);
	assert_int_equal(json_array_size(images), 0);
	assert_null(image_store_close(NULL));
}

/* Files in it, so that there is something to remove. */
static void put_file(struct image_staging *i, const char *name)
{
	assert_int_equal(file_write(i->fd, name, 0640, "x", 1, FILE_SYNC_NONE), 0);
}

static void test_only_the_dead_are_removed(void **state)
{
	_cleanup_(image_store_closep) struct image_store *s = open_store(state);
	struct image_staging dead, living, next;

	assert_int_equal(image_staging_new(s, &dead), 0);
	put_file(&dead, "image.tar");
	close(dead.fd); /* as its death does */
	assert_int_equal(image_staging_new(s, &living), 0);
	put_file(&living, "image.tar");
	assert_int_equal(faccessat(image_store_fd(s), dead.name, F_OK, 0), -1);
	assert_int_equal(image_staging_new(s, &next), 0);
	assert_int_equal(faccessat(image_store_fd(s), living.name, F_OK, 0), 0);
	image_staging_finish(&living);
	image_staging_finish(&living);
	assert_int_equal(faccessat(image_store_fd(s), living.name, F_OK, 0), -1);
	image_staging_finish(&next);
}

static void test_commit_replaces_nothing(void **state)
{
	_cleanup_(image_store_closep) struct image_store *s = open_store(state);
	struct image_staging i;

	put_image(s, A1, "debian");
	assert_int_equal(image_staging_new(s, &i), 0);
	assert_int_equal(image_staging_commit(&i, A1), -EEXIST);
	image_staging_finish(&i);
	assert_found(s, "debian", A1);
}

struct watcher {
	uint64_t done, total;
	unsigned n_left; /* calls before it ends the work */
};

static int tell(void *ctx, const char *stage, uint64_t done, uint64_t total)
{
	struct watcher *w = ctx;

	assert_true(done >= w->done && done <= total);
	w->done = done;
	w->total = total;
	return w->n_left-- > 0 ? 0 : -EINTR;
}

static void test_copy_and_hash(void **state)
{
	_cleanup_(closep) int dir = scratch_open(state);
	_cleanup_(closep) int from = openat(dir, "from", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_(closep) int to = openat(dir, "to", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_(closep) int other = openat(dir, "other", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct watcher w = {.n_left = 100};
	const struct image_watch watch = {tell, &w};
	const int fds[] = {from, to};
	char hex[65];

	assert_int_equal(write(from, "abc", 3), 3);
	assert_int_equal(image_copy(from, to, 3, &watch), 0);
	assert_int_equal(w.done, 3);
	assert_int_equal(w.total, 3);
	assert_int_equal(image_hash(fds, 1, 3, NULL, hex), 0);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	/* SHA-256 of "abcabc". */
	assert_int_equal(image_hash(fds, 2, 6, NULL, hex), 0);
	assert_string_equal(hex,
			    "bbb59da3af939f7af5f360f2ceb80a496e3bae1cd87dde426db0ae40677e1c2c");
	assert_int_equal(image_copy(from, other, 4, NULL), -ESTALE);
	w = (struct watcher){.n_left = 0};
	assert_int_equal(image_copy(from, other, 3, &watch), -EINTR);
	w = (struct watcher){.n_left = 0};
	assert_int_equal(image_hash(fds, 1, 3, &watch, hex), -EINTR);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_daemon_reads_what_is_written),
		TEST(test_nothing_invalid_is_written),
		TEST(test_find),
		TEST(test_what_cannot_be_used_is_listed),
		TEST(test_no_directory_is_an_empty_store),
		TEST(test_only_the_dead_are_removed),
		TEST(test_commit_replaces_nothing),
		TEST(test_copy_and_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
