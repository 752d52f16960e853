/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See check.h: what the tree needs of the host
 *
 * What is mounted is asked of the kernel; the mount itself is touched last, and by another process only.
 */
#include "ctl/check.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>

#include "base/fusehost.h"
#include "base/mountinfo.h"
#include "base/apart.h"
#include "ctl/daemon.h"

#define MOUNT_TYPE "fuse.devlxdfs"

static void check_device(struct check_run *run)
{
	_cleanup_(closep) int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		check_ok(run, "/dev/fuse can be opened");
	else if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		check_fail(run,
			   "/dev/fuse: %s; modprobe fuse, or start the daemon with --no-fuse, "
			   "without a tree",
			   strerror(errno));
	else
		check_fail(run,
			   "/dev/fuse: %s; run devlxdfs as root, allow the device where the daemon "
			   "runs, or start it with --no-fuse, without a tree",
			   strerror(errno));
}

static void check_fuse_conf(struct check_run *run, const struct fusehost *host)
{
	check_ok(
		run,
		"user_allow_other is %s in /etc/fuse.conf, and is not needed: root mounts the tree",
		host->user_allow_other ? "set" : "not set");
}

static void check_timeout(struct check_run *run, const char *name, int timeout_s)
{
	if (timeout_s < 0)
		check_ok(run, "this kernel has no fs.fuse.%s (6.15 has): it never aborts a tree",
			 name);
	else if (timeout_s == 0)
		check_ok(run, "fs.fuse.%s is 0: the kernel never aborts a tree for it", name);
	else
		check_note(
			run,
			"fs.fuse.%s is %d: when no worker answers for that many seconds, the kernel "
			"aborts the tree, for all guests and for good; sysctl -w fs.fuse.%s=0 and "
			"restart the daemon",
			name, timeout_s, name);
}

/* What was found of a line of mountinfo, which is gone by then. */
struct found {
	uint64_t parent;
	char *point, *type;
	bool is_shared;
};

static void found_finish(struct found *f)
{
	free(f->point);
	free(f->type);
	*f = (struct found){0};
}

/*
 * The mount at @point (the last one, which hides the others), or, with @point NULL, the one numbered @id. Returns 0, -ENOENT
 * or -errno.
 */
static int find_mount(const char *point, uint64_t id, struct found *ret)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;

	if (!f)
		return -errno;
	while (getline(&line, &size, f) >= 0) {
		struct mountinfo m;

		if (mountinfo_parse(line, &m) < 0 || (point ? !streq(m.point, point) : m.id != id))
			continue;
		found_finish(ret);
		*ret = (struct found){m.parent, strdup(m.point), strdup(m.type), m.is_shared};
		if (!ret->point || !ret->type)
			return -ENOMEM;
	}
	return ret->point && ret->type ? 0 : -ENOENT;
}

/* Managers often have mount namespaces of their own. */
static void check_propagation(struct check_run *run, const char *path, uint64_t parent)
{
	_cleanup_(found_finish) struct found above = {0};

	if (find_mount(NULL, parent, &above) < 0)
		check_note(run, "the mount that %s is in cannot be seen from here", path);
	else if (above.is_shared)
		check_ok(run,
			 "%s is in %s, which is shared, so it is seen in other mount namespaces",
			 path, above.point);
	else
		check_note(
			run,
			"%s is in %s, which is private: a manager in another mount namespace does "
			"not see it; mount --make-shared %s, then restart the daemon and that "
			"manager",
			path, above.point, above.point);
}

static void touch(const void *ctx, void *answer)
{
	_cleanup_(closep) int fd = open(ctx, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*(int *)answer = fd < 0 ? errno : 0;
}

static void check_answer(struct check_run *run, const char *path)
{
	int error = 0, r = apart_call(touch, path, &error, sizeof(error));

	if (r == -ETIMEDOUT)
		check_fail(run, "%s does not answer; see the daemon's log, or restart it", path);
	else if (r < 0)
		check_note(run, "whether %s answers is not known: %s", path, strerror(-r));
	else if (error == ENOTCONN || error == ECONNABORTED)
		check_fail(run,
			   "%s was aborted; restart the daemon and bind-mount directories again",
			   path);
	else if (error)
		check_fail(run, "%s: %s; see the daemon's log, or restart it", path,
			   strerror(error));
	else
		check_ok(run, "%s answers", path);
}

static void check_mount(struct check_run *run)
{
	/* As mountinfo has it; asking for RUN's own path does not touch the mount in it. */
	_cleanup_(freep) char *run_dir = realpath(run->context->run_dir, NULL), *path = NULL;
	_cleanup_(found_finish) struct found found = {0};

	if (!run_dir || asprintf(&path, "%s/tree", run_dir) < 0) {
		path = NULL;
		return check_fail(run, "%s: %s", run->context->run_dir, strerror(errno));
	}
	if (find_mount(path, 0, &found) < 0 || !found.type)
		return check_fail(
			run,
			"no tree is mounted at %s; restart the daemon, or run devlxdfs in its "
			"mount namespace: nsenter --mount --target PID",
			path);
	if (!streq(found.type, MOUNT_TYPE))
		return check_fail(
			run,
			"at %s is mounted something of the type %s, which hides the tree; "
			"unmount it",
			path, found.type);
	check_ok(run, "the tree is mounted at %s", path);
	check_propagation(run, path, found.parent);
	check_answer(run, path);
}

static void check_resend(struct check_run *run, const json_t *tree)
{
	if (json_is_true(json_object_get(tree, "resend")))
		check_ok(run, "this kernel sends requests again that a worker died over");
	else
		check_ok(run, "requests that a worker died over are kept for the next one");
}

void check_tree(struct check_run *run, bool is_running)
{
	json_auto_t *status = NULL;
	struct fusehost host;
	const json_t *tree;

	if (is_running && daemon_get(run->context, "check", "/1.0/status", &status) != 0)
		return check_fail(run, "the daemon does not say how its tree is; see its log");
	tree = json_object_get(status, "tree");
	if (is_running && !json_is_object(tree))
		return check_note(run, "there is no tree: the daemon was started with --no-fuse");
	fusehost_read_here(&host);
	check_device(run);
	check_fuse_conf(run, &host);
	check_timeout(run, "default_request_timeout", host.default_timeout_s);
	check_timeout(run, "max_request_timeout", host.max_timeout_s);
	if (!is_running)
		return;
	check_resend(run, tree);
	check_mount(run);
}
