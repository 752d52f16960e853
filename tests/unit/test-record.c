/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records: their end, and what makes two of them different. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "records.h"

static struct record *full_record(void)
{
	struct record *r = records_new("web1", PAIRS("user.a", "1"));

	records_add_device(r, "eth0", PAIRS("type", "nic"));
	r->profiles = calloc(1, sizeof(char *));
	if (!r->profiles)
		abort();
	r->profiles[r->n_profiles++] = strdup("default");
	r->match_cgroup = strdup("/lxc/web1");
	r->has_root = true;
	r->root_uid = r->root_gid = 100000;
	r->source = strdup("instances/web1.yaml");
	return r;
}

static void test_end(void **state)
{
	struct record *r = full_record();

	assert_null(record_unref(NULL));
	assert_null(record_ref(NULL));
	assert_null(record_unref(record_new()));
	assert_ptr_equal(record_ref(r), r);
	assert_null(record_unref(r));
	assert_string_equal(r->name, "web1");
	assert_null(record_unref(r));
}

static void test_pack(void **state)
{
	struct record *r = full_record(), *same = full_record(),
		      *bare = records_new("web1", NO_PAIRS);

	assert_int_equal(record_pack(r), 0);
	assert_string_equal(r->name, "web1");
	assert_null(r->hostname);
	assert_string_equal(r->match_cgroup, "/lxc/web1");
	assert_string_equal(r->source, "instances/web1.yaml");
	assert_string_equal(r->profiles[0], "default");
	assert_true(record_equal(r, same));
	assert_int_equal(record_pack(bare), 0);
	assert_string_equal(bare->name, "web1");
	record_unref(r);
	record_unref(same);
	record_unref(bare);
}

static void test_type_names(void **state)
{
	assert_string_equal(instance_type_name(INSTANCE_CONTAINER), "container");
	assert_string_equal(instance_type_name(INSTANCE_VM), "virtual-machine");
}

static void set_text(char **text, const char *value)
{
	free(*text);
	*text = value ? strdup(value) : NULL;
}

static void change_nothing(struct record *r)
{
}

static void change_source(struct record *r)
{
	set_text(&r->source, "instances/web1.json");
}

static void change_hostname_to_name(struct record *r)
{
	set_text(&r->hostname, "web1");
}

static void change_root_not_used(struct record *r)
{
	r->root_uid = r->root_gid = 7;
}

static void change_type(struct record *r)
{
	r->type = INSTANCE_VM;
}

static void change_match_mount(struct record *r)
{
	r->match_mount = true;
}

static void change_has_root(struct record *r)
{
	r->has_root = false;
}

static void change_root_uid(struct record *r)
{
	r->root_uid++;
}

static void change_root_gid(struct record *r)
{
	r->root_gid++;
}

static void change_name(struct record *r)
{
	set_text(&r->name, "web2");
}

static void change_hostname(struct record *r)
{
	set_text(&r->hostname, "www");
}

static void change_match(struct record *r)
{
	set_text(&r->match_cgroup, NULL);
}

static void change_config(struct record *r)
{
	table_unref(r->config);
	r->config = records_table(PAIRS("user.a", "2"));
}

static void change_device(struct record *r)
{
	table_unref(r->devices[0].config);
	r->devices[0].config = records_table(PAIRS("type", "none"));
}

static void change_device_name(struct record *r)
{
	set_text(&r->devices[0].name, "eth1");
}

static void change_n_devices(struct record *r)
{
	records_add_device(r, "eth1", NO_PAIRS);
}

static void change_profile(struct record *r)
{
	set_text(&r->profiles[0], "big");
}

static void change_n_profiles(struct record *r)
{
	set_text(&r->profiles[--r->n_profiles], NULL);
}

static void test_equal(void **state)
{
	static void (*const same[])(struct record * r) = {change_nothing, change_source,
							  change_hostname_to_name};
	static void (*const different[])(struct record * r) = {
		change_type,     change_match_mount, change_has_root,    change_root_uid,
		change_root_gid, change_name,        change_hostname,    change_match,
		change_config,   change_device,      change_device_name, change_n_devices,
		change_profile,  change_n_profiles};
	_cleanup_(record_unrefp) struct record *original = full_record();

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		_cleanup_(record_unrefp) struct record *r = full_record();

		same[i](r);
		assert_true(record_equal(original, r));
	}
	for (size_t i = 0; i < ARRAY_SIZE(different); i++) {
		_cleanup_(record_unrefp) struct record *r = full_record();

		different[i](r);
		if (record_equal(original, r) || record_equal(r, original))
			fail_msg("change number %zu was not seen", i);
	}
}

static void test_root_counts_only_when_given(void **state)
{
	_cleanup_(record_unrefp) struct record *a = full_record();
	_cleanup_(record_unrefp) struct record *b = full_record();

	a->has_root = b->has_root = false;
	change_root_not_used(a);
	assert_true(record_equal(a, b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_type_names),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_root_counts_only_when_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
