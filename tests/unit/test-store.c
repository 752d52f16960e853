/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store without its thread: what is in force after a start and after store_load()
 */
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
};

static void observe(void *ctx, const struct diff *d)
{
	struct fixture *f = ctx;
	char sign = !d->old_snapshot ? '+' : !d->new_snapshot ? '-' : '~';

	assert_int_equal(buf_printf(&f->seen, "%c%s ", sign,
				    snapshot_name(d->new_snapshot ?: d->old_snapshot)),
			 0);
}

static void assert_seen(struct fixture *f, const char *expected)
{
	assert_string_equal(f->seen.data ?: "", expected);
	buf_finish(&f->seen);
}

static int start(struct fixture *f)
{
	const struct store_options options = {.conf_dir = f->conf,
					      .state_dir = f->state,
					      .settings = &f->settings,
					      .registry = f->registry,
					      .identity = f->identity,
					      .observer = observe,
					      .observer_ctx = f};

	assert_int_equal(dir_init(), 0);
	return store_new(&options, &f->store);
}

static void stop(struct fixture *f)
{
	f->store = store_free(f->store);
	f->identity = identity_free(f->identity);
	f->registry = registry_free(f->registry);
	f->registry = registry_new();
	assert_non_null(f->registry);
	assert_int_equal(identity_new(f->registry, 16, &f->identity), 0);
	buf_finish(&f->seen);
}

static int setup(void **state)
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

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	store_free(f->store);
	identity_free(f->identity);
	registry_free(f->registry);
	settings_finish(&f->settings);
	buf_finish(&f->seen);
	r = scratch_teardown(&f->scratch);
	free(f->conf);
	free(f->state);
	free(f);
	return r;
}

static void write_file(struct fixture *f, const char *name, const char *text)
{
	_cleanup_(freep) char *path = scratch_path(&f->scratch, name);

	assert_int_equal(file_write(AT_FDCWD, path, 0644, text, strlen(text), FILE_SYNC_NONE), 0);
}

static void remove_file(struct fixture *f, const char *name)
{
	_cleanup_(freep) char *path = scratch_path(&f->scratch, name);

	assert_int_equal(remove(path), 0);
}

static struct snapshot *snapshot_of(struct fixture *f, const char *name)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(f->registry, name);

	return i ? instance_snapshot(i) : NULL;
}

/* The value of @key as a guest would get it; NULL without instance or key. */
static void assert_value(struct fixture *f, const char *name, const char *key, const char *expected)
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

static char *id_of(struct fixture *f, const char *name)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = snapshot_of(f, name);

	assert_non_null(s);
	return strdup(snapshot_instance_id(s));
}

static int load(struct fixture *f, enum record_kind kind, const char *name)
{
	_cleanup_(buf_finish) struct buf error = {0};

	return store_load(f->store, kind, name, NULL, &error);
}

/* The error of the record, cut of the scratch directory's name; NULL when it is not rejected. */
static char *error_of(struct fixture *f, const char *name)
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

static void assert_error(struct fixture *f, const char *name, const char *expected)
{
	_cleanup_(freep) char *error = error_of(f, name);

	if (!expected) {
		assert_null(error);
	} else {
		assert_non_null(error);
		assert_string_equal(error, expected);
	}
}

static void test_start(void **state)
{
	struct fixture *f = *state;
	json_auto_t *status = NULL;

	write_file(f, "conf/instances/a.yaml", "config: {user.x: 1}\n");
	write_file(f, "conf/instances/b.yml", "profiles: [web]\n");
	write_file(f, "state/instances/c.json", "{\"config\": {\"user.x\": \"3\"}}");
	write_file(f, "state/profiles/web.json", "{\"config\": {\"user.x\": \"web\"}}");
	write_file(f, "conf/instances/.hidden.yaml", "{");
	write_file(f, "conf/instances/a.yaml~", "{");
	write_file(f, "conf/instances/README", "hello");
	write_file(f, "state/instances/d.yaml", "{}");
	assert_int_equal(start(f), 0);
	assert_value(f, "a", "user.x", "1");
	assert_value(f, "b", "user.x", "web");
	assert_value(f, "c", "user.x", "3");
	assert_int_equal(registry_size(f->registry), 3);
	status = store_status(f->store);
	assert_int_equal(json_integer_value(json_object_get(status, "instances")), 3);
	assert_int_equal(json_integer_value(json_object_get(status, "profiles")), 1);
	assert_int_equal(json_integer_value(json_object_get(status, "rejected")), 2);
	assert_int_equal(json_array_size(json_object_get(status, "directories")), 4);
	{
		_cleanup_(freep) char *odd = scratch_path(&f->scratch, "conf/instances/README");
		_cleanup_(freep) char *yaml = scratch_path(&f->scratch, "state/instances/d.yaml");

		assert_error(
			f, odd,
			"/conf/instances/README: not the name of a record; expected NAME.yaml or "
			"NAME.json");
		assert_error(
			f, yaml,
			"/state/instances/d.yaml: not the name of a record; expected NAME.json");
	}
}

static void test_start_without_directories(void **state)
{
	struct fixture *f = *state;
	json_auto_t *status = NULL;

	free(f->conf);
	f->conf = scratch_path(&f->scratch, "nowhere");
	assert_int_equal(start(f), 0);
	status = store_status(f->store);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(status, "directories"), 0), "error")),
		"No such file or directory");
}

/* Nobody can be told that there is nothing when it just cannot be read. */
static int start_unprivileged(struct fixture *f)
{
	_cleanup_(freep) char *path = scratch_path(&f->scratch, "conf/instances");
	int status;
	pid_t pid;

	assert_int_equal(chmod(path, 0), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 &&
		    (chmod(f->scratch, 0777) < 0 || setresuid(65534, 65534, 65534) < 0))
			_exit(99);
		_exit(-start(f));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(chmod(path, 0700), 0);
	return WEXITSTATUS(status);
}

static void test_start_with_unreadable_directory(void **state)
{
	assert_int_equal(start_unprivileged(*state), EACCES);
}

static void test_bad_record_at_start(void **state)
{
	struct fixture *f = *state;

	write_file(f, "conf/instances/a.yaml", "config:\n  user.x: [secret]\n");
	write_file(f, "conf/instances/b.json", "{}");
	assert_int_equal(start(f), 0);
	assert_seen(f, "+b ");
	assert_error(
		f, "a",
		"/conf/instances/a.yaml:2:11: config.\"user.x\": expected a string, found a list");
	assert_error(f, "b", NULL);
}

static void test_last_good_state_stays(void **state)
{
	_cleanup_(buf_finish) struct buf error = {0};
	struct fixture *f = *state;
	json_auto_t *list = NULL;

	write_file(f, "state/instances/a.json", "{\"config\": {\"user.x\": \"1\"}}");
	assert_int_equal(start(f), 0);
	write_file(f, "state/instances/a.json", "{\"config\": {\"user.x\": \"2\", }}");
	assert_int_equal(store_load(f->store, RECORD_INSTANCE, "a", NULL, &error),
			 STORE_E_REJECTED);
	assert_non_null(strstr(error.data, "/state/instances/a.json:1:28: string or '}' expected"));
	assert_value(f, "a", "user.x", "1");
	list = store_rejected(f->store);
	assert_int_equal(json_array_size(list), 1);
	assert_true(json_is_true(json_object_get(json_array_get(list, 0), "in_force")));
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "kind")),
			    "instance");
	write_file(f, "state/instances/a.json", "{\"config\": {\"user.x\": \"3\"}}");
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
	assert_value(f, "a", "user.x", "3");
	assert_error(f, "a", NULL);
	assert_seen(f, "+a ~a ");
}

static void test_changes_are_told(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};
	json_auto_t *changes = NULL, *expected = NULL;

	write_file(
		f, "state/instances/a.json",
		"{\"config\": {\"user.x\": \"1\", \"user.y\": \"1\"}, \"devices\": {\"d\": {\"type\": \"nic\"}}}");
	assert_int_equal(start(f), 0);
	write_file(f, "state/instances/a.json",
		   "{\"config\": {\"user.x\": \"2\", \"user.z\": \"1\"}, \"devices\": {}}");
	assert_int_equal(store_load(f->store, RECORD_INSTANCE, "a", &changes, &error), 0);
	expected = json_pack("[{ssssssss} {ssssssss} {ssssssss} {ssssssss}]", "instance", "a",
			     "kind", "config", "action", "updated", "name", "user.x", "instance",
			     "a", "kind", "config", "action", "removed", "name", "user.y",
			     "instance", "a", "kind", "config", "action", "added", "name", "user.z",
			     "instance", "a", "kind", "device", "action", "removed", "name", "d");
	assert_true(json_equal(changes, expected));
	/* Nothing new: nothing happens. */
	json_decref(steal_ptr(&changes));
	assert_int_equal(store_load(f->store, RECORD_INSTANCE, "a", &changes, &error), 0);
	assert_int_equal(json_array_size(changes), 0);
	assert_seen(f, "+a ~a ");
}

static void test_delete_is_believed_when_told(void **state)
{
	struct fixture *f = *state;

	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(start(f), 0);
	remove_file(f, "state/instances/a.json");
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), STORE_E_NOT_FOUND);
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), STORE_E_NOT_FOUND);
	assert_int_equal(load(f, RECORD_INSTANCE, "../a"), STORE_E_NOT_FOUND);
	assert_seen(f, "+a -a ");
	assert_int_equal(registry_size(f->registry), 0);
}

/* What is told of a directory that is not there is no news of its records. */
static void test_missing_directory_keeps_records(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = scratch_path(&f->scratch, "state/instances");
	_cleanup_(freep) char *away = scratch_path(&f->scratch, "away");

	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(start(f), 0);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
	assert_seen(f, "+a ");
}

#define TWICE                                                                                      \
	"/conf/instances/a.yaml: the name also stands in /state/instances/a.json; remove one of them"

static void test_name_in_both(void **state)
{
	struct fixture *f = *state;

	write_file(f, "conf/instances/a.yaml", "config: {user.x: conf}\n");
	assert_int_equal(start(f), 0);
	write_file(f, "state/instances/a.json", "{\"config\": {\"user.x\": \"state\"}}");
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), STORE_E_REJECTED);
	assert_error(f, "a", TWICE);
	assert_value(f, "a", "user.x", "conf");
	remove_file(f, "conf/instances/a.yaml");
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
	assert_value(f, "a", "user.x", "state");
	assert_error(f, "a", NULL);
	assert_seen(f, "+a ~a ");
}

static void test_name_in_both_at_start(void **state)
{
	struct fixture *f = *state;

	write_file(f, "conf/instances/a.yaml", "{}\n");
	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(start(f), 0);
	assert_error(f, "a", TWICE);
	assert_seen(f, "");
}

static void test_profile_reaches_instances(void **state)
{
	struct fixture *f = *state;

	write_file(f, "conf/profiles/web.yaml", "config: {user.x: 1, user.y: 1}\n");
	write_file(f, "conf/instances/a.yaml", "profiles: [default, web]\nconfig: {user.y: 2}\n");
	write_file(f, "conf/instances/b.yaml", "{}\n");
	assert_int_equal(start(f), 0);
	assert_value(f, "a", "user.x", "1");
	buf_finish(&f->seen);
	write_file(f, "conf/profiles/web.yaml", "config: {user.x: 3, user.y: 1}\n");
	assert_int_equal(load(f, RECORD_PROFILE, "web"), 0);
	assert_value(f, "a", "user.x", "3");
	assert_value(f, "a", "user.y", "2");
	assert_seen(f, "~a ");
	/* A bad one reaches nobody. */
	write_file(f, "conf/profiles/web.yaml", "config: [user.x]\n");
	assert_int_equal(load(f, RECORD_PROFILE, "web"), STORE_E_REJECTED);
	assert_value(f, "a", "user.x", "3");
	assert_error(f, "web",
		     "/conf/profiles/web.yaml:1:9: config: expected an object, found a list");
	assert_seen(f, "");
}

static void test_default_profile(void **state)
{
	struct fixture *f = *state;

	write_file(f, "conf/instances/a.yaml", "{}\n");
	assert_int_equal(start(f), 0);
	write_file(f, "state/profiles/default.json", "{\"config\": {\"user.x\": \"d\"}}");
	assert_int_equal(load(f, RECORD_PROFILE, "default"), 0);
	assert_value(f, "a", "user.x", "d");
	remove_file(f, "state/profiles/default.json");
	assert_int_equal(load(f, RECORD_PROFILE, "default"), STORE_E_NOT_FOUND);
	assert_value(f, "a", "user.x", NULL);
	assert_seen(f, "+a ~a ~a ");
	assert_error(f, "a", NULL);
}

/* A profile may say security.devlxd=false: an unreadable one is not the same as none. */
static void test_bad_default_profile_at_start(void **state)
{
	struct fixture *f = *state;

	write_file(f, "conf/profiles/default.yaml", "config: [\n");
	write_file(f, "conf/instances/a.yaml", "{}\n");
	assert_int_equal(start(f), 0);
	assert_error(
		f, "a",
		"/conf/instances/a.yaml: profiles[0]: the profile \"default\" is itself rejected");
	remove_file(f, "conf/profiles/default.yaml");
	assert_int_equal(load(f, RECORD_PROFILE, "default"), STORE_E_NOT_FOUND);
	assert_error(f, "a", NULL);
	assert_seen(f, "+a ");
}

#define NO_WEB                                                                                     \
	"/conf/instances/a.yaml: profiles[0]: there is no profile \"web\"; make it with "          \
	"devlxdfs profile create web"

static void test_missing_profile(void **state)
{
	struct fixture *f = *state;

	write_file(f, "conf/instances/a.yaml", "profiles: [web]\n");
	assert_int_equal(start(f), 0);
	assert_error(
		f, "a",
		"/conf/instances/a.yaml: profiles[0]: there is no profile \"web\"; make it with "
		"devlxdfs profile create web");
	write_file(f, "state/profiles/web.json", "{\"config\": {\"user.x\": \"1\"}}");
	assert_int_equal(load(f, RECORD_PROFILE, "web"), 0);
	assert_error(f, "a", NULL);
	assert_value(f, "a", "user.x", "1");
	/* Taken away, it stays with those who have it. */
	remove_file(f, "state/profiles/web.json");
	assert_int_equal(load(f, RECORD_PROFILE, "web"), STORE_E_NOT_FOUND);
	assert_error(f, "a", NO_WEB);
	assert_value(f, "a", "user.x", "1");
	assert_seen(f, "+a ");
}

static void test_instance_id(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *first = NULL, *second = NULL, *third = NULL, *fourth = NULL,
			      *fifth = NULL;

	write_file(f, "state/instances/a.json", "{\"config\": {\"user.user-data\": \"1\"}}");
	assert_int_equal(start(f), 0);
	first = id_of(f, "a");
	assert_int_equal(strlen(first), 36);
	write_file(f, "state/instances/a.json",
		   "{\"config\": {\"user.user-data\": \"1\", \"user.role\": \"x\"}}");
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
	second = id_of(f, "a");
	assert_string_equal(first, second);
	stop(f);
	assert_int_equal(start(f), 0);
	third = id_of(f, "a");
	assert_string_equal(first, third);
	write_file(f, "state/instances/a.json", "{\"config\": {\"user.user-data\": \"2\"}}");
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
	fourth = id_of(f, "a");
	assert_string_not_equal(first, fourth);
	/* Changed while nobody looked. */
	stop(f);
	write_file(f, "state/instances/a.json", "{\"config\": {\"user.user-data\": \"3\"}}");
	assert_int_equal(start(f), 0);
	fifth = id_of(f, "a");
	assert_string_not_equal(fourth, fifth);
}

static void test_instance_id_through_profile(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *first = NULL, *second = NULL, *third = NULL;

	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(start(f), 0);
	first = id_of(f, "a");
	write_file(f, "state/profiles/default.json", "{\"config\": {\"user.role\": \"x\"}}");
	assert_int_equal(load(f, RECORD_PROFILE, "default"), 0);
	second = id_of(f, "a");
	assert_string_equal(first, second);
	write_file(f, "state/profiles/default.json",
		   "{\"config\": {\"cloud-init.user-data\": \"x\"}}");
	assert_int_equal(load(f, RECORD_PROFILE, "default"), 0);
	third = id_of(f, "a");
	assert_string_not_equal(first, third);
}

static void test_pinned_instance_id(void **state)
{
	static const char pinned[] =
		"{\"config\": {\"volatile.cloud-init.instance-id\": \"pin\", \"user.user-data\": \"%d\"}}";
	struct fixture *f = *state;
	_cleanup_(freep) char *first = NULL, *second = NULL;
	char text[128];

	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(start(f), 0);
	first = id_of(f, "a");
	for (int i = 0; i < 2; i++) {
		_cleanup_(freep) char *id = NULL;

		snprintf(text, sizeof(text), pinned, i);
		write_file(f, "state/instances/a.json", text);
		assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
		id = id_of(f, "a");
		assert_string_equal(id, "pin");
	}
	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
	second = id_of(f, "a");
	assert_string_equal(first, second);
}

static void test_broken_volatile_file(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *first = NULL, *second = NULL;

	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(start(f), 0);
	first = id_of(f, "a");
	stop(f);
	write_file(f, "state/volatile/a.json", "{\"instance");
	assert_int_equal(start(f), 0);
	second = id_of(f, "a");
	assert_string_not_equal(first, second);
}

static bool is_ready(struct fixture *f, const char *name, const struct boot *boot)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(f->registry, name);

	assert_non_null(i);
	return instance_is_ready(i, boot);
}

static int set_ready(struct fixture *f, const char *name, const struct boot *boot, bool ready)
{
	_cleanup_(instance_unrefp) struct instance *i = registry_find(f->registry, name);

	return store_set_ready(f->store, i, boot, ready);
}

static void test_ready(void **state)
{
	const struct boot first = {1, 2, 3}, second = {1, 5, 6}, unknown = {0};
	struct fixture *f = *state;

	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(start(f), 0);
	assert_int_equal(set_ready(f, "a", &unknown, true), 0);
	assert_false(is_ready(f, "a", &unknown));
	assert_int_equal(set_ready(f, "a", &first, true), 0);
	assert_true(is_ready(f, "a", &first));
	assert_int_equal(set_ready(f, "a", &second, false), 0); /* another run's word */
	assert_true(is_ready(f, "a", &first));
	stop(f);
	assert_int_equal(start(f), 0);
	assert_true(is_ready(f, "a", &first));
	assert_false(is_ready(f, "a", &second));
	assert_int_equal(set_ready(f, "a", &first, false), 0);
	assert_false(is_ready(f, "a", &first));
	stop(f);
	assert_int_equal(start(f), 0);
	assert_false(is_ready(f, "a", &first));
}

/* What cannot be kept has not happened; and the id survives being lost on disk. */
static void test_ready_without_disk(void **state)
{
	const struct boot boot = {1, 2, 3};
	struct fixture *f = *state;
	_cleanup_(freep) char *volatile_dir = scratch_path(&f->scratch, "state/volatile");
	_cleanup_(freep) char *away = scratch_path(&f->scratch, "away");
	_cleanup_(freep) char *first = NULL, *second = NULL;

	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(start(f), 0);
	first = id_of(f, "a");
	assert_int_equal(rename(volatile_dir, away), 0);
	write_file(f, "state/volatile", "not a directory");
	assert_int_equal(set_ready(f, "a", &boot, true), -ENOTDIR);
	assert_false(is_ready(f, "a", &boot));
	remove_file(f, "state/volatile");
	assert_int_equal(set_ready(f, "a", &boot, true), 0);
	stop(f);
	assert_int_equal(start(f), 0);
	second = id_of(f, "a");
	assert_string_equal(first, second);
	assert_true(is_ready(f, "a", &boot));
}

struct guest {
	char *path; /* of its cgroup's directory */
	pid_t pid;
};

/* A process in a cgroup of its own. False, with the reason on stdout, where that is refused. */
static bool guest_start(struct guest *g)
{
	_cleanup_(freep) char *root = NULL, *procs = NULL;
	_cleanup_(closep) int root_fd = cgroup_open_root(&root), fd = -1;
	char pid[16];

	*g = (struct guest){0};
	if (root_fd < 0 || asprintf(&g->path, "%s/devlxdfs-test-%d", root, getpid()) < 0 ||
	    asprintf(&procs, "%s/cgroup.procs", g->path) < 0 || mkdir(g->path, 0755) < 0) {
		printf("skipped: cannot make a cgroup: %s\n", strerror(errno));
		return false;
	}
	g->pid = fork();
	if (g->pid == 0) {
		pause();
		_exit(0);
	}
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	snprintf(pid, sizeof(pid), "%d", g->pid);
	assert_int_equal(write(fd, pid, strlen(pid)), strlen(pid));
	return true;
}

static void guest_stop(struct guest *g)
{
	kill(g->pid, SIGKILL);
	assert_int_equal(waitpid(g->pid, NULL, 0), g->pid);
	assert_int_equal(rmdir(g->path), 0);
	free(g->path);
}

static void test_binding(void **state)
{
	struct fixture *f = *state;
	char path[CGROUP_PATH_MAX], *name;
	struct guest g;
	uint64_t id;

	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(start(f), 0);
	assert_int_equal(store_unbind(f->store, "a"), -ENOENT);
	assert_int_equal(store_bind(f->store, "zzz", getpid()), STORE_E_NOT_FOUND);
	assert_int_equal(store_unbind(f->store, "zzz"), STORE_E_NOT_FOUND);
	if (!guest_start(&g))
		skip();
	name = strrchr(g.path, '/');
	assert_int_equal(store_bind(f->store, "a", g.pid), 0);
	assert_int_equal(registry_binding(f->registry, "a", path, &id), 0);
	assert_string_equal(path, name);
	stop(f);
	assert_int_equal(start(f), 0);
	assert_int_equal(registry_binding(f->registry, "a", path, &id), 0);
	assert_string_equal(path, name);
	/* A record that goes and comes back is bound again. */
	remove_file(f, "state/instances/a.json");
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), STORE_E_NOT_FOUND);
	write_file(f, "state/instances/a.json", "{}");
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
	assert_int_equal(registry_binding(f->registry, "a", path, &id), 0);
	assert_int_equal(store_unbind(f->store, "a"), 0);
	assert_int_equal(registry_binding(f->registry, "a", path, &id), -ENOENT);
	/* Nor does a binding outlive its cgroup, whatever is made under its name. */
	assert_int_equal(store_bind(f->store, "a", g.pid), 0);
	guest_stop(&g);
	stop(f);
	assert_true(guest_start(&g));
	assert_int_equal(start(f), 0);
	assert_int_equal(registry_binding(f->registry, "a", path, &id), -ENOENT);
	guest_stop(&g);
}

static void test_many(void **state)
{
	enum {
		N = 500
	};
	struct fixture *f = *state;
	json_auto_t *changes = NULL;
	_cleanup_(buf_finish) struct buf error = {0};

	for (int i = 0; i < N; i++) {
		char name[64];

		snprintf(name, sizeof(name), "state/instances/i%d.json", i);
		write_file(f, name, i % 2 ? "{\"profiles\": [\"web\"]}" : "{}");
	}
	write_file(f, "state/profiles/web.json", "{\"config\": {\"user.x\": \"1\"}}");
	assert_int_equal(start(f), 0);
	assert_int_equal(registry_size(f->registry), N);
	write_file(f, "state/profiles/web.json", "{\"config\": {\"user.x\": \"2\"}}");
	assert_int_equal(store_load(f->store, RECORD_PROFILE, "web", &changes, &error), 0);
	assert_int_equal(json_array_size(changes), N / 2);
	assert_value(f, "i499", "user.x", "2");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static size_t count(const char *text, const char *words)
{
	size_t n = 0;

	while ((text = strstr(text, words))) {
		text += strlen(words);
		n++;
	}
	return n;
}

/* A stamp is young for a while, and the file is read again for every hint. */
static void test_a_version_is_talked_of_once(void **state)
{
	struct fixture *f = *state;
	_cleanup_(closep) int saved_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	_cleanup_(closep) int memory_fd = memfd_create("log", MFD_CLOEXEC);
	char text[4096] = "";

	assert_true(saved_fd >= 0 && memory_fd >= 0);
	start(f);
	dup2(memory_fd, STDERR_FILENO);
	write_file(f, "conf/instances/web1.yaml", "config: {cloud-init.usr-data: x}");
	for (size_t i = 0; i < 3; i++)
		load(f, RECORD_INSTANCE, "web1");
	write_file(f, "conf/instances/web1.yaml", "config: {user.x: []}");
	for (size_t i = 0; i < 3; i++)
		load(f, RECORD_INSTANCE, "web1");
	write_file(f, "conf/instances/web1.yaml", "config: {user.x: [], user.y: x}");
	load(f, RECORD_INSTANCE, "web1");
	dup2(saved_fd, STDERR_FILENO);
	assert_true(pread(memory_fd, text, sizeof(text) - 1, 0) > 0);
	assert_int_equal(count(text, "nobody reads this key"), 1);
	assert_int_equal(count(text, "expected a string"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_start),
		TEST(test_start_without_directories),
		TEST(test_start_with_unreadable_directory),
		TEST(test_bad_record_at_start),
		TEST(test_last_good_state_stays),
		TEST(test_a_version_is_talked_of_once),
		TEST(test_changes_are_told),
		TEST(test_delete_is_believed_when_told),
		TEST(test_missing_directory_keeps_records),
		TEST(test_name_in_both),
		TEST(test_name_in_both_at_start),
		TEST(test_profile_reaches_instances),
		TEST(test_default_profile),
		TEST(test_bad_default_profile_at_start),
		TEST(test_missing_profile),
		TEST(test_instance_id),
		TEST(test_instance_id_through_profile),
		TEST(test_pinned_instance_id),
		TEST(test_broken_volatile_file),
		TEST(test_ready),
		TEST(test_ready_without_disk),
		TEST(test_binding),
		TEST(test_many),
	};

	log_init("test-store", LOG_LEVEL_WARNING);
	assert_null(store_free(NULL));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
