/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the store keeps of an instance: its id, its Ready state, its binding. */
#include "stores.h"

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
	assert_told(f, "ready a ");
	assert_true(is_ready(f, "a", &first));
	assert_int_equal(set_ready(f, "a", &second, false), 0); /* another run's word */
	assert_true(is_ready(f, "a", &first));
	assert_told(f, "");
	assert_int_equal(set_ready(f, "a", &first, true), 0);
	assert_told(f, "ready a "); /* each time */
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

/* Nobody sees the end of a guest that is known by its mount; what is kept of it ends with the record. */
static void test_ready_by_mount(void **state)
{
	const struct boot boot = boot_by_mount();
	struct fixture *f = *state;
	_cleanup_(instance_unrefp) struct instance *held = NULL;

	write_file(f, "state/instances/a.json", "{\"match\": {\"mount\": true}}");
	assert_int_equal(start(f), 0);
	assert_int_equal(set_ready(f, "a", &boot, true), 0);
	stop(f);
	assert_int_equal(start(f), 0);
	assert_true(is_ready(f, "a", &boot));
	held = registry_find(f->registry, "a");
	for (int i = 0; i < 2; i++) {
		remove_file(f, "state/instances/a.json");
		assert_int_equal(load(f, RECORD_INSTANCE, "a"), STORE_E_NOT_FOUND);
		assert_false(instance_is_ready(held, &boot));
		write_file(f, "state/instances/a.json", "{\"match\": {\"mount\": true}}");
		assert_int_equal(load(f, RECORD_INSTANCE, "a"), 0);
		assert_false(is_ready(f, "a", &boot));
	}
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
	assert_told(f, "");
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
	assert_int_equal(store_bind(f->store, "zzz", getpid(), NULL), STORE_E_NOT_FOUND);
	assert_int_equal(store_unbind(f->store, "zzz"), STORE_E_NOT_FOUND);
	assert_told(f, "");
	if (!guest_start(&g))
		skip();
	name = strrchr(g.path, '/');
	assert_int_equal(store_bind(f->store, "a", g.pid, NULL), 0);
	assert_told(f, "bound a ");
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
	assert_told(f, "bound a ");
	assert_int_equal(registry_binding(f->registry, "a", path, &id), -ENOENT);
	/* A cgroup that the process is not in is not bound, nor everybody's. */
	assert_int_equal(store_bind(f->store, "a", g.pid, "/no/such"), -EXDEV);
	assert_int_equal(store_bind(f->store, "a", g.pid, "/"), -EXDEV);
	assert_int_equal(registry_binding(f->registry, "a", path, &id), -ENOENT);
	assert_int_equal(store_bind(f->store, "a", g.pid, name), 0);
	assert_int_equal(store_unbind(f->store, "a"), 0);
	assert_told(f, "bound a bound a ");
	/* Nor does a binding outlive its cgroup, whatever is made under its name. */
	assert_int_equal(store_bind(f->store, "a", g.pid, NULL), 0);
	guest_stop(&g);
	stop(f);
	assert_true(guest_start(&g));
	assert_int_equal(start(f), 0);
	assert_int_equal(registry_binding(f->registry, "a", path, &id), -ENOENT);
	guest_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_instance_id),
		TEST(test_instance_id_through_profile),
		TEST(test_pinned_instance_id),
		TEST(test_broken_volatile_file),
		TEST(test_ready),
		TEST(test_ready_by_mount),
		TEST(test_ready_without_disk),
		TEST(test_binding),
	};

	log_init("test-store-kept", LOG_LEVEL_WARNING);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
