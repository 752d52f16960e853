/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which bundle a runtime is told to create a container of, and what becomes of its configuration
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "attach/ociruntime.h"
#include "base/file.h"
#include "base/log.h"
#include "scratch.h"

#define ARGS(...)                                                                                  \
	__extension__(const char *const[])                                                         \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define check(EXPECTED, ...)                                                                       \
	check_bundle(EXPECTED, ARGS(__VA_ARGS__), sizeof(ARGS(__VA_ARGS__)) / sizeof(char *))

static void check_bundle(const char *expected, const char *const *args, size_t n)
{
	const char *found = ociruntime_bundle(n, args);

	assert_int_equal(!found, !expected);
	if (found)
		assert_string_equal(found, expected);
}

static void test_bundles(void **state)
{
	assert_null(ociruntime_bundle(0, NULL));
	/* As containerd calls it. */
	check("/b", "--root", "/r", "--log", "/l", "--log-format", "json", "create", "--bundle",
	      "/b", "--pid-file", "/p", "--console-socket", "/c", "id");
	check("/b", "--root=/r", "--debug", "run", "-b", "/b", "id");
	check("/b", "create", "--bundle=/b", "id");
	check("/b", "create", "-b=/b", "id");
	check(".", "create", "id");
	check(".", "create", "--bundles", "/b", "id");
	check(".", "create", "id", "--bundle");
	check(NULL, "--root", "create", "state", "id");
	check(NULL, "--root", "/r", "start", "id");
	check(NULL, "exec", "id", "run", "--bundle", "/b");
	check(NULL, "--unknown", "create", "--bundle", "/b");
	check(NULL, "--root");
	check(NULL, "--version");
	check(NULL, "");
}

/* The configuration after preparation; the caller frees it. */
static char *prepared(void **state, const char *text)
{
	const struct hook h = {"/conf", "/state", "/r"};
	_cleanup_(closep) int fd = scratch_open(state);
	char *result;
	size_t n;

	assert_int_equal(file_write(fd, "config.json", 0640, text, strlen(text), FILE_SYNC_NONE),
			 0);
	ociruntime_prepare(&h, *state);
	assert_int_equal(file_read(fd, "config.json", 1 << 20, &result, &n), 0);
	return result;
}

static void check_unchanged(void **state, const char *text)
{
	_cleanup_(freep) char *result = prepared(state, text);

	assert_string_equal(result, text);
}

static void test_not_ours(void **state)
{
	check_unchanged(state, "{\"root\":{\"path\":\"r\"}}");
	check_unchanged(state,
			"{\"root\":{\"path\":\"r\"},\"annotations\":{\"org.devlxdfs.instance\":"
			"\"not a name\"}}");
	check_unchanged(state, "{\"annotations\":{\"org.devlxdfs.instance\":\"web1\"}}");
	check_unchanged(state, "rubbish");
	check_unchanged(state, "");
}

static void test_ours(void **state)
{
	_cleanup_(freep) char *result = prepared(
		state, "{\"root\":{\"path\":\"r\"},\"annotations\":{\"org.devlxdfs.instance\":"
		       "\"web1\"}}");
	_cleanup_(freep) char *path = scratch_path(state, "config.json");
	static const char expected[] =
		"\"--conf-dir\",\"/conf\",\"--state-dir\",\"/state\",\"--run-dir\",\"/r\","
		"\"hook\",\"oci\"]}],";
	struct stat st;

	assert_non_null(strstr(result, "{\"hooks\":{\"poststop\":[{\"path\":\"/"));
	assert_non_null(strstr(result, "\"createRuntime\":[{\"path\":\"/"));
	assert_non_null(strstr(result, expected));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bundles),
		cmocka_unit_test_setup_teardown(test_not_ours, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_ours, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
