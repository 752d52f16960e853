#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking who a caller is, for the tests of identity. Needs cmocka and guests.h.
 */
#include <fcntl.h>

#include "core/identity.h"
#include "core/registry.h"
#include "guests.h"

#define MAPPED "0 100000 65536" /* the uid map of an unprivileged guest */
#define ROOT   100000           /* its root, as the host sees it */

static inline bool feature(struct guests *g, const char *name)
{
	json_auto_t *features = identity_features(g->identity);

	return json_is_true(json_object_get(features, name));
}

static inline void begin(struct guests *g, void **state)
{
	*state = NULL;
	assert_true(guests_init(g, 64));
	*state = g;
}

static inline int end(void **state)
{
	if (*state)
		guests_finish(*state);
	return 0;
}

/* Each test has its world in static memory: a failing assertion leaves the stack, end() cleans up. */
#define WORLD(g)                                                                                   \
	static struct guests g##_storage;                                                          \
	struct guests *g = &g##_storage;                                                           \
	begin(g, state)

/* The outcome for a connection (closed), and whose it is: NULL when nobody's. */
static inline int ask(struct guests *g, int fd, const char **ret_name)
{
	_cleanup_(caller_finish) struct caller c = {0};
	int r = identity_peer(g->identity, fd, &c);

	close(fd);
	*ret_name = NULL;
	if (c.instance) {
		_cleanup_(instance_unrefp) struct instance *same =
			registry_find(g->registry, instance_name(c.instance));

		assert_ptr_equal(same, c.instance);
		*ret_name = instance_name(same); /* the registry keeps it */
	}
	return r;
}

/* Asks twice: what is cached must be what was found. */
static inline void assert_is(struct guests *g, int fd, int outcome, const char *name)
{
	for (int i = 0; i < 2; i++) {
		const char *got;
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

		assert_int_equal(ask(g, copy, &got), outcome);
		if (name)
			assert_string_equal(got, name);
		else
			assert_null(got);
	}
	close(fd);
}

#define WORLD_TEST(f) cmocka_unit_test_teardown(f, end)
