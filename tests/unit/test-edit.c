/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Editing the store: what is written, what is refused, and what survives company and a full disk
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <sys/wait.h>

#include "base/file.h"
#include "scratch.h"
#include "store/edit.h"

struct fixture {
	void *scratch;
	char *conf, *state;
	struct edit *edit;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_(freep) char *instances = NULL, *profiles = NULL;

	if (!f || scratch_setup(&f->scratch) < 0)
		return -1;
	f->conf = scratch_path(&f->scratch, "conf");
	f->state = scratch_path(&f->scratch, "state");
	instances = scratch_path(&f->scratch, "conf/instances");
	profiles = scratch_path(&f->scratch, "conf/profiles");
	if (file_mkdirs(instances, 0755) < 0 || file_mkdirs(profiles, 0755) < 0)
		return -1;
	*state = f;
	return edit_new(f->conf, f->state, &f->edit);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	edit_free(f->edit);
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

static char *read_file(struct fixture *f, const char *name)
{
	_cleanup_(freep) char *path = scratch_path(&f->scratch, name);
	char *text = NULL;
	size_t n;

	return file_read(AT_FDCWD, path, 1 << 24, &text, &n) == 0 ? text : NULL;
}

static bool file_exists(struct fixture *f, const char *name)
{
	_cleanup_(freep) char *path = scratch_path(&f->scratch, name);

	return access(path, F_OK) == 0;
}

static int store(struct fixture *f, enum record_kind kind, const char *name, const char *json,
		 bool must_be_new, bool *ret_changed, struct buf *error)
{
	json_auto_t *record = json_loads(json, 0, NULL);

	assert_non_null(record);
	return edit_store(f->edit, kind, name, record, must_be_new, ret_changed, NULL, error);
}

/* What is said, with the scratch directory's own name cut out. */
static void assert_said(struct fixture *f, struct buf *error, const char *text)
{
	_cleanup_(buf_finish) struct buf short_text = {0};
	const char *p = error->data, *at;

	assert_non_null(p);
	while ((at = strstr(p, f->scratch))) {
		assert_int_equal(buf_append(&short_text, p, at - p), 0);
		p = at + strlen(f->scratch);
	}
	assert_int_equal(buf_puts(&short_text, p), 0);
	assert_string_equal(short_text.data, text);
	buf_finish(error);
}

static void test_makes_state(void **state)
{
	static const char *const names[] = {"state", "state/instances", "state/profiles",
					    "state/volatile"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(freep) char *path = scratch_path(&f->scratch, names[i]);
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode, S_IFDIR | 0750);
	}
}

static void test_writes(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *path = scratch_path(&f->scratch, "state/instances/web1.json");
	_cleanup_(freep) char *text = NULL, *loaded_path = NULL;
	json_auto_t *loaded = NULL;
	struct stat st;
	bool changed = false, in_conf = true;

	assert_int_equal(
		store(f, RECORD_INSTANCE, "web1",
		      "{\"type\": \"container\", \"config\": {\"b\": \"2\", \"a\": \"1\"}}", true,
		      &changed, &error),
		0);
	assert_true(changed);
	text = read_file(f, "state/instances/web1.json");
	assert_string_equal(text, "{\n  \"config\": {\n    \"a\": \"1\",\n    \"b\": \"2\"\n  },\n"
				  "  \"type\": \"container\"\n}\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(edit_load(f->edit, RECORD_INSTANCE, "web1", &loaded, &loaded_path,
				   &in_conf, &error),
			 0);
	assert_string_equal(loaded_path, path);
	assert_false(in_conf);
	assert_int_equal(json_object_size(loaded), 2);
	assert_null(error.data);
}

static void test_unchanged_is_not_written(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *text = NULL;
	bool changed = true;

	write_file(f, "state/instances/web1.json",
		   "{\"config\":{\"a\":1.10,\"zzz\":\"x\"},\"kept\":[1]}");
	assert_int_equal(store(f, RECORD_INSTANCE, "web1",
			       "{\"kept\": [1], \"config\": {\"zzz\": \"x\", \"a\": \"1.10\"}}",
			       false, &changed, &error),
			 0);
	assert_false(changed);
	text = read_file(f, "state/instances/web1.json");
	assert_non_null(strstr(text, "1.10,"));
	assert_int_equal(store(f, RECORD_INSTANCE, "web1", "{\"config\": {\"a\": \"1.1\"}}", false,
			       &changed, &error),
			 0);
	assert_true(changed);
}

static void test_bad_file_is_replaced(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};
	json_auto_t *loaded = NULL;
	bool changed = false;

	write_file(f, "state/instances/web1.json", "{\n\"config\": secret}");
	assert_int_equal(edit_load(f->edit, RECORD_INSTANCE, "web1", &loaded, NULL, NULL, &error),
			 EDIT_E_INVALID);
	assert_said(f, &error, "/state/instances/web1.json:2:16: invalid token");
	assert_int_equal(store(f, RECORD_INSTANCE, "web1", "{}", false, &changed, &error), 0);
	assert_true(changed);
	assert_int_equal(edit_load(f->edit, RECORD_INSTANCE, "web1", &loaded, NULL, NULL, &error),
			 0);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *before = NULL, *after = NULL;

	assert_int_equal(store(f, RECORD_INSTANCE, "web1", "{\"config\": {\"a\": \"1\"}}", true,
			       NULL, &error),
			 0);
	before = read_file(f, "state/instances/web1.json");
	assert_int_equal(store(f, RECORD_INSTANCE, "web1", "{}", true, NULL, &error),
			 EDIT_E_EXISTS);
	assert_said(f, &error, "it exists already: /state/instances/web1.json");
	assert_int_equal(store(f, RECORD_INSTANCE, "web1", "{\"config\": {\"a\": [\"secret\"]}}",
			       false, NULL, &error),
			 EDIT_E_INVALID);
	assert_said(f, &error, "config.\"a\": expected a string, found a list");
	assert_int_equal(store(f, RECORD_INSTANCE, "../web1", "{}", false, NULL, &error),
			 EDIT_E_INVALID);
	assert_non_null(strstr(error.data, "not that of a record"));
	after = read_file(f, "state/instances/web1.json");
	assert_string_equal(before, after);
}

static void test_conf_is_not_written(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *path = NULL, *text = NULL;
	json_auto_t *loaded = NULL;
	bool in_conf = false;

	write_file(f, "conf/instances/web1.yaml", "config: {a: 010}\n");
	assert_int_equal(
		edit_load(f->edit, RECORD_INSTANCE, "web1", &loaded, &path, &in_conf, &error), 0);
	assert_true(in_conf);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(loaded, "config"), "a")), "010");
	assert_int_equal(store(f, RECORD_INSTANCE, "web1", "{}", false, NULL, &error),
			 EDIT_E_IN_CONF);
	assert_said(f, &error, "it stands in /conf/instances/web1.yaml; edit that file");
	assert_int_equal(store(f, RECORD_INSTANCE, "web1", "{}", true, NULL, &error),
			 EDIT_E_EXISTS);
	assert_said(f, &error, "it exists already: /conf/instances/web1.yaml");
	assert_int_equal(edit_delete(f->edit, RECORD_INSTANCE, "web1", &error), EDIT_E_IN_CONF);
	assert_said(f, &error, "it stands in /conf/instances/web1.yaml; edit that file");
	assert_int_equal(edit_rename(f->edit, RECORD_INSTANCE, "web1", "web2", &error),
			 EDIT_E_IN_CONF);
	assert_said(f, &error, "it stands in /conf/instances/web1.yaml; rename that file");
	text = read_file(f, "conf/instances/web1.yaml");
	assert_string_equal(text, "config: {a: 010}\n");
}

static void test_name_in_two_files(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};
	json_auto_t *loaded = NULL;

	write_file(f, "conf/instances/web1.yaml", "{}\n");
	write_file(f, "state/instances/web1.json", "{}\n");
	assert_int_equal(edit_load(f->edit, RECORD_INSTANCE, "web1", &loaded, NULL, NULL, &error),
			 EDIT_E_INVALID);
	assert_said(f, &error,
		    "it stands in both /conf/instances/web1.yaml and "
		    "/state/instances/web1.json; remove one of them");
	assert_int_equal(store(f, RECORD_INSTANCE, "web1", "{}", false, NULL, &error),
			 EDIT_E_INVALID);
	buf_finish(&error);
	/* The way out by command, which leaves the instance what it is. */
	write_file(f, "state/volatile/web1.json", "{}\n");
	assert_int_equal(edit_delete(f->edit, RECORD_INSTANCE, "web1", &error), 0);
	assert_false(file_exists(f, "state/instances/web1.json"));
	assert_true(file_exists(f, "state/volatile/web1.json"));
	assert_int_equal(edit_load(f->edit, RECORD_INSTANCE, "web1", &loaded, NULL, NULL, &error),
			 0);
	write_file(f, "conf/instances/web1.yml", "{}\n");
	json_decref(steal_ptr(&loaded));
	assert_int_equal(edit_load(f->edit, RECORD_INSTANCE, "web1", &loaded, NULL, NULL, &error),
			 EDIT_E_INVALID);
	assert_said(f, &error,
		    "it stands in both /conf/instances/web1.yaml and "
		    "/conf/instances/web1.yml; remove one of them");
}

static void test_delete_and_rename(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *text = NULL;

	assert_int_equal(store(f, RECORD_INSTANCE, "a", "{\"name\": \"a\"}", true, NULL, &error),
			 0);
	assert_int_equal(store(f, RECORD_INSTANCE, "c", "{}", true, NULL, &error), 0);
	write_file(f, "state/volatile/a.json", "{}");
	assert_int_equal(edit_rename(f->edit, RECORD_INSTANCE, "a", "c", &error), EDIT_E_EXISTS);
	assert_said(f, &error, "it exists already: /state/instances/c.json");
	assert_true(file_exists(f, "state/instances/a.json"));
	assert_int_equal(edit_rename(f->edit, RECORD_INSTANCE, "x", "y", &error), EDIT_E_NOT_FOUND);
	assert_int_equal(edit_rename(f->edit, RECORD_INSTANCE, "a", "b", &error), 0);
	text = read_file(f, "state/instances/b.json");
	assert_string_equal(text, "{\n  \"name\": \"b\"\n}\n");
	assert_false(file_exists(f, "state/instances/a.json"));
	assert_false(file_exists(f, "state/volatile/a.json"));
	assert_int_equal(edit_delete(f->edit, RECORD_INSTANCE, "a", &error), EDIT_E_NOT_FOUND);
	assert_int_equal(edit_delete(f->edit, RECORD_INSTANCE, "b", &error), 0);
	assert_false(file_exists(f, "state/instances/b.json"));
}

static void assert_names(struct edit *e, enum record_kind kind, const char *expected)
{
	_cleanup_(buf_finish) struct buf b = {0};
	char **names;
	size_t n;

	assert_int_equal(edit_names(e, kind, &names, &n), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(buf_printf(&b, "%s ", names[i]), 0);
		free(names[i]);
	}
	assert_null(names[n]);
	free(names);
	assert_string_equal(b.data ?: "", expected);
}

static void test_names(void **state)
{
	static const char *const files[] = {
		"conf/instances/z.yaml",   "conf/instances/b.yml",      "conf/instances/c.json",
		"conf/instances/c~",       "conf/instances/.d.json",    "conf/instances/README",
		"conf/instances/#z.yaml#", "conf/instances/z.yaml.swp", "state/instances/a.json",
		"state/instances/b.json",  "state/instances/y.yaml",    "conf/profiles/web.yaml"};
	struct fixture *f = *state;

	assert_names(f->edit, RECORD_INSTANCE, "");
	assert_names(f->edit, RECORD_PROFILE, "default ");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		write_file(f, files[i], "{}");
	assert_names(f->edit, RECORD_INSTANCE, "a b c z ");
	assert_names(f->edit, RECORD_PROFILE, "default web ");
	write_file(f, "state/profiles/default.json", "{}");
	assert_names(f->edit, RECORD_PROFILE, "default web ");
}

static void test_default_profile(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};
	json_auto_t *loaded = NULL;
	char *path = f->conf;

	assert_int_equal(
		edit_load(f->edit, RECORD_PROFILE, "default", &loaded, &path, NULL, &error), 0);
	assert_null(path);
	assert_int_equal(json_object_size(json_object_get(loaded, "config")), 0);
	assert_int_equal(
		edit_store(f->edit, RECORD_PROFILE, "default", loaded, true, NULL, NULL, &error),
		0);
	assert_true(file_exists(f, "state/profiles/default.json"));
	json_decref(steal_ptr(&loaded));
	assert_int_equal(edit_load(f->edit, RECORD_PROFILE, "other", &loaded, NULL, NULL, &error),
			 EDIT_E_NOT_FOUND);
}

static void test_reader(void **state)
{
	struct fixture *f = *state;
	_cleanup_(edit_freep) struct edit *e = NULL;
	_cleanup_(freep) char *nowhere = scratch_path(&f->scratch, "nowhere");
	_cleanup_(buf_finish) struct buf error = {0};
	json_auto_t *loaded = NULL;

	/* The writer of the fixture holds the lock. */
	write_file(f, "conf/instances/a.yaml", "{}");
	assert_int_equal(edit_new_reader(f->conf, nowhere, &e), 0);
	assert_names(e, RECORD_INSTANCE, "a ");
	assert_int_equal(edit_load(e, RECORD_INSTANCE, "b", &loaded, NULL, NULL, &error),
			 EDIT_E_NOT_FOUND);
	assert_false(file_exists(f, "nowhere"));
}

static void test_limits_of_the_daemon(void **state)
{
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};

	write_file(f, "conf/devlxdfsd.conf", "{\"max_value_bytes\": 3}");
	f->edit = edit_free(f->edit);
	assert_int_equal(edit_new(f->conf, f->state, &f->edit), 0);
	assert_int_equal(store(f, RECORD_INSTANCE, "a", "{\"config\": {\"k\": \"1234\"}}", true,
			       NULL, &error),
			 EDIT_E_INVALID);
	assert_said(f, &error, "config.\"k\": larger than 3 bytes");
}

/* Adds @n keys of its own to the record, one edit each. Returns an exit status. */
static int add_keys(const struct fixture *f, int who, int n)
{
	for (int i = 0; i < n; i++) {
		_cleanup_(edit_freep) struct edit *e = NULL;
		_cleanup_(buf_finish) struct buf error = {0};
		json_auto_t *record = NULL;
		char key[32];

		snprintf(key, sizeof(key), "user.%d.%d", who, i);
		if (edit_new(f->conf, f->state, &e) < 0 ||
		    edit_load(e, RECORD_INSTANCE, "web1", &record, NULL, NULL, &error) != 0 ||
		    json_object_set_new(json_object_get(record, "config"), key, json_string("x")) <
			    0 ||
		    edit_store(e, RECORD_INSTANCE, "web1", record, false, NULL, NULL, &error) != 0)
			return 1;
	}
	return 0;
}

static void test_parallel_edits_lose_nothing(void **state)
{
	enum {
		N_EDITORS = 4,
		N_KEYS = 25
	};
	struct fixture *f = *state;
	_cleanup_(buf_finish) struct buf error = {0};
	json_auto_t *record = NULL;
	pid_t pids[N_EDITORS];

	assert_int_equal(store(f, RECORD_INSTANCE, "web1", "{\"config\": {}}", true, NULL, &error),
			 0);
	f->edit = edit_free(f->edit);
	for (int i = 0; i < N_EDITORS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(add_keys(f, i, N_KEYS));
	}
	for (int i = 0; i < N_EDITORS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(edit_new_reader(f->conf, f->state, &f->edit), 0);
	assert_int_equal(edit_load(f->edit, RECORD_INSTANCE, "web1", &record, NULL, NULL, &error),
			 0);
	assert_int_equal(json_object_size(json_object_get(record, "config")), N_EDITORS * N_KEYS);
}

/* Edits on a file system of 64 KiB until it is full. Returns an exit status; 2: not possible here. */
static int fill_up(const struct fixture *f)
{
	_cleanup_(edit_freep) struct edit *e = NULL;
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *value = calloc(1, 256 << 10), *before = NULL, *after = NULL;
	json_auto_t *record = json_pack("{s:{s:s}}", "config", "user.a", "small");
	int r;

	if (!scratch_private_mounts() || mount("none", f->state, "tmpfs", 0, "size=64k") < 0)
		return 2;
	if (edit_new(f->conf, f->state, &e) < 0 ||
	    edit_store(e, RECORD_INSTANCE, "web1", record, true, NULL, NULL, &error) != 0 || !value)
		return 3;
	before = read_file((struct fixture *)f, "state/instances/web1.json");
	memset(value, 'x', (256 << 10) - 1);
	json_object_set_new(json_object_get(record, "config"), "user.a", json_string(value));
	r = edit_store(e, RECORD_INSTANCE, "web1", record, false, NULL, NULL, &error);
	if (r != -ENOSPC)
		return 4;
	after = read_file((struct fixture *)f, "state/instances/web1.json");
	if (!before || !after || !streq(before, after))
		return 5;
	json_object_set_new(json_object_get(record, "config"), "user.a", json_string("other"));
	r = edit_store(e, RECORD_INSTANCE, "web1", record, false, NULL, NULL, &error);
	return r == 0 ? 0 : 6; /* no debris holds the space */
}

static void test_full_disk_leaves_the_old_file(void **state)
{
	struct fixture *f = *state;
	pid_t pid;
	int status;

	f->edit = edit_free(f->edit);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		status = fill_up(f);
		fflush(stdout);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A daemon without privileges must be able to read what root wrote. */
static void test_files_belong_to_the_owner_of_state(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = scratch_path(&f->scratch, "state/instances/a.json");
	_cleanup_(freep) char *directory = scratch_path(&f->scratch, "state/instances");
	_cleanup_(freep) char *parent = scratch_path(&f->scratch, "");
	_cleanup_(buf_finish) struct buf error = {0};
	struct stat st;

	if (geteuid() != 0) {
		print_message("skipped: not root\n");
		skip();
	}
	assert_int_equal(chmod(parent, 0755), 0);
	assert_int_equal(chown(f->state, 12345, 23456), 0);
	assert_int_equal(chown(directory, 12345, 23456), 0);
	assert_int_equal(store(f, RECORD_INSTANCE, "a", "{}", true, NULL, &error), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 12345);
	assert_int_equal(st.st_gid, 23456);
	/* And root is root again. */
	write_file(f, "conf/instances/b.yaml", "{}");
	assert_int_equal(edit_delete(f->edit, RECORD_INSTANCE, "a", &error), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_makes_state),
		TEST(test_writes),
		TEST(test_unchanged_is_not_written),
		TEST(test_bad_file_is_replaced),
		TEST(test_refusals),
		TEST(test_conf_is_not_written),
		TEST(test_name_in_two_files),
		TEST(test_delete_and_rename),
		TEST(test_names),
		TEST(test_default_profile),
		TEST(test_reader),
		TEST(test_limits_of_the_daemon),
		TEST(test_parallel_edits_lose_nothing),
		TEST(test_full_disk_leaves_the_old_file),
		TEST(test_files_belong_to_the_owner_of_state),
	};

	assert_null(edit_free(NULL));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
