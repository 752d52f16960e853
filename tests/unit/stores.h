#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A store on scratch directories, written and asked by tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/log.h"
#include "core/cgroup.h"
#include "core/diff.h"
#include "core/settings.h"
#include "core/snapshot.h"
#include "core/table.h"
#include "scratch.h"
#include "store/dir.h"
#include "store/store.h"

struct fixture {
	void *scratch;
	char *conf, *state;
	struct settings settings;
	struct registry *registry;
	struct identity *identity;
	struct store *store;
	struct buf seen; /* by the observer: "+a" made, "~a" changed, "-a" gone */
	struct buf told; /* by the listener: "ready a", "bound a", "rejected a" */
};

static inline void observe(void *ctx, const struct diff *d)
{
	struct fixture *f = ctx;
	char sign = !d->old_snapshot ? '+' : !d->new_snapshot ? '-' : '~';

	assert_int_equal(buf_printf(&f->seen, "%c%s ", sign,
				    snapshot_name(d->new_snapshot ?: d->old_snapshot)),
			 0);
}

static inline void note(struct fixture *f, const char *what, const char *name)
{
	assert_int_equal(buf_printf(&f->told, "%s %s ", what, name ?: "-"), 0);
}

static inline void note_ready(void *ctx, const char *name)
{
	note(ctx, "ready", name);
}

static inline void note_bound(void *ctx, const char *name)
{
	note(ctx, "bound", name);
}

static inline void note_rejected(void *ctx, const char *name, const char *reason)
{
	assert_true(*reason);
	note(ctx, "rejected", name);
}

static inline void assert_told(struct fixture *f, const char *expected)
{
	assert_string_equal(f->told.data ?: "", expected);
	buf_finish(&f->told);
}

static inline void assert_seen(struct fixture *f, const char *expected)
{
	assert_string_equal(f->seen.data ?: "", expected);
	buf_finish(&f->seen);
}

static inline int start(struct fixture *f)
{
	static const struct store_listener listener = {
		.ready = note_ready, .bound = note_bound, .rejected = note_rejected};
	const struct store_options options = {.conf_dir = f->conf,
					      .state_dir = f->state,
					      .settings = &f->settings,
					      .registry = f->registry,
					      .identity = f->identity,
					      .observer = observe,
					      .observer_ctx = f,
					      .listener = &listener};

	assert_int_equal(dir_init(), 0);
	return store_new(&options, &f->store);
}

static inline void stop(struct fixture *f)
{
	f->store = store_free(f->store);
	f->identity = identity_free(f->identity);
	f->registry = registry_free(f->registry);
	f->registry = registry_new();
	assert_non_null(f->registry);
	assert_int_equal(identity_new(f->registry, 16, &f->identity), 0);
	buf_finish(&f->seen);
	buf_finish(&f->told);
}

static inline int setup(void **state)
{
	static const char *const names[] = {"conf/instances", "conf/profiles", "state/instances",
					    "state/profiles"};
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || scratch_setup(&f->scratch) < 0)
		return -1;
	f->conf = scratch_path(&f->scratch, "conf");
	f->state = scratch_path(&f->scratch, "state");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(freep) char *path = scratch_path(&f->scratch, names[i]);

		if (file_mkdirs(path, 0755) < 0)
			return -1;
	}
	settings_init(&f->settings);
	f->registry = registry_new();
	if (!f->registry || identity_new(f->registry, 16, &f->identity) < 0)
		return -1;
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	store_free(f->store);
	identity_free(f->identity);
	registry_free(f->registry);
	settings_finish(&f->settings);
	buf_finish(&f->seen);
	buf_finish(&f->told);
	r = scratch_teardown(&f->scratch);
	free(f->conf);
	free(f->state);
	free(f);
	return r;
}

static inline void write_file(struct fixture *f, const char *name, const char *text)
{
	_cleanup_(freep) char *path = scratch_path(&f->scratch, name);

	assert_int_equal(file_write(AT_FDCWD, path, 0644, text, strlen(text), FILE_SYNC_NONE), 0);
}

static inline void remove_file(struct fixture *f, const char *name)
{
	_cleanup_(freep) char *path = scratch_path(&f->scratch, name);

	assert_int_equal(remove(path), 0);
}

static inline struct snapshot *snapshot_of(struct fixture *f, const char *name)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(f->registry, name);

	return i ? instance_snapshot(i) : NULL;
}

/* The value of @key as a guest would get it; NULL without instance or key. */
static inline void assert_value(struct fixture *f, const char *name, const char *key,
				const char *expected)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = snapshot_of(f, name);
	const char *value = s ? snapshot_config(s, key, NULL) : NULL;

	if (expected)
		assert_non_null(value);
	if (expected)
		assert_string_equal(value, expected);
	else
		assert_null(value);
}

static inline char *id_of(struct fixture *f, const char *name)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = snapshot_of(f, name);

	assert_non_null(s);
	return strdup(snapshot_instance_id(s));
}

static inline int load(struct fixture *f, enum record_kind kind, const char *name)
{
	_cleanup_(buf_finish) struct buf error = {0};

	return store_load(f->store, kind, name, NULL, &error);
}

/* The error of the record, cut of the scratch directory's name; NULL when it is not rejected. */
static inline char *error_of(struct fixture *f, const char *name)
{
	json_auto_t *list = store_rejected(f->store);
	struct buf b = {0};
	size_t i;
	json_t *entry;

	json_array_foreach (list, i, entry) {
		const char *p = json_string_value(json_object_get(entry, "error")), *at;

		if (!streq(json_string_value(json_object_get(entry, "name")), name))
			continue;
		for (; (at = strstr(p, f->scratch)); p = at + strlen(f->scratch))
			assert_int_equal(buf_append(&b, p, at - p), 0);
		assert_int_equal(buf_puts(&b, p), 0);
	}
	return b.data;
}

static inline void assert_error(struct fixture *f, const char *name, const char *expected)
{
	_cleanup_(freep) char *error = error_of(f, name);

	if (!expected) {
		assert_null(error);
	} else {
		assert_non_null(error);
		assert_string_equal(error, expected);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
