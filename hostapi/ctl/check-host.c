/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See check.h: the host's part. */
#include "ctl/check.h"

#include <sys/stat.h>

#include "base/cleanup.h"
#include "core/cgroup.h"
#include "ctl/daemon.h"

/* Returns whether the daemon answered; *ret_about is what it says of itself. */
static bool check_daemon(struct check_run *run, json_t **ret_about)
{
	int r = daemon_get(run->context, "check", "/1.0", ret_about);
	const char *version = json_string_value(json_object_get(*ret_about, "version"));

	if (r == 0)
		check_ok(run, "the daemon answers, version %s, process %d",
			 version ? version : "unknown",
			 (int)json_integer_value(json_object_get(*ret_about, "pid")));
	else if (r == DAEMON_E_ABSENT)
		check_fail(run, DAEMON_ABSENT, run->context->run_dir);
	else
		check_fail(run, "the daemon does not answer as it should; see its log");
	return r == 0;
}

/* The first kernel that has the feature, for who wants to have it. */
static const char *kernel_with(const char *feature)
{
	static const struct {
		const char *feature, *kernel;
	} kernels[] = {
		{"PIDFD_GET_INFO", "6.13"},
		{"PIDFD_THREAD", "6.9"},
		{"SO_PEERPIDFD", "6.5"},
		{"pidfd_open", "5.3"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
		if (streq(kernels[i].feature, feature))
			return kernels[i].kernel;
	return "a newer one";
}

static void check_features(struct check_run *run, const json_t *features)
{
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)features, name, value) {
		if (streq(name, "proc_hidepid") && json_is_true(value))
			check_fail(run, "the daemon cannot see other users' processes; mount /proc "
					"without hidepid, or with gid= of its group");
		else if (json_is_true(value))
			check_ok(run, "this kernel has %s", name);
		else if (json_is_false(value) && !streq(name, "proc_hidepid"))
			check_note(run,
				   "this kernel lacks %s, an older way is used; docs/security.md "
				   "says what that means, kernel %s has it",
				   name, kernel_with(name));
	}
}

static void check_cgroup(struct check_run *run)
{
	_cleanup_(freep) char *where = NULL;
	_cleanup_(closep) int fd = cgroup_open_root(&where);

	if (fd >= 0)
		check_ok(run, "cgroup2 is mounted at %s", where);
	else
		check_fail(run,
			   "no cgroup2 hierarchy, no guest can be recognised: %s; mount it: "
			   "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified",
			   strerror(-fd));
}

/*
 * One directory of records, and whether the others of this host may look into it. Whether it is
 * there and read is the daemon's to say when it runs.
 */
static void check_directory(struct check_run *run, const char *base, const char *part, bool is_ours,
			    bool is_running)
{
	_cleanup_(freep) char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s", base, part) < 0) {
		path = NULL;
		return check_fail(run, "out of memory");
	}
	if (stat(path, &st) < 0 && is_running)
		return;
	if (stat(path, &st) < 0)
		check_note(run, "%s: %s; it is read as soon as it is there", path, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		check_fail(run, "%s is not a directory; move it away", path);
	else if (is_ours && access(path, W_OK) < 0)
		check_fail(run, "%s cannot be written: %s; run devlxdfs as root", path,
			   strerror(errno));
	else if (is_ours && stat(base, &st) == 0 && (st.st_mode & 07))
		check_fail(run, "%s can be read by others and holds secrets; chmod o= %s", base,
			   base);
	else if (!is_running)
		check_ok(run, "%s is there", path);
}

/* The daemon's word on the directories it watches. */
static void check_watches(struct check_run *run, const json_t *store)
{
	const json_t *directories = json_object_get(store, "directories");
	size_t i;
	json_t *directory;

	json_array_foreach (directories, i, directory) {
		const char *path = json_string_value(json_object_get(directory, "path"));
		const char *trouble = json_string_value(json_object_get(directory, "error"));

		if (path && trouble)
			check_note(run, "%s: the daemon says: %s; it is read as soon as it can be",
				   path, trouble);
		else if (path)
			check_ok(run, "%s is watched", path);
	}
}

static void check_socket(struct check_run *run, const char *name, mode_t wanted)
{
	_cleanup_(freep) char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s", run->context->run_dir, name) < 0) {
		path = NULL;
		return check_fail(run, "out of memory");
	}
	if (lstat(path, &st) < 0)
		check_fail(run, "%s: %s; restart the daemon", path, strerror(errno));
	else if (!S_ISSOCK(st.st_mode))
		check_fail(run, "%s is not a socket; remove it and restart the daemon", path);
	else if ((st.st_mode & 0777) != wanted)
		check_fail(run, "%s has the mode %04o; chmod %04o %s", path,
			   (unsigned)st.st_mode & 0777, (unsigned)wanted, path);
	else
		check_ok(run, "%s has the mode %04o", path, (unsigned)wanted);
}

void check_host(struct check_run *run)
{
	static const char *const parts[] = {"instances", "profiles"};
	json_auto_t *about = NULL;
	bool is_running = check_daemon(run, &about);

	check_features(run, json_object_get(about, "features"));
	check_cgroup(run);
	check_tree(run, is_running);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		check_directory(run, run->context->conf_dir, parts[i], false, is_running);
		check_directory(run, run->context->state_dir, parts[i], true, is_running);
	}
	if (!is_running)
		return check_note(run, "records and sockets are not looked at without a daemon; "
				       "devlxdfs validate checks records");
	check_watches(run, json_object_get(about, "store"));
	if (check_rejected(run, NULL) == 0)
		check_ok(run, "no record is rejected");
	check_socket(run, "sock", 0666);
	check_socket(run, "admin.sock", 0600);
}
