/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store without its thread: what is in force after a start and after store_load()
 */
#include "stores.h"

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

static void set_time(struct fixture *f, const char *name, time_t seconds)
{
	const struct timespec times[] = {{seconds, 5}, {seconds, 5}};
	_cleanup_(freep) char *path = scratch_path(&f->scratch, name);

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static struct timespec time_of(struct fixture *f, const char *name)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = snapshot_of(f, name);

	assert_non_null(s);
	return snapshot_record(s)->written;
}

/* A touch changes nothing: the record in force has the time at which it became what it is. */
static void test_time_of_a_record(void **state)
{
	struct fixture *f = *state;

	write_file(f, "state/instances/a.json", "{}");
	set_time(f, "state/instances/a.json", 1000000000);
	assert_int_equal(start(f), 0);
	assert_int_equal(time_of(f, "a").tv_sec, 1000000000);
	assert_int_equal(time_of(f, "a").tv_nsec, 5);
	set_time(f, "state/instances/a.json", 1000000001);
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
	assert_int_equal(time_of(f, "a").tv_sec, 1000000000);
	assert_seen(f, "+a ");

	write_file(f, "state/instances/a.json", "{\"config\": {\"user.x\": \"1\"}}");
	set_time(f, "state/instances/a.json", 1000000002);
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
	assert_int_equal(time_of(f, "a").tv_sec, 1000000002);
	assert_seen(f, "~a ");
}

/* A rule is no difference that a guest is told of, and in force all the same. */
static void test_rules_about_files(void **state)
{
	struct fixture *f = *state;
	_cleanup_(snapshot_unrefp) struct snapshot *s = NULL;
	const struct file_rule *rule;

	write_file(f, "conf/instances/a.yaml", "files: []\n");
	assert_int_equal(start(f), 0);
	write_file(f, "conf/instances/a.yaml", "files: [{path: meta-data, mode: 0444}]\n");
	assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
	s = snapshot_of(f, "a");
	assert_non_null(s);
	rule = record_file_rule(snapshot_record(s), "meta-data");
	assert_non_null(rule);
	assert_int_equal(rule->mode, 0444);
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
	assert_told(f, "rejected web1 rejected web1 ");
	write_file(f, "conf/profiles/p.yaml", "config: {user.x: []}");
	load(f, RECORD_PROFILE, "p");
	assert_told(f, "rejected - ");
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
		TEST(test_time_of_a_record),
		TEST(test_rules_about_files),
		TEST(test_delete_is_believed_when_told),
		TEST(test_missing_directory_keeps_records),
		TEST(test_name_in_both),
		TEST(test_name_in_both_at_start),
		TEST(test_profile_reaches_instances),
		TEST(test_default_profile),
		TEST(test_bad_default_profile_at_start),
		TEST(test_missing_profile),
		TEST(test_many),
	};

	log_init("test-store", LOG_LEVEL_WARNING);
	assert_null(store_free(NULL));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
