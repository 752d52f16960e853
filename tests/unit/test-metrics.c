/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metrics: the form of OpenMetrics, and whose numbers they are
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "core/diff.h"
#include "core/identity.h"
#include "core/registry.h"
#include "front/metrics.h"
#include "records.h"

static void label_values_are_escaped(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};

	assert_int_equal(metrics_escape(&b, "a\"b\\c\nd"), 0);
	assert_string_equal(b.data, "a\\\"b\\\\c\\nd");
}

static void publish(struct registry *r, const char *name)
{
	struct snapshot *s =
		records_snapshot(records_new(name, PAIRS("user.secret", "hunter2")), NULL);
	struct diff *diff = NULL;

	assert_int_equal(registry_publish(r, s, &diff), 0);
	diff_free(diff);
	snapshot_unref(s);
}

static json_t *tree_status(void *ctx)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "requests", 1, "denied", 2, "stale", 3,
			 "refused", 4, "stalled", 5, "nodes", 6);
}

static void the_tree_has_numbers_if_there_is_one(void **state)
{
	_cleanup_(buf_finish) struct buf with = {0}, without = {0};
	_cleanup_(registry_freep) struct registry *registry = registry_new();
	_cleanup_(identity_freep) struct identity *identity = NULL;
	const struct api_tree tree = {.status = tree_status};
	struct front_stats stats = {0};
	struct api api = {.registry = registry, .guest_stats = &stats, .tree = &tree};
	static const char *const lines[] = {
		"# TYPE devlxdfs_tree_requests counter\n",
		"\ndevlxdfs_tree_requests_total 1\n",
		"\ndevlxdfs_tree_denied_total 2\n",
		"\ndevlxdfs_tree_stale_total 3\n",
		"\ndevlxdfs_tree_refused_total 4\n",
		"# TYPE devlxdfs_tree_stalled gauge\n",
		"\ndevlxdfs_tree_stalled 5\n",
		"\ndevlxdfs_tree_nodes 6\n",
	};

	assert_int_equal(identity_new(registry, 16, &identity), 0);
	api.identity = identity;
	assert_int_equal(metrics_text(&api, &with), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_non_null(strstr(with.data, lines[i]));
	api.tree = NULL;
	assert_int_equal(metrics_text(&api, &without), 0);
	assert_null(strstr(without.data, "tree"));
}

static void every_instance_has_its_own_numbers(void **state)
{
	_cleanup_(buf_finish) struct buf b = {0};
	_cleanup_(registry_freep) struct registry *registry = registry_new();
	_cleanup_(identity_freep) struct identity *identity = NULL;
	struct front_stats stats = {.n_unknown = 3, .n_limited = 2};
	struct instance *web2;
	struct api api = {.registry = registry, .guest_stats = &stats, .started_us = 5000000};
	static const char *const lines[] = {
		"# TYPE devlxdfs_requests counter\n",
		"\ndevlxdfs_requests_total{instance=\"web1\"} 0\n"
		"devlxdfs_requests_total{instance=\"web2\"} 7\n",
		"\ndevlxdfs_connections{instance=\"web2\"} 1\n",
		"\ndevlxdfs_ready{instance=\"web1\"} 0\n",
		"\ndevlxdfs_refusals_total{reason=\"unknown\"} 3\n",
		"\ndevlxdfs_refusals_total{reason=\"limit\"} 2\n",
		"\ndevlxdfs_instances 2\n",
		"\ndevlxdfs_rejected_records 0\n",
		"\ndevlxdfs_start_time_seconds 5\n",
	};

	assert_non_null(registry);
	assert_int_equal(identity_new(registry, 16, &identity), 0);
	api.identity = identity;
	publish(registry, "web1");
	publish(registry, "web2");
	web2 = registry_find(registry, "web2");
	instance_account(web2)->n_requests = 7;
	instance_account(web2)->n_connections = 1;
	assert_int_equal(metrics_text(&api, &b), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_non_null(strstr(b.data, lines[i]));
	assert_string_equal(b.data + b.len - 6, "# EOF\n");
	assert_null(strstr(b.data, "hunter2"));
	assert_null(strstr(b.data, "user.secret"));
	instance_account(web2)->n_connections = 0;
	instance_unref(web2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(label_values_are_escaped),
		cmocka_unit_test(every_instance_has_its_own_numbers),
		cmocka_unit_test(the_tree_has_numbers_if_there_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
