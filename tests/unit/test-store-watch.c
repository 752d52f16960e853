/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store with its thread, on real directories, as editors, git and operators treat them
 *
 * Each test is a process of its own, since libinotifytools has one descriptor. It waits for what
 * the observer tells; a marker record, written last, shows that what came before it has been dealt
 * with when nothing was to be told. Nothing waits longer than the alarm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/text.h"
#include "core/diff.h"
#include "core/settings.h"
#include "core/snapshot.h"
#include "scratch.h"
#include "store/dir.h"
#include "store/store.h"

#define DEADLINE_S 60

/* In the child cmocka's assertions would go on with the next test. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

struct host {
	const char *scratch;
	struct settings settings;
	struct registry *registry;
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t told;
	struct buf seen; /* "+a" made, "~a" changed, "-a" gone; the marker is not among them */
	int marker;      /* the last one seen */
	bool is_held;    /* the observer waits, so that nobody reads events */
};

static char *path_of(const struct host *h, const char *name)
{
	char *path = NULL;

	CHECK(asprintf(&path, "%s/%s", h->scratch, name) >= 0);
	return path;
}

static void observe(void *ctx, const struct diff *d)
{
	const char *name = snapshot_name(d->new_snapshot ?: d->old_snapshot);
	char sign = !d->old_snapshot ? '+' : !d->new_snapshot ? '-' : '~';
	struct host *h = ctx;
	uint64_t number;

	pthread_mutex_lock(&h->lock);
	if (streq(name, "marker") && d->new_snapshot) {
		CHECK(text_to_u64(snapshot_config(d->new_snapshot, "user.n", NULL), 0, 1000,
				  &number) == 0);
		h->marker = number;
	} else {
		CHECK(buf_printf(&h->seen, "%c%s ", sign, name) == 0);
	}
	pthread_cond_broadcast(&h->told);
	while (h->is_held)
		pthread_cond_wait(&h->told, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

/* Waits until what has been told since the last call is @expected. */
static void await(struct host *h, const char *expected)
{
	pthread_mutex_lock(&h->lock);
	while (!h->seen.data || !streq(h->seen.data, expected)) {
		/* Said by the alarm's victim, should it never come. */
		CHECK(!h->seen.data || strlen(h->seen.data) < strlen(expected));
		pthread_cond_wait(&h->told, &h->lock);
	}
	buf_finish(&h->seen);
	pthread_mutex_unlock(&h->lock);
}

static void write_file(struct host *h, const char *name, const char *text)
{
	_cleanup_(freep) char *path = path_of(h, name);

	CHECK(file_write(AT_FDCWD, path, 0644, text, strlen(text), FILE_SYNC_NONE) == 0);
}

/* As editors without a temporary file do. */
static void write_in_place(struct host *h, const char *name, const char *text)
{
	_cleanup_(freep) char *path = path_of(h, name);
	_cleanup_(fclosep) FILE *f = fopen(path, "we");

	CHECK(f && fputs(text, f) >= 0);
}

static void move(struct host *h, const char *from, const char *to)
{
	_cleanup_(freep) char *old_path = path_of(h, from), *new_path = path_of(h, to);

	CHECK(rename(old_path, new_path) == 0);
}

static void delete_file(struct host *h, const char *name)
{
	_cleanup_(freep) char *path = path_of(h, name);

	CHECK(remove(path) == 0);
}

static void make_dirs(struct host *h, const char *name)
{
	_cleanup_(freep) char *path = path_of(h, name);

	CHECK(file_mkdirs(path, 0755) == 0);
}

/* Until everything done before has been dealt with; then what was told since must be @expected. */
static void settle_marker(struct host *h, const char *expected)
{
	char text[64];
	int wanted;

	pthread_mutex_lock(&h->lock);
	wanted = h->marker + 1;
	pthread_mutex_unlock(&h->lock);
	snprintf(text, sizeof(text), "{\"config\": {\"user.n\": \"%d\"}}", wanted);
	write_file(h, "marker/instances/marker.json", text);
	move(h, "marker/instances/marker.json", "state/instances/marker.json");
	pthread_mutex_lock(&h->lock);
	while (h->marker < wanted)
		pthread_cond_wait(&h->told, &h->lock);
	pthread_mutex_unlock(&h->lock);
	json_decref(
		store_rejected(h->store)); /* until the batch is over: it has the store's lock */
	pthread_mutex_lock(&h->lock);
	if (!streq(h->seen.data ?: "", expected))
		fprintf(stderr, "told: %s\n", h->seen.data ?: "nothing");
	CHECK(streq(h->seen.data ?: "", expected));
	buf_finish(&h->seen);
	pthread_mutex_unlock(&h->lock);
}

static void check_value(struct host *h, const char *name, const char *expected)
{
	struct instance *i = registry_find(h->registry, name);
	struct snapshot *s = i ? instance_snapshot(i) : NULL;
	const char *value = s ? snapshot_config(s, "user.x", NULL) : NULL;

	CHECK(value && streq(value, expected));
	snapshot_unref(s);
	instance_unref(i);
}

/* Whether @name is rejected with a complaint that holds @text. */
static bool is_rejected(struct host *h, const char *name, const char *text)
{
	json_auto_t *list = store_rejected(h->store);
	bool found = false;
	json_t *entry;
	size_t i;

	json_array_foreach (list, i, entry) {
		found = found || (streq(json_string_value(json_object_get(entry, "name")), name) &&
				  strstr(json_string_value(json_object_get(entry, "error")), text));
	}
	return found;
}

static void host_start(struct host *h)
{
	_cleanup_(freep) char *conf = path_of(h, "conf"), *state = path_of(h, "state");
	struct store_options options = {.conf_dir = conf,
					.state_dir = state,
					.settings = &h->settings,
					.registry = h->registry,
					.observer = observe,
					.observer_ctx = h};

	CHECK(store_new(&options, &h->store) == 0);
	CHECK(store_start(h->store) == 0);
}

/* Runs @body in a process of its own, with the four directories made when @made. */
static void run(void **state, void (*body)(struct host *h), bool made)
{
	struct host h = {.scratch = *state,
			 .lock = PTHREAD_MUTEX_INITIALIZER,
			 .told = PTHREAD_COND_INITIALIZER};
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid > 0) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		return;
	}
	alarm(DEADLINE_S);
	settings_init(&h.settings);
	h.registry = registry_new();
	CHECK(h.registry && dir_init() == 0);
	make_dirs(&h, "marker/instances");
	if (made) {
		make_dirs(&h, "conf/instances");
		make_dirs(&h, "conf/profiles");
		make_dirs(&h, "state/instances");
		make_dirs(&h, "state/profiles");
	}
	body(&h);
	_exit(0);
}

static void saves(struct host *h)
{
	host_start(h);
	write_file(h, "conf/instances/a.yaml", "config: {user.x: 1}\n");
	await(h, "+a ");
	/* rename over */
	write_file(h, "conf/instances/a.yaml", "config: {user.x: 2}\n");
	await(h, "~a ");
	check_value(h, "a", "2");
	/* in place */
	write_in_place(h, "conf/instances/a.yaml", "config: {user.x: 3}\n");
	await(h, "~a ");
	check_value(h, "a", "3");
	/* vim with a backup: move away, write anew, delete the backup */
	move(h, "conf/instances/a.yaml", "conf/instances/a.yaml~");
	write_in_place(h, "conf/instances/a.yaml", "config: {user.x: 4}\n");
	delete_file(h, "conf/instances/a.yaml~");
	await(h, "~a ");
	check_value(h, "a", "4");
	/* git checkout: unlink and write */
	delete_file(h, "conf/instances/a.yaml");
	write_in_place(h, "conf/instances/a.yaml", "config: {user.x: 5}\n");
	await(h, "~a ");
	check_value(h, "a", "5");
}

static void test_saves(void **state)
{
	run(state, saves, true);
}

/* The same content again, in every way there is: nobody is told anything. */
static void same_again(struct host *h)
{
	static const char text[] = "config: {user.x: 1}\n";

	write_file(h, "conf/instances/a.yaml", text);
	host_start(h);
	await(h, "+a ");
	write_file(h, "conf/instances/a.yaml", text);
	settle_marker(h, "");
	write_in_place(h, "conf/instances/a.yaml", text);
	settle_marker(h, "");
	delete_file(h, "conf/instances/a.yaml");
	settle_marker(h, "");
	write_in_place(h, "conf/instances/a.yaml", text);
	settle_marker(h, "");
	/* Nor when the second is over: the next one to be believed comes alone. */
	write_file(h, "conf/instances/b.yaml", text);
	await(h, "+b ");
	delete_file(h, "conf/instances/b.yaml");
	await(h, "-b ");
}

static void test_same_again(void **state)
{
	run(state, same_again, true);
}

/* Written in two steps with the file open in between: no reader sees the first half. */
static void slow_writer(struct host *h)
{
	_cleanup_(freep) char *path = path_of(h, "conf/instances/a.yaml");
	_cleanup_(fclosep) FILE *f = NULL;

	host_start(h);
	f = fopen(path, "we");
	CHECK(f && fputs("config: {user.x: [", f) >= 0 && fflush(f) == 0);
	settle_marker(h, "");
	CHECK(!is_rejected(h, "a", ""));
	CHECK(ftruncate(fileno(f), 0) == 0 && fseek(f, 0, SEEK_SET) == 0);
	CHECK(fputs("config: {user.x: 1}\n", f) >= 0 && fflush(f) == 0);
	fclose(steal_ptr(&f));
	await(h, "+a ");
	CHECK(!is_rejected(h, "a", ""));
}

static void test_slow_writer(void **state)
{
	run(state, slow_writer, true);
}

static void links(struct host *h)
{
	_cleanup_(freep) char *a = path_of(h, "a.yaml"), *b = path_of(h, "conf/instances/b.yaml"),
			      *c = path_of(h, "conf/instances/c.yaml");

	host_start(h);
	write_file(h, "a.yaml", "config: {user.x: 1}\n");
	CHECK(symlink("../../a.yaml", b) == 0);
	await(h, "+b ");
	CHECK(link(a, c) == 0);
	await(h, "+c ");
}

static void test_links(void **state)
{
	run(state, links, true);
}

static void deletion(struct host *h)
{
	uint64_t begin;

	write_file(h, "state/instances/a.json", "{}");
	host_start(h);
	await(h, "+a ");
	begin = now_us();
	delete_file(h, "state/instances/a.json");
	settle_marker(h, "");
	CHECK(registry_size(h->registry) == 2);
	await(h, "-a ");
	CHECK(now_us() - begin >= 1000000);
	write_file(h, "state/instances/a.json", "{}");
	await(h, "+a ");
}

static void test_deletion(void **state)
{
	run(state, deletion, true);
}

static void bad_record(struct host *h)
{
	write_file(h, "state/instances/a.json", "{\"config\": {\"user.x\": \"1\"}}");
	host_start(h);
	await(h, "+a ");
	write_file(h, "state/instances/a.json", "{\"config\": {\"user.x\": 2 3}}");
	settle_marker(h, "");
	CHECK(is_rejected(h, "a", "state/instances/a.json:1:25: '}' expected"));
	check_value(h, "a", "1");
	write_file(h, "state/instances/a.json", "{\"config\": {\"user.x\": 3}}");
	await(h, "~a ");
	CHECK(!is_rejected(h, "a", ""));
}

static void test_bad_record(void **state)
{
	run(state, bad_record, true);
}

static void name_in_both(struct host *h)
{
	write_file(h, "state/instances/a.json", "{\"config\": {\"user.x\": \"1\"}}");
	host_start(h);
	await(h, "+a ");
	write_file(h, "conf/instances/a.yaml", "config: {user.x: 2}\n");
	settle_marker(h, "");
	CHECK(is_rejected(h, "a", "conf/instances/a.yaml: the name also stands in "));
	CHECK(is_rejected(h, "a", "state/instances/a.json; remove one of them"));
	check_value(h, "a", "1");
	delete_file(h, "state/instances/a.json");
	await(h, "~a ");
	check_value(h, "a", "2");
	CHECK(!is_rejected(h, "a", ""));
}

static void test_name_in_both(void **state)
{
	run(state, name_in_both, true);
}

static void profiles(struct host *h)
{
	write_file(h, "conf/instances/a.yaml", "profiles: [web]\n");
	host_start(h);
	settle_marker(h, "");
	CHECK(is_rejected(h, "a", "devlxdfs profile create web"));
	write_file(h, "conf/profiles/web.yaml", "config: {user.x: 1}\n");
	await(h, "+a ");
	write_in_place(h, "conf/profiles/web.yaml", "config: {user.x: 2}\n");
	await(h, "~a ");
	check_value(h, "a", "2");
}

static void test_profiles(void **state)
{
	run(state, profiles, true);
}

static void appears_later(struct host *h)
{
	host_start(h);
	make_dirs(h, "conf/instances");
	write_file(h, "conf/instances/a.yaml", "{}\n");
	await(h, "+a ");
	make_dirs(h, "state");
	make_dirs(h, "new/instances");
	write_file(h, "new/instances/b.json", "{}\n");
	move(h, "new/instances", "state/instances");
	await(h, "+b ");
}

static void test_appears_later(void **state)
{
	run(state, appears_later, false);
}

/* A directory out of sight takes nobody along; what is missing when it is back is gone. */
static void directory_vanishes(struct host *h)
{
	write_file(h, "conf/instances/a.yaml", "{}\n");
	host_start(h);
	await(h, "+a ");
	write_file(h, "conf/instances/b.yaml", "{}\n");
	settle_marker(h, "+b ");
	move(h, "conf", "conf.away");
	settle_marker(h, "");
	CHECK(registry_size(h->registry) == 3);
	delete_file(h, "conf.away/instances/b.yaml");
	move(h, "conf.away", "conf");
	await(h, "-b ");
	CHECK(registry_size(h->registry) == 2);
	/* Removed file by file, they are gone. */
	delete_file(h, "conf/instances/a.yaml");
	delete_file(h, "conf/instances");
	await(h, "-a ");
}

static void test_directory_vanishes(void **state)
{
	run(state, directory_vanishes, true);
}

/* More events than the queue holds, while the thread is kept from reading them. */
static void overflow(struct host *h)
{
	_cleanup_(freep) char *limit = NULL;
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	uint64_t n = 0;
	size_t size = 0;

	CHECK(f && getline(&limit, &size, f) > 0 && fclose(f) == 0);
	limit[strcspn(limit, "\n")] = '\0';
	CHECK(text_to_u64(limit, 1, 1 << 24, &n) == 0);
	write_file(h, "conf/instances/gone.yaml", "{}\n");
	host_start(h);
	await(h, "+gone ");
	pthread_mutex_lock(&h->lock);
	h->is_held = true;
	pthread_mutex_unlock(&h->lock);
	write_file(h, "conf/instances/a.yaml", "{}\n");
	await(h, "+a ");
	for (uint64_t i = 0; i <= n; i++)
		write_in_place(h, i % 2 ? "conf/instances/.x" : "conf/instances/.y", "");
	write_file(h, "conf/instances/b.yaml", "{}\n");
	write_file(h, "state/profiles/default.json", "{\"config\": {\"user.x\": \"1\"}}");
	delete_file(h, "conf/instances/gone.yaml");
	pthread_mutex_lock(&h->lock);
	h->is_held = false;
	pthread_cond_broadcast(&h->told);
	while (!h->seen.data || !strstr(h->seen.data, "+b") || !strstr(h->seen.data, "~a") ||
	       !strstr(h->seen.data, "-gone"))
		pthread_cond_wait(&h->told, &h->lock);
	pthread_mutex_unlock(&h->lock);
	check_value(h, "b", "1");
}

static void test_overflow(void **state)
{
	run(state, overflow, true);
}

/* What the command does: write, then ask. The thread's own hint finds nothing new. */
static void load_now(struct host *h)
{
	_cleanup_(buf_finish) struct buf error = {0};
	json_t *changes = NULL;

	host_start(h);
	for (int i = 0; i < 50; i++) {
		char text[64], value[8];

		snprintf(value, sizeof(value), "%d", i);
		snprintf(text, sizeof(text), "{\"config\": {\"user.x\": \"%d\"}}", i);
		write_file(h, "state/instances/a.json", text);
		CHECK(store_load(h->store, RECORD_INSTANCE, "a", &changes, &error) == 0);
		json_decref(steal_ptr(&changes));
		check_value(h, "a", value);
	}
	delete_file(h, "state/instances/a.json");
	CHECK(store_load(h->store, RECORD_INSTANCE, "a", &changes, &error) == STORE_E_NOT_FOUND);
	json_decref(changes);
	CHECK(registry_size(h->registry) == 0);
}

static void test_load_now(void **state)
{
	run(state, load_now, true);
}

static void *ask(void *arg)
{
	const struct boot boot = {1, 2, 3};
	struct host *h = arg;

	for (int i = 0; i < 200; i++) {
		struct instance *instance = registry_find(h->registry, "a");
		struct snapshot *s = instance ? instance_snapshot(instance) : NULL;

		CHECK(instance && s && snapshot_config(s, "user.x", NULL));
		CHECK(store_set_ready(h->store, instance, &boot, i % 2) == 0);
		json_decref(store_status(h->store));
		json_decref(store_rejected(h->store));
		snapshot_unref(s);
		instance_unref(instance);
	}
	return NULL;
}

/* Fronts and the admin socket ask while records change. */
static void company(struct host *h)
{
	char text[64];
	pthread_t threads[2];

	write_file(h, "state/instances/a.json", "{\"config\": {\"user.x\": \"1\"}}");
	host_start(h);
	await(h, "+a ");
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		CHECK(pthread_create(&threads[i], NULL, ask, h) == 0);
	for (int i = 0; i < 100; i++) {
		_cleanup_(buf_finish) struct buf error = {0};

		snprintf(text, sizeof(text), "{\"config\": {\"user.x\": \"%d\"}}", i);
		write_file(h, i % 3 ? "state/instances/a.json" : "state/profiles/default.json",
			   text);
		CHECK(store_load(h->store, RECORD_INSTANCE, "a", NULL, &error) == 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void test_company(void **state)
{
	run(state, company, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_saves),        TEST(test_same_again),         TEST(test_slow_writer),
		TEST(test_links),        TEST(test_deletion),           TEST(test_bad_record),
		TEST(test_name_in_both), TEST(test_profiles),           TEST(test_appears_later),
		TEST(test_overflow),     TEST(test_directory_vanishes), TEST(test_load_now),
		TEST(test_company),
	};

	log_init("test-store-watch", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
