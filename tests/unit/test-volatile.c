/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon keeps about an instance, and what makes an instance-id old
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/file.h"
#include "records.h"
#include "scratch.h"
#include "store/volatile.h"

static void digest_of(const char *const *config, const char *const *nics, const char *name,
		      char ret[65])
{
	struct record *r = records_new(name, config);
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;

	for (size_t i = 0; nics[i]; i += 2)
		records_add_device(r, nics[i], PAIRS("type", "nic", "name", nics[i + 1]));
	records_add_device(r, "root", PAIRS("type", "disk"));
	s = records_snapshot(r, NULL);
	assert_int_equal(volatile_inputs(s, ret), 0);
	assert_int_equal(strlen(ret), 64);
	assert_int_equal(strspn(ret, "0123456789abcdef"), 64);
}

#define NICS PAIRS("eth0", "")

static void test_what_renews_the_id(void **state)
{
	static const char *const keys[] = {"cloud-init.user-data",      "cloud-init.vendor-data",
					   "cloud-init.network-config", "user.user-data",
					   "user.vendor-data",          "user.network-config",
					   "cloud-init.ssh-keys.a"};
	char base[65], other[65];

	digest_of(NO_PAIRS, NICS, "web1", base);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		char again[65];

		digest_of(PAIRS(keys[i], "1"), NICS, "web1", other);
		assert_string_not_equal(other, base);
		digest_of(PAIRS(keys[i], "2"), NICS, "web1", again);
		assert_string_not_equal(other, again);
	}
	digest_of(NO_PAIRS, NICS, "web2", other);
	assert_string_not_equal(other, base);
	digest_of(NO_PAIRS, PAIRS("eth0", "", "eth1", ""), "web1", other);
	assert_string_not_equal(other, base);
	digest_of(NO_PAIRS, PAIRS("eth0", "lan"), "web1", other);
	assert_string_not_equal(other, base);
	/* Bytes moved over the border between two keys. */
	digest_of(PAIRS("user.user-data", "ab", "user.vendor-data", "c"), NICS, "web1", base);
	digest_of(PAIRS("user.user-data", "a", "user.vendor-data", "bc"), NICS, "web1", other);
	assert_string_not_equal(other, base);
}

static void test_what_keeps_the_id(void **state)
{
	char base[65], other[65];

	digest_of(NO_PAIRS, NICS, "web1", base);
	digest_of(PAIRS("user.role", "x", "user.meta-data", "x", "cloud-init.zzz", "x",
			"security.devlxd", "true", "user.user-data", ""),
		  NICS, "web1", other);
	assert_string_equal(other, base);
	digest_of(NO_PAIRS, PAIRS("nic7", "eth0"), "web1", other);
	assert_string_equal(other, base);
	digest_of(NO_PAIRS, PAIRS("a", "x", "b", "y"), "web1", base);
	digest_of(NO_PAIRS, PAIRS("a", "y", "b", "x"), "web1", other);
	assert_string_equal(other, base);
}

static void test_ids(void **state)
{
	char a[INSTANCE_ID_MAX + 1], b[INSTANCE_ID_MAX + 1];

	assert_int_equal(volatile_new_id(a), 0);
	assert_int_equal(volatile_new_id(b), 0);
	assert_int_equal(strlen(a), 36);
	assert_int_equal(strspn(a, "0123456789abcdef-"), 36);
	assert_int_equal(a[14], '4');
	assert_non_null(strchr("89ab", a[19]));
	assert_string_not_equal(a, b);
}

static void test_round_trip(void **state)
{
	_cleanup_(closep) int fd = scratch_open(state);
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(volatile_finish) struct volatile_state out = {.instance_id = "id-1",
								.inputs = "ab"},
							 in = {0};
	struct stat st;

	assert_int_equal(volatile_load(fd, "web1", &in, &error), -ENOENT);
	assert_int_equal(volatile_save(fd, "web1", &out), 0);
	assert_int_equal(fstatat(fd, "web1.json", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(volatile_load(fd, "web1", &in, &error), 0);
	assert_string_equal(in.instance_id, "id-1");
	assert_string_equal(in.inputs, "ab");
	assert_false(in.ready);
	assert_null(in.binding_path);

	out.ready = true;
	out.ready_boot = (struct boot){UINT64_MAX - 1, 1ull << 40, 4711};
	out.binding_path = strdup("/lxc.payload.web1");
	out.binding_id = 1ull << 63;
	volatile_finish(&in);
	assert_int_equal(volatile_save(fd, "web1", &out), 0);
	assert_int_equal(volatile_load(fd, "web1", &in, &error), 0);
	assert_true(in.ready);
	assert_true(boot_equal(&in.ready_boot, &out.ready_boot));
	assert_string_equal(in.binding_path, "/lxc.payload.web1");
	assert_true(in.binding_id == 1ull << 63);
}

static void write_text(int fd, const char *text)
{
	assert_int_equal(file_write(fd, "web1.json", 0600, text, strlen(text), FILE_SYNC_NONE), 0);
}

static void test_another_boot(void **state)
{
	_cleanup_(closep) int fd = scratch_open(state);
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(volatile_finish) struct volatile_state in = {0};

	write_text(
		fd,
		"{\"instance_id\": \"x\", \"instance_id_inputs\": \"y\", \"boot_id\": \"other\","
		"\"ready\": {\"cgroup_id\": 1}, \"binding\": {\"cgroup\": \"/a\", \"cgroup_id\": 1}}");
	assert_int_equal(volatile_load(fd, "web1", &in, &error), 0);
	assert_string_equal(in.instance_id, "x");
	assert_false(in.ready);
	assert_null(in.binding_path);
}

static void test_bad_files(void **state)
{
	static const char *const texts[] = {
		"", "{", "[]", "{}", "{\"instance_id\": 1}", "{\"instance_id\": \"\"}"};
	_cleanup_(closep) int fd = scratch_open(state);

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(buf_finish) struct buf error = {0};
		struct volatile_state in = {0};

		write_text(fd, texts[i]);
		assert_int_equal(volatile_load(fd, "web1", &in, &error), -EINVAL);
		assert_string_equal(error.data, i < 2 ? "not JSON" : "no instance_id");
		assert_int_equal(*in.instance_id, 0);
	}
}

static void test_odd_file(void **state)
{
	_cleanup_(closep) int fd = scratch_open(state);
	_cleanup_(buf_finish) struct buf error = {0};
	struct volatile_state in = {0};

	assert_int_equal(mkdirat(fd, "web1.json", 0700), 0);
	assert_int_equal(volatile_load(fd, "web1", &in, &error), -EINVAL);
	assert_string_equal(error.data, "not a small regular file");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_renews_the_id),
		cmocka_unit_test(test_what_keeps_the_id),
		cmocka_unit_test(test_ids),
		TEST(test_round_trip),
		TEST(test_another_boot),
		TEST(test_bad_files),
		TEST(test_odd_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
