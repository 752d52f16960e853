/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where managers put their guests, with systemd's escapes where systemd has them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctl/manager.h"

static void check_escape(const char *name, const char *expected)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(manager_escape(name, &b), 0);
	assert_string_equal(b.data, expected);
}

/* As systemd-escape(1) says. */
static void test_escape(void **state)
{
	check_escape("web1", "web1");
	check_escape("web-1", "web\\x2d1");
	check_escape("a--b", "a\\x2d\\x2db");
	check_escape("a.b_c:D", "a.b_c:D");
	check_escape(".a", "\\x2ea");
	check_escape("a/b c\\", "a-b\\x20c\\x5c");
	check_escape("\xc3\xa9", "\\xc3\\xa9");
}

static void check_cgroup(const char *option, const char *instance, const char *expected)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_non_null(manager_find(option));
	assert_int_equal(manager_cgroup(manager_find(option), instance, &b), 0);
	assert_string_equal(b.data ? b.data : "", expected);
}

static void test_cgroups(void **state)
{
	check_cgroup("lxc", "web-1", "/lxc.payload.web-1");
	check_cgroup("nspawn", "web-1", "/machine.slice/systemd-nspawn@web-1.service/payload");
	check_cgroup("machine", "web-1", "/machine.slice/machine-web\\x2d1.scope");
	check_cgroup("machine", "web1", "/machine.slice/machine-web1.scope");
	check_cgroup("podman", "web1", "");
	check_cgroup("docker", "web1", "");
	assert_null(manager_find("vm"));
	assert_null(manager_find(""));
}

static void test_explanations(void **state)
{
	static const char *const silent[] = {"lxc", "nspawn", "machine"};
	_cleanup_(buf_finish) struct buf b = {0};

	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		assert_int_equal(manager_explain(manager_find(silent[i]), "web1", "/run/x", &b), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(manager_explain(manager_find("podman"), "web1", "/run/x", &b), 0);
	assert_non_null(strstr(b.data, "--annotation org.devlxdfs.instance=web1"));
	assert_int_equal(manager_explain(manager_find("docker"), "web1", "/run/x", &b), 0);
	assert_non_null(strstr(b.data, "-v /run/x/tree/web1:/dev/lxd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_cgroups),
		cmocka_unit_test(test_explanations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
