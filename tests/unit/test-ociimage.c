/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether an image speaks for its containers: in doubt it does
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "attach/ociimage.h"
#include "base/file.h"
#include "scratch.h"

#define KEY "org.devlxdfs.instance"

static void check_manifest(const char *text, bool expected)
{
	assert_int_equal(ociimage_may_have(text, strlen(text), KEY), expected);
}

static void test_manifests(void **state)
{
	check_manifest("{}", false);
	check_manifest("{\"annotations\":{\"org.other\":\"" KEY "\"}}", false);
	check_manifest("{\"annotations\":{\"" KEY "\":\"web1\"}}", true);
	check_manifest("{\"annotations\":{\"" KEY "\":\"\"}}", true);
	/* Go takes members by any spelling, and escapes are text. */
	check_manifest("{\"ANNOTATIONS\":{\"" KEY "\":\"web1\"}}", true);
	check_manifest("{\"annotations\":{\"\\u006frg.devlxdfs.instance\":\"web1\"}}", true);
	/* Of two members of a name, Go merges tables and others take the last one. */
	check_manifest("{\"annotations\":{\"a\":\"b\"},\"annotations\":{}}", true);
	check_manifest("{\"layers\":[{\"annotations\":{\"" KEY "\":\"web1\"}}]}", true);
	check_manifest("", true);
	check_manifest("{\"annotations\":{\"" KEY "\":\"web1\"}", true);
	check_manifest("{\"a\":\"\xff\"}", true);
	check_manifest("{\"size\":18446744073709551616}", false);
}

static void put(void **state, const char *dir, const char *name, const char *text)
{
	_cleanup_(freep) char *path = scratch_path(state, dir);
	_cleanup_(closep) int fd = -1;

	assert_int_equal(file_mkdirs(path, 0700), 0);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(file_write(fd, name, 0600, text, strlen(text), FILE_SYNC_NONE), 0);
}

static void check(void **state, const char *bundle, int expected)
{
	_cleanup_(freep) char *path = scratch_path(state, bundle);
	_cleanup_(buf_finish) struct buf why = {0};

	assert_int_equal(ociimage_check(path, KEY, &why), expected);
	assert_int_equal(why.len > 0, expected == OCIIMAGE_E_UNKNOWN);
}

/* A store with the containers c1 of image a1, c2 of b2, c3 of no image, and c4 of one that is not there. */
static void fill(void **state)
{
	put(state, "s/vfs-containers", "containers.json",
	    "[{\"id\":\"c1\",\"image\":\"a1\"},{\"id\":\"c2\",\"image\":\"b2\"},"
	    "{\"id\":\"c3\",\"image\":\"\"},{\"id\":\"c4\",\"image\":\"d4\"},"
	    "{\"id\":\"c5\",\"image\":\"../x\"},{\"id\":\"c7\",\"image\":\"e7\"}]");
	put(state, "s/vfs-containers", "volatile-containers.json",
	    "[{\"id\":\"c6\",\"image\":\"b2\"}]");
	put(state, "s/vfs-images/a1", "manifest", "{}");
	put(state, "s/vfs-images/a1", "=bWFuaWZlc3Qtc2hhMjU2OmFm", "{\"annotations\":{}}");
	put(state, "s/vfs-images/a1", "=c2hhMjU2OjYyOTI2", "signatures are no JSON");
	put(state, "s/vfs-images/b2", "manifest", "{}");
	put(state, "s/vfs-images/b2", "=bWFuaWZlc3Qtc2hhMjU2OmFm",
	    "{\"annotations\":{\"" KEY "\":\"web1\"}}");
	put(state, "s/vfs-images/e7", "other", "{}");
	put(state, "s/x", "manifest", "{}");
}

static void test_stores(void **state)
{
	fill(state);
	check(state, "s/vfs-containers/c1/userdata", 0);
	check(state, "s/vfs-containers/c2/userdata", OCIIMAGE_E_SPEAKS);
	check(state, "s/vfs-containers/c3/userdata", OCIIMAGE_E_UNKNOWN);
	check(state, "s/vfs-containers/c4/userdata", OCIIMAGE_E_UNKNOWN);
	check(state, "s/vfs-containers/c5/userdata", OCIIMAGE_E_UNKNOWN);
	check(state, "s/vfs-containers/c6/userdata", OCIIMAGE_E_SPEAKS);
	check(state, "s/vfs-containers/c7/userdata", OCIIMAGE_E_UNKNOWN);
	check(state, "s/vfs-containers/c9/userdata", OCIIMAGE_E_UNKNOWN);
	check(state, "none/overlay-containers/c1/userdata", OCIIMAGE_E_UNKNOWN);
	check(state, "s/vfs-containers/c2/other", 0);
	check(state, "bundle", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifests),
		cmocka_unit_test_setup_teardown(test_stores, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
