/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What OCI runtimes say, which of it names an instance, and hooks put into a configuration
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "attach/hook-oci.h"
#include "attach/oci.h"
#include "scratch.h"

static void refuse_state(const char *text, const char *why)
{
	_cleanup_(buf_finish) struct buf error = {0};
	struct oci_state s;

	assert_int_equal(oci_state_parse(text, strlen(text), &s, &error), -EINVAL);
	assert_string_equal(error.data, why);
}

static void test_states(void **state)
{
	static const char creating[] =
		"{\"ociVersion\":\"1.0\",\"id\":\"x\",\"status\":\"creating\",\"pid\":7,\"bundle\":\"/b\"}";
	static const char stopped[] = "{\"status\":\"stopped\",\"bundle\":\"/b\"}";
	_cleanup_(oci_state_finish) struct oci_state s = {0}, gone = {0};
	_cleanup_(buf_finish) struct buf error = {0};

	assert_int_equal(oci_state_parse(creating, strlen(creating), &s, &error), 0);
	assert_string_equal(s.bundle, "/b");
	assert_int_equal(s.pid, 7);
	assert_false(s.is_stopped);
	assert_int_equal(oci_state_parse(stopped, strlen(stopped), &gone, &error), 0);
	assert_true(gone.is_stopped);
	assert_int_equal(gone.pid, 0);
	for (size_t n = 0; n < strlen(creating); n++) {
		struct oci_state cut;

		assert_int_equal(oci_state_parse(creating, n, &cut, &error), -EINVAL);
	}
}

static void test_bad_states(void **state)
{
	static const char no_bundle[] = "it has no status, or no bundle with an absolute path";

	refuse_state("", "line 1: it is not JSON");
	refuse_state("{\n\n", "line 3: it is not JSON");
	refuse_state("[]", "it is no JSON object");
	refuse_state("{}", no_bundle);
	refuse_state("{\"status\":\"creating\",\"pid\":1,\"bundle\":\"b\"}", no_bundle);
	refuse_state("{\"status\":1,\"pid\":1,\"bundle\":\"/b\"}", no_bundle);
	refuse_state("{\"status\":\"creating\",\"bundle\":\"/b\"}", "it has no process");
	refuse_state("{\"status\":\"creating\",\"pid\":0,\"bundle\":\"/b\"}", "it has no process");
	refuse_state("{\"status\":\"creating\",\"pid\":-1,\"bundle\":\"/b\"}", "it has no process");
	refuse_state("{\"status\":\"creating\",\"pid\":1e12,\"bundle\":\"/b\"}",
		     "it has no process");
}

/* What its configuration says of the instance: a name, "none" or why it is refused. */
static void check_instance(const char *run_dir, const char *members, const char *expected)
{
	const struct hook h = {"/conf", "/state", run_dir};
	_cleanup_(oci_config_finish) struct oci_config c = {0};
	_cleanup_(buf_finish) struct buf text = {0}, error = {0};
	const char *instance = NULL;
	int r;

	assert_int_equal(buf_printf(&text, "{\"root\":{\"path\":\"rootfs\"}%s}", members), 0);
	assert_int_equal(oci_config_parse(text.data, text.len, &c, &error), 0);
	assert_string_equal(c.root, "rootfs");
	r = hook_oci_instance(&h, &c, &instance, &error);
	assert_string_equal(r == 0                 ? instance
			    : r == HOOK_OCI_E_NONE ? "none"
						   : error.data,
			    expected);
}

#define MOUNT(DESTINATION, TYPE, SOURCE)                                                           \
	",\"mounts\":[{\"destination\":\"" DESTINATION "\",\"type\":\"" TYPE                       \
	"\",\"source\":\"" SOURCE "\"}]"

static void test_instances(void **state)
{
	check_instance("/r", "", "none");
	check_instance("/r", ",\"annotations\":{\"org.devlxdfs.instance\":\"web1\"}", "web1");
	check_instance("/r", ",\"annotations\":{\"org.devlxdfs.instance\":1}", "none");
	check_instance(
		"/r", ",\"annotations\":{\"org.devlxdfs.instance\":\"../x\"}",
		"what the annotation org.devlxdfs.instance says is not a name of an instance");
	check_instance("/r", MOUNT("/dev/lxd", "bind", "/r/tree/web1"), "web1");
	check_instance("/r", MOUNT("//dev/lxd/", "bind", "/r/tree/web1"), "web1");
	check_instance("/r", MOUNT("/dev/lxd", "tmpfs", "/r/tree/web1"), "none");
	check_instance("/r", MOUNT("/dev/lxdx", "bind", "/r/tree/web1"), "none");
	check_instance("/r", MOUNT("/dev", "bind", "/r/tree/web1"), "none");
	check_instance("/r", MOUNT("/dev/lxd", "bind", "/r/tree/web1/config"), "none");
	check_instance("/r", MOUNT("/dev/lxd", "bind", "/r/tree"), "none");
	check_instance("/r", MOUNT("/dev/lxd", "bind", "/other/tree/web1"), "none");
	check_instance("/r", MOUNT("/dev/lxd", "bind", "web1"), "none");
	check_instance("/r",
		       ",\"mounts\":[{\"destination\":\"/dev/lxd\",\"source\":\"/r/tree/web1\","
		       "\"options\":[\"ro\",\"rbind\"]}]",
		       "web1");
	check_instance("/r",
		       ",\"annotations\":{\"org.devlxdfs.instance\":\"web2\"}" MOUNT(
			       "/dev/lxd", "bind", "/r/tree/web1"),
		       "the annotation org.devlxdfs.instance says \"web2\", and the directory of "
		       "\"web1\" is mounted; choose one");
}

/* As /var/run is one. */
static void test_linked_source(void **state)
{
	_cleanup_(freep) char *run = scratch_path(state, "run"),
			      *link = scratch_path(state, "link");
	_cleanup_(freep) char *tree = scratch_path(state, "run/tree");
	_cleanup_(freep) char *source = scratch_path(state, "link/tree/web1");

	assert_int_equal(mkdir(run, 0700), 0);
	assert_int_equal(mkdir(tree, 0700), 0);
	assert_int_equal(symlink("run", link), 0);
	assert_string_equal(hook_oci_mounted(run, source), "web1");
	assert_null(hook_oci_mounted(tree, source));
}

static void test_bad_configs(void **state)
{
	static const char *const bad[] = {"", "[]", "{}", "{\"root\":1}",
					  "{\"root\":{\"path\":\"\"}}"};
	_cleanup_(buf_finish) struct buf error = {0};
	struct oci_config c;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(oci_config_parse(bad[i], strlen(bad[i]), &c, &error), -EINVAL);
}

static void check_hooks(const char *config, const char *expected)
{
	static const char *const args[] = {"/bin/x", "y\"", NULL};
	_cleanup_(buf_finish) struct buf made = {0}, error = {0};
	int r = oci_config_add_hooks(config, strlen(config), args, &made, &error);

	if (expected) {
		assert_int_equal(r, 0);
		assert_string_equal(made.data, expected);
		json_decref(json_loadb(made.data, made.len, JSON_DECODE_INT_AS_REAL, NULL));
	} else {
		assert_int_equal(r, -EINVAL);
		assert_true(error.len > 0 && made.len == 0);
	}
}

#define HOOK "{\"path\":\"/bin/x\",\"args\":[\"/bin/x\",\"y\\\"\"]}"

/* What was there is there, in its place, byte for byte; even numbers that no parser of ours holds. */
static void test_hooks(void **state)
{
	check_hooks("{}", "{\"hooks\":{\"poststop\":[" HOOK "],\"createRuntime\":[" HOOK "]}}");
	check_hooks(" { \"max\": 18446744073709551615, \"x\":1.10 }\n",
		    " {\"hooks\":{\"poststop\":[" HOOK "],\"createRuntime\":[" HOOK
		    "]}, \"max\": 18446744073709551615, \"x\":1.10 }\n");
	check_hooks("{\"a\":\"{\",\n\"hooks\" : { \"prestart\":[{\"path\":\"/p\"}] }}",
		    "{\"a\":\"{\",\n\"hooks\" : {\"poststop\":[" HOOK "],\"createRuntime\":[" HOOK
		    "], \"prestart\":[{\"path\":\"/p\"}] }}");
	check_hooks("{\"hooks\":{\"poststop\":[ ],\"createRuntime\":[{\"path\":\"/p\"}]}}",
		    "{\"hooks\":{\"poststop\":[" HOOK " ],\"createRuntime\":[" HOOK
		    ",{\"path\":\"/p\"}]}}");
	check_hooks("{\"hooks\":null}", NULL);
	check_hooks("{\"hooks\":{\"poststop\":{}}}", NULL);
	check_hooks("[]", NULL);
	check_hooks("{", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_bad_states),
		cmocka_unit_test(test_instances),
		cmocka_unit_test_setup_teardown(test_linked_source, scratch_setup,
						scratch_teardown),
		cmocka_unit_test(test_bad_configs),
		cmocka_unit_test(test_hooks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
