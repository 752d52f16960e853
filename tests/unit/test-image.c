/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images: what image.json says, and that the bytes are those of then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "core/images.h"
#include "scratch.h"

#define FP "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OF(MEMBERS)                                                                                \
	"{\"fingerprint\":\"" FP "\",\"type\":\"container\",\"public\":true,\"cached\":false,"     \
	"\"imported_ns\":1," MEMBERS "}"
#define PARTS(MTIME)                                                                               \
	"\"parts\":[{\"name\":\"image.tar\",\"suffix\":\".tar\",\"size\":5,\"mtime_ns\":" MTIME "}]"

static void test_parse(void **state)
{
	static const char text[] = OF("\"aliases\":[\"b\",\"a\"]," PARTS("7"));
	_cleanup_(image_unrefp) struct image *i = NULL;
	_cleanup_(buf_finish) struct buf error = {0};

	assert_int_equal(image_parse(text, strlen(text), &i, &error), 0);
	assert_string_equal(i->fingerprint, FP);
	assert_true(i->is_public && !i->is_cached && !i->is_vm && image_is_offered(i));
	assert_int_equal(i->n_parts, 1);
	assert_string_equal(i->parts[0].name, "image.tar");
	assert_string_equal(i->parts[0].suffix, ".tar");
	assert_int_equal(i->parts[0].size, 5);
	assert_int_equal(i->n_aliases, 2);
	assert_string_equal(i->aliases[0], "a");
	assert_string_equal(i->aliases[1], "b");
	assert_null(i->aliases[2]);
}

static void test_parse_refuses(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		OF("\"aliases\":[]"),
		OF("\"aliases\":[],\"parts\":[]"),
		OF("\"aliases\":[\"../x\"]," PARTS("1")),
		OF("\"aliases\":[\"" FP "\"]," PARTS("1")),
		OF("\"aliases\":{}," PARTS("1")),
		OF("\"aliases\":[],\"parts\":[{\"name\":\"../x\",\"suffix\":\"\",\"size\":1,\"mtime_ns\":1}]"),
		OF("\"aliases\":[],\"parts\":[{\"name\":\"x\",\"suffix\":\"\",\"size\":0,\"mtime_ns\":1}]"),
		OF("\"aliases\":[],\"parts\":[{\"name\":\"x\",\"suffix\":\".a\\r\\nB: c\",\"size\":1,\"mtime_ns\":1}]"),
		OF("\"aliases\":[],\"parts\":[{\"name\":\"x\",\"suffix\":\"tar\",\"size\":1,\"mtime_ns\":1}]")};

	for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
		_cleanup_(buf_finish) struct buf error = {0};
		struct image *i = NULL;

		assert_int_equal(image_parse(texts[k], strlen(texts[k]), &i, &error), -EINVAL);
		assert_null(i);
		assert_true(error.len > 0);
	}
}

static void test_fingerprints(void **state)
{
	assert_true(image_is_fingerprint(FP));
	assert_false(image_is_fingerprint(""));
	assert_false(image_is_fingerprint("0123"));
	assert_false(image_is_fingerprint(FP "0"));
	assert_false(image_is_fingerprint(
		"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"));
}

/* STATE/images/FP with the file and what is said of it. */
static void put_image(void **state, int64_t mtime_offset_ns)
{
	_cleanup_(freep) char *dir = scratch_path(state, "images/" FP);
	_cleanup_(buf_finish) struct buf text = {0};
	_cleanup_(closep) int fd = -1;
	struct stat st;
	char time[24];

	assert_int_equal(file_mkdirs(dir, 0700), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(file_write(fd, "image.tar", 0600, "bytes", 5, FILE_SYNC_NONE), 0);
	assert_int_equal(fstatat(fd, "image.tar", &st, 0), 0);
	snprintf(time, sizeof(time), "%lld",
		 (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec + mtime_offset_ns);
	assert_int_equal(buf_printf(&text, OF("\"aliases\":[]," PARTS("%s")), time), 0);
	assert_int_equal(file_write(fd, "image.json", 0600, text.data, text.len, FILE_SYNC_NONE),
			 0);
}

static void test_load_and_open(void **state)
{
	_cleanup_(images_freep) struct images *all = images_new(*state);
	_cleanup_(buf_finish) struct buf complaints = {0};
	_cleanup_(image_unrefp) struct image *i = NULL;
	_cleanup_(freep) char *file = scratch_path(state, "images/" FP "/image.tar");
	_cleanup_(closep) int fd = -1;
	bool is_changed = true;
	char bytes[8];

	assert_int_equal(images_load(all, &is_changed, &complaints), 0);
	assert_false(is_changed);
	assert_null(images_find(all, FP));
	put_image(state, 0);
	assert_int_equal(images_load(all, &is_changed, &complaints), 0);
	assert_true(is_changed);
	assert_int_equal(images_load(all, &is_changed, &complaints), 0);
	assert_false(is_changed);
	assert_null(images_find(all, "0123"));
	i = images_find(all, FP);
	assert_non_null(i);
	fd = images_open(all, i, 0);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), 5);
	/* Longer, and shorter, and another file: none of them is what was imported. */
	assert_int_equal(truncate(file, 6), 0);
	assert_int_equal(images_open(all, i, 0), -ESTALE);
	assert_int_equal(truncate(file, 5), 0);
	assert_int_equal(images_open(all, i, 0), -ESTALE);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(images_open(all, i, 0), -ENOENT);
	assert_int_equal(symlink("image.json", file), 0);
	assert_int_equal(images_open(all, i, 0), -ELOOP);
}

static void test_another_time_is_another_file(void **state)
{
	_cleanup_(images_freep) struct images *all = images_new(*state);
	_cleanup_(buf_finish) struct buf complaints = {0};
	_cleanup_(image_unrefp) struct image *i = NULL;

	put_image(state, 1);
	assert_int_equal(images_load(all, NULL, &complaints), 0);
	i = images_find(all, FP);
	assert_non_null(i);
	assert_int_equal(images_open(all, i, 0), -ESTALE);
}

static void test_list(void **state)
{
	_cleanup_(images_freep) struct images *all = images_new(*state);
	_cleanup_(buf_finish) struct buf complaints = {0};
	struct image **list = NULL;
	size_t n = 1;

	assert_int_equal(images_list(all, &list, &n), 0);
	assert_int_equal(n, 0);
	images_list_free(list, n);
	put_image(state, 0);
	assert_int_equal(images_load(all, NULL, &complaints), 0);
	assert_int_equal(images_list(all, &list, &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(list[0]->fingerprint, FP);
	images_list_free(list, n);
	images_list_free(NULL, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_parse),        CASE(test_parse_refuses),
		CASE(test_fingerprints), CASE(test_load_and_open),
		CASE(test_list),         CASE(test_another_time_is_another_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
