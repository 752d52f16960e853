#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request as the resources see it, and the target parser
 *
 * No handler sees a socket, a header or an HTTP library: a resolved instance
 * comes in, a reply goes out.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/identity.h"

struct front_stats;
struct hub;
struct registry;
struct settings;
struct snapshot;
struct store;

/* What the admin's handlers may ask of the tree. Thread-safe. */
struct api_tree {
	void *ctx;
	/*
	 * Waits, for a second at most, until what guests remember of the tree is not older than the changes made so
	 * far; appends the names of the instances for which it is to the array @stalled, or only @name if that is one (NULL: all).
	 */
	void (*settle)(void *ctx, const char *name, json_t *stalled);
	/* The instance @name is recognised in another way than before. */
	void (*changed)(void *ctx, const char *name);
	/* Counters. A new reference; NULL = no memory. */
	json_t *(*status)(void *ctx);
	/* Whether somebody, the host included, has the directory of the instance @name mounted, or has looked at it lately. */
	bool (*is_in_use)(void *ctx, const char *name);
};

/* What they may ask of the process that keeps the worker. Thread-safe. */
struct api_keeper {
	void *ctx;
	/* Asks for an upgrade, which begins later. Returns 0 or -errno. */
	int (*upgrade)(void *ctx);
	/* {done: N, failed: N, last_failure: TEXT|null}, since the daemon started. A new reference; NULL = no memory. */
	json_t *(*upgrades)(void *ctx);
};

/* What all handlers may use; borrowed, lives as long as the fronts. */
struct api {
	struct store *store;
	struct registry *registry;
	struct identity *identity;
	struct hub *hub;
	struct images *images;
	const struct settings *settings;
	const struct front_stats *guest_stats;
	const struct api_tree *tree; /* NULL: there is none */
	const struct api_keeper *keeper;
	const char *location; /* host's name or the configured one */
	uint64_t started_us;  /* realtime */
};

enum method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_PATCH,
	METHOD_DELETE,
	METHOD_OTHER
};
/* Exact, upper case; METHOD_OTHER for what is not in the list. */
enum method method_parse(const char *name);
/* "GET", ...; "OTHER" for METHOD_OTHER. Constant. */
const char *method_name(enum method m);

#define TARGET_SEGMENTS_MAX 12

/*
 * A request target taken apart: percent-decoded once, segment by segment, so
 * that %2F inside a segment is data. `//` collapses; absolute-form loses scheme and authority; a trailing
 * '/' gives an empty last segment except for "/" itself. Segments may hold any byte but NUL.
 */
struct target {
	char *storage; /* owns what follows */
	size_t n_segments;
	const char *segments[TARGET_SEGMENTS_MAX];
	const char *query; /* raw, without '?'; NULL when absent */
};
/* Frees and zeroes it. */
void target_finish(struct target *t);

/*
 * Parses @n bytes of a request line's target. Pure. Returns 0, -EINVAL (bad percent-encoding, an
 * encoded NUL, a raw control character, a "." or ".." segment however written, neither '/' nor a
 * scheme in front), -E2BIG (too many segments: no route has them), or -ENOMEM. Release *ret with
 * target_finish().
 */
int target_parse(const char *text, size_t n, struct target *ret);

/*
 * The first value of @name in a raw query (NULL: none), decoded ('+' is a
 * space), caller frees. As in Go, pairs with a ';' do not count. Returns 0, -ENOENT, -EINVAL
 * (that value is badly encoded or holds NUL) or -ENOMEM.
 */
int query_get(const char *query, const char *name, char **ret);

/* What a request's header says of going on as a websocket; NULL: nothing. */
struct request_upgrade {
	bool is_http_1_1;
	const char *upgrade, *connection, *version, *key, *origin, *host;
};

/* What a header says of the part that is wanted and on what conditions; NULL: nothing. */
struct request_conditions {
	const char *match, *none_match, *modified_since, *unmodified_since, *range, *if_range;
};

struct request {
	const struct api *api;
	enum method method;
	const struct target *target;
	const char *params[4]; /* segments that matched {…} of the route's template, in order */
	const char *body;      /* never NULL */
	size_t body_len;
	struct request_upgrade upgrade;
	struct request_conditions conditions;
	/* Guest routes: who asks. Admin routes: NULL. */
	struct instance *instance;
	struct snapshot *snapshot;
	const struct boot *boot;
};
