/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters as OpenMetrics text
 *
 * What is counted per instance, what the front counts for callers that are nobody, and what the
 * tree counts. A metric family is written whole, one sample per
 * instance, as the format demands.
 */
#include "front/metrics.h"

#include <errno.h>
#include <inttypes.h>

#include "core/identity.h"
#include "core/instance.h"
#include "core/limits.h"
#include "core/registry.h"
#include "store/store.h"

static uint64_t connections(struct instance *i, struct identity *id)
{
	return instance_account(i)->n_connections;
}

static uint64_t event_listeners(struct instance *i, struct identity *id)
{
	return instance_account(i)->n_event_listeners;
}

static uint64_t accepted(struct instance *i, struct identity *id)
{
	return instance_account(i)->n_accepted;
}

static uint64_t requests(struct instance *i, struct identity *id)
{
	return instance_account(i)->n_requests;
}

static uint64_t refused_connections(struct instance *i, struct identity *id)
{
	return instance_account(i)->n_refused_connections;
}

static uint64_t refused_requests(struct instance *i, struct identity *id)
{
	return instance_account(i)->n_refused_requests;
}

static uint64_t forbidden(struct instance *i, struct identity *id)
{
	return instance_account(i)->n_forbidden;
}

static uint64_t not_root(struct instance *i, struct identity *id)
{
	return instance_account(i)->n_not_root;
}

static uint64_t bytes_sent(struct instance *i, struct identity *id)
{
	return instance_account(i)->n_bytes_sent;
}

static uint64_t ready(struct instance *i, struct identity *id)
{
	struct boot boot;

	return identity_boot(id, i, &boot) && instance_is_ready(i, &boot);
}

static const struct family {
	const char *name;
	bool is_counter; /* its samples end in _total */
	const char *help;
	uint64_t (*read)(struct instance *i, struct identity *id);
} families[] = {
	{"connections", false, "Open connections of the guest.", connections},
	{"event_listeners", false, "Open event listeners of the guest.", event_listeners},
	{"accepted", true, "Connections accepted from the guest.", accepted},
	{"requests", true, "Requests answered for the guest.", requests},
	{"refused_connections", true, "Connections over the guest's limit.", refused_connections},
	{"refused_requests", true, "Requests over the guest's limit.", refused_requests},
	{"forbidden", true, "Requests answered 403.", forbidden},
	{"not_root", true, "Connections of the guest's other users.", not_root},
	{"sent_bytes", true, "Bytes of reply bodies.", bytes_sent},
	{"ready", false, "Whether the present run of the guest said Ready.", ready},
};

int metrics_escape(struct buf *b, const char *text)
{
	int r = 0;

	for (; *text && r == 0; text++) {
		if (*text == '\\' || *text == '"')
			r = buf_printf(b, "\\%c", *text);
		else if (*text == '\n')
			r = buf_puts(b, "\\n");
		else
			r = buf_putc(b, *text);
	}
	return r;
}

static int put_head(struct buf *b, const char *name, bool is_counter, const char *help)
{
	return buf_printf(b, "# TYPE devlxdfs_%s %s\n# HELP devlxdfs_%s %s\n", name,
			  is_counter ? "counter" : "gauge", name, help);
}

static int put_family(struct buf *b, const struct family *f, struct identity *id,
		      struct instance **list, size_t n)
{
	int r = put_head(b, f->name, f->is_counter, f->help);

	for (size_t i = 0; i < n && r == 0; i++) {
		if (buf_printf(b, "devlxdfs_%s%s{instance=\"", f->name,
			       f->is_counter ? "_total" : "") < 0 ||
		    metrics_escape(b, instance_name(list[i])) < 0 ||
		    buf_printf(b, "\"} %" PRIu64 "\n", f->read(list[i], id)) < 0)
			r = -ENOMEM;
	}
	return r;
}

/* Connections of callers that are nobody, by reason. */
static int put_front(struct buf *b, const struct front_stats *s)
{
	const struct {
		const char *reason;
		uint64_t n;
	} refused[] = {
		{"unknown", s->n_unknown}, {"conflict", s->n_conflict},
		{"gone", s->n_gone},       {"not_root", s->n_not_root},
		{"limit", s->n_limited},   {"trouble", s->n_own_trouble},
	};

	if (put_head(b, "refusals", true, "Connections refused on the guest socket.") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		if (buf_printf(b, "devlxdfs_refusals_total{reason=\"%s\"} %" PRIu64 "\n",
			       refused[i].reason, refused[i].n) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int put_gauge(struct buf *b, const char *name, const char *help, uint64_t value)
{
	if (put_head(b, name, false, help) < 0)
		return -ENOMEM;
	return buf_printf(b, "devlxdfs_%s %" PRIu64 "\n", name, value);
}

static const struct tree_family {
	const char *member, *name; /* in what the tree says of itself; here */
	bool is_counter;
	const char *help;
} tree_families[] = {
	{"requests", "tree_requests", true, "Requests to the file tree."},
	{"denied", "tree_denied", true, "Requests to the tree answered EACCES."},
	{"stale", "tree_stale", true,
	 "Requests to the tree on what a name does not stand for any more."},
	{"refused", "tree_refused", true, "Requests to the tree over a guest's limit."},
	{"stalled", "tree_stalled", false, "Guests that hold up what their kernel must be told."},
	{"nodes", "tree_nodes", false, "Nodes of the tree held in memory."},
};

static int put_tree(struct buf *b, const struct api_tree *tree)
{
	json_auto_t *status = tree ? tree->status(tree->ctx) : NULL;

	if (tree && !status)
		return -ENOMEM;
	for (size_t i = 0; tree && i < ARRAY_SIZE(tree_families); i++) {
		const struct tree_family *f = &tree_families[i];

		if (put_head(b, f->name, f->is_counter, f->help) < 0 ||
		    buf_printf(b, "devlxdfs_%s%s %" JSON_INTEGER_FORMAT "\n", f->name,
			       f->is_counter ? "_total" : "",
			       json_integer_value(json_object_get(status, f->member))) < 0)
			return -ENOMEM;
	}
	return 0;
}

int metrics_text(const struct api *api, struct buf *b)
{
	json_auto_t *rejected = api->store ? store_rejected(api->store) : json_array();
	struct instance **list = NULL;
	size_t n = 0;
	int r;

	if (!rejected)
		return -ENOMEM;
	r = registry_list(api->registry, &list, &n);
	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++)
		r = put_family(b, &families[i], api->identity, list, n);
	registry_list_free(list, n);
	if (r < 0)
		return r;
	if (put_front(b, api->guest_stats) < 0 || put_tree(b, api->tree) < 0 ||
	    put_gauge(b, "instances", "Instances in force.", n) < 0 ||
	    put_gauge(b, "rejected_records", "Records not in force as written.",
		      json_array_size(rejected)) < 0 ||
	    put_gauge(b, "start_time_seconds", "When the daemon's worker started.",
		      api->started_us / 1000000) < 0)
		return -ENOMEM;
	return buf_puts(b, "# EOF\n");
}
