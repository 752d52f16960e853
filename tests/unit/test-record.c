/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records: their end, and what makes two of them different. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "records.h"

static void add_file(struct record *r, const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	r->files = realloc(r->files, (r->n_files + 1) * sizeof(*r->files));
	if (!r->files)
		abort();
	r->files[r->n_files++] = (struct file_rule){strdup(path), mode, uid, gid};
}

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
	add_file(r, "config/*", 0440, 33, 34);
	add_file(r, "config/user.a", 0600, 0, 0);
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
	assert_int_equal(r->n_files, 2);
	assert_string_equal(r->files[0].path, "config/*");
	assert_int_equal(r->files[0].mode, 0440);
	assert_int_equal(r->files[0].uid, 33);
	assert_int_equal(r->files[0].gid, 34);
	assert_string_equal(r->files[1].path, "config/user.a");
	assert_true(record_equal(r, same));
	assert_int_equal(record_pack(r), 0);
	assert_true(record_equal(r, same));
	assert_int_equal(record_pack(bare), 0);
	assert_string_equal(bare->name, "web1");
	assert_int_equal(bare->n_files, 0);
	record_unref(r);
	record_unref(same);
	record_unref(bare);
}

static void test_pack_without_memory(void **state)
{
	_cleanup_(record_unrefp) struct record *r = full_record(), *same = full_record();
	int n_failed = 0, e = 0;

	ALLOC_WALK(e == -ENOMEM && ++n_failed)
	{
		e = record_pack(r);
		assert_true(record_equal(r, same));
	}
	assert_int_equal(e, 0);
	assert_int_equal(n_failed, 1);
}

static void test_file_rule(void **state)
{
	static const struct {
		const char *path;
		int rule; /* its number, -1: none */
	} paths[] = {
		{"meta-data", 4},
		{"config", -1},
		{"config/user.a", 0},
		{"config/user.", 0},
		{"config/user.db", 2},
		{"config/user.x/y", -1}, /* '*' does not match '/' */
		{"config/user.x%2Fy", 0},
		{"config/.user", -1},
		{"config/.hidden", 1},
		{"config/user.*", 3}, /* quoted in the pattern */
		{"devices/eth0/hwaddr", 5},
		{"devices/eth1/hwaddr", 5},
		{"devices/eth2/hwaddr", -1},
		{"devices/eth/hwaddr", -1},
		{"devices.json", -1},
		{"", -1},
	};
	_cleanup_(record_unrefp) struct record *r = records_new("web1", NO_PAIRS);

	assert_null(record_file_rule(r, "meta-data"));
	add_file(r, "config/user.*", 0400, 0, 0);
	add_file(r, "*/.h*", 0400, 0, 0);
	add_file(r, "config/user.d?", 0440, 33, 33);
	add_file(r, "config/user.\\*", 0, 0, 0);
	add_file(r, "meta-data", 0444, 0, 0);
	add_file(r, "devices/eth[01]/*", 0444, 0, 0);
	for (int packed = 0; packed < 2; packed++) {
		for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
			const struct file_rule *rule = record_file_rule(r, paths[i].path);

			if ((rule ? rule - r->files : -1) != paths[i].rule)
				fail_msg("%s: rule %td", paths[i].path,
					 rule ? rule - r->files : -1);
		}
		assert_int_equal(record_pack(r), 0);
	}
}

/* Not the narrowest one, nor the first. */
static void test_last_rule_counts(void **state)
{
	_cleanup_(record_unrefp) struct record *r = records_new("web1", NO_PAIRS);

	add_file(r, "config/user.db", 0440, 33, 33);
	add_file(r, "config/*", 0444, 0, 0);
	assert_ptr_equal(record_file_rule(r, "config/user.db"), &r->files[1]);
	add_file(r, "config/user.db", 0400, 0, 0);
	assert_ptr_equal(record_file_rule(r, "config/user.db"), &r->files[2]);
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

static void change_file_path(struct record *r)
{
	set_text(&r->files[1].path, "config/user.b");
}

static void change_file_mode(struct record *r)
{
	r->files[1].mode = 0400;
}

static void change_file_uid(struct record *r)
{
	r->files[1].uid++;
}

static void change_file_gid(struct record *r)
{
	r->files[1].gid++;
}

static void change_n_files(struct record *r)
{
	set_text(&r->files[--r->n_files].path, NULL);
}

/* The last one that matches counts. */
static void change_order_of_files(struct record *r)
{
	struct file_rule first = r->files[0];

	r->files[0] = r->files[1];
	r->files[1] = first;
}

static void test_equal(void **state)
{
	static void (*const same[])(struct record * r) = {change_nothing, change_source,
							  change_hostname_to_name};
	static void (*const different[])(struct record * r) = {
		change_type,     change_match_mount, change_has_root,    change_root_uid,
		change_root_gid, change_name,        change_hostname,    change_match,
		change_config,   change_device,      change_device_name, change_n_devices,
		change_profile,  change_n_profiles,  change_file_path,   change_file_mode,
		change_file_uid, change_file_gid,    change_n_files,     change_order_of_files};
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
		cmocka_unit_test(test_pack_without_memory),
		cmocka_unit_test(test_file_rule),
		cmocka_unit_test(test_last_rule_counts),
		cmocka_unit_test(test_type_names),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_root_counts_only_when_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
