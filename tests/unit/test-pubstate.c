/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The form of published states: what is read is what was written, and what is cut or odd is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "core/pubstate.h"
#include "records.h"

static char large[3 * 1024 * 1024];

/* One with every byte, empty values, a large one, devices, and what is left out. */
static struct record *full_record(void)
{
	char bytes[256];
	struct record *r = records_new("web1", PAIRS("user.a", "1"));
	struct table_pair pairs[] = {{"user.bytes", bytes, sizeof(bytes)},
				     {"user.empty", "", 0},
				     {"user.large", large, sizeof(large)},
				     {"security.devlxd", "false", 5},
				     {"user.", "key", 3},
				     {"raw.lxc", "secret", 6}};

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	memset(large, 'x', sizeof(large));
	table_unref(r->config);
	assert_int_equal(table_new(pairs, ARRAY_SIZE(pairs), &r->config), 0);
	records_add_device(r, "eth0", PAIRS("type", "nic", "empty", ""));
	records_add_device(r, "none", PAIRS("type", "none"));
	r->devices[1].config = table_unref(r->devices[1].config);
	return r;
}

static void test_content(void **state)
{
	_cleanup_(record_unrefp) struct record *r = full_record(), *back = NULL;
	_cleanup_(buf_finish) struct buf b = {0}, again = {0};
	size_t len;

	assert_int_equal(pubstate_put_content(&b, r), 0);
	assert_int_equal(pubstate_read_content(b.data, b.len, "other", &back), 0);
	assert_string_equal(back->name, "other");
	assert_int_equal(table_size(back->config), 5);
	assert_null(table_get(back->config, "raw.lxc", NULL));
	assert_string_equal(table_get(back->config, "security.devlxd", NULL), "false");
	assert_memory_equal(table_get(back->config, "user.bytes", &len),
			    table_get(r->config, "user.bytes", NULL), 256);
	assert_int_equal(len, 256);
	assert_non_null(table_get(back->config, "user.empty", &len));
	assert_int_equal(len, 0);
	assert_memory_equal(table_get(back->config, "user.large", &len), large, sizeof(large));
	assert_int_equal(len, sizeof(large));
	assert_int_equal(back->n_devices, 2);
	assert_string_equal(back->devices[0].name, "eth0");
	assert_true(table_equal(back->devices[0].config, r->devices[0].config));
	assert_int_equal(table_size(back->devices[1].config), 0);
	assert_int_equal(pubstate_put_content(&again, back), 0);
	assert_int_equal(again.len, b.len);
	assert_memory_equal(again.data, b.data, b.len);
}

static void test_cut_content(void **state)
{
	_cleanup_(record_unrefp) struct record *r = records_new("web1", PAIRS("user.a", "1"));
	_cleanup_(buf_finish) struct buf b = {0};
	struct record *none = (void *)state;

	records_add_device(r, "eth0", PAIRS("type", "nic"));
	assert_int_equal(pubstate_put_content(&b, r), 0);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(pubstate_read_content(b.data, n, "a", &none), -EINVAL);
	assert_int_equal(buf_putc(&b, 'x'), 0);
	assert_int_equal(pubstate_read_content(b.data, b.len, "a", &none), -EINVAL);
	assert_ptr_equal(none, state);
}

static void test_entries(void **state)
{
	const struct pubstate_id ids[] = {{1, 2}, {UINT64_MAX, 3}};
	const struct pubstate_entry e = {
		.type = PUBSTATE_STATE,
		.id = pubstate_hash("abc", 3),
		.step = {UINT64_MAX - 5, 3, {.tv_sec = 5, .tv_nsec = 999999999}},
		.name = "web1",
		.name_len = 4,
		.profiles = (const char *)ids,
		.n_profiles = 2,
		.content = "content",
		.content_len = 7,
	};
	_cleanup_(buf_finish) struct buf b = {0};
	struct pubstate_entry back;

	assert_int_equal(pubstate_put(&b, &e), 0);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(pubstate_read(b.data, n, &back), -EINVAL);
	assert_int_equal(pubstate_put(&b, &e), 0);
	assert_int_equal(pubstate_read(b.data, b.len, &back), b.len / 2);
	assert_int_equal(back.type, PUBSTATE_STATE);
	assert_memory_equal(&back.id, &e.id, sizeof(e.id));
	assert_true(back.step.first_n == UINT64_MAX - 5 && back.step.n_lines == 3);
	assert_true(back.step.time.tv_sec == 5 && back.step.time.tv_nsec == 999999999);
	assert_int_equal(back.name_len, 4);
	assert_memory_equal(back.name, "web1", 4);
	assert_int_equal(back.n_profiles, 2);
	assert_true(pubstate_profile(&back, 1).low == UINT64_MAX &&
		    pubstate_profile(&back, 1).high == 3);
	assert_int_equal(back.content_len, 7);
	assert_memory_equal(back.content, "content", 7);
	/* A state of nobody, and a type there is not. */
	assert_int_equal(pubstate_put(&b, &(struct pubstate_entry){.type = PUBSTATE_GONE}), 0);
	assert_int_equal(pubstate_read(b.data + b.len - 64, 64, &back), -EINVAL);
	assert_int_equal(pubstate_put(&b, &(struct pubstate_entry){.type = _KEPT_TYPE_N}), 0);
	assert_int_equal(pubstate_read(b.data + b.len - 64, 64, &back), -EINVAL);
}

static void test_no_memory(void **state)
{
	_cleanup_(record_unrefp) struct record *r = records_new("web1", PAIRS("user.a", "1"));
	_cleanup_(buf_finish) struct buf b = {0};
	_cleanup_(record_unrefp) struct record *back = NULL;
	int err;

	records_add_device(r, "eth0", PAIRS("type", "nic"));
	assert_int_equal(pubstate_put_content(&b, r), 0);
	ALLOC_WALK(err == -ENOMEM)
	err = pubstate_read_content(b.data, b.len, "a", &back);
	assert_int_equal(err, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_cut_content),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
