/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attaching, in this order: the guest is looked at, then it is in the ledger, then its cgroup is the instance's, then the
 * directory is there. So whoever sees the directory is known, and whatever is cut short is in the ledger.
 */
#include "attach/attach.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>

#include "attach/conf.h"
#include "attach/graft.h"
#include "attach/guestgroup.h"
#include "attach/ledger.h"
#include "attach/liveguest.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/httpc.h"
#include "base/log.h"
#include "base/text.h"
#include "core/pidfd.h"

#define PATH      "/dev/lxd"
#define ALSO_PATH "/dev/incus"

/* One instance, its file in the ledger locked. */
struct task {
	const char *run_dir, *instance;
	int dir_fd, fd;
	struct liveguest guest;
	struct ledger_entry entry;
};

static void task_finish(struct task *t)
{
	liveguest_finish(&t->guest);
	ledger_entry_finish(&t->entry);
	closep(&t->fd);
	closep(&t->dir_fd);
}

/* @make: the file, if it is missing. Returns 0, -ENOENT without it, or -errno. */
static int task_begin(struct task *t, const char *run_dir, const char *instance, bool make)
{
	t->run_dir = run_dir;
	t->instance = instance;
	t->dir_fd = ledger_open(run_dir);
	t->fd = t->dir_fd < 0 ? t->dir_fd : ledger_lock(t->dir_fd, instance, make);
	return t->fd < 0 ? t->fd : 0;
}

#define TASK_NONE                                                                                  \
	{                                                                                          \
		.dir_fd = -1, .fd = -1, .guest = LIVEGUEST_NONE                                    \
	}

/* Asks the daemon. Returns an ATTACH_E_* with @error, or 0 and *ret, the caller's to finish. */
static int ask(const struct task *t, const char *method, const char *what, const char *body,
	       struct httpc_reply *ret, struct buf *error)
{
	_cleanup_(buf_finish) struct buf sock = {0}, route = {0};
	int r = buf_printf(&sock, "%s/admin.sock", t->run_dir);

	if (r == 0)
		r = buf_printf(&route, "/1.0/instances/%s%s", t->instance, what);
	if (r == 0)
		r = httpc_request(sock.data, method, route.data, body, body ? strlen(body) : 0,
				  ret);
	if (r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR) {
		(void)buf_printf(error, "no daemon at %s/admin.sock; start devlxdfsd", t->run_dir);
		return ATTACH_E_NO_DAEMON;
	}
	if (r < 0) {
		(void)buf_printf(error, "cannot ask the daemon: %s", strerror(-r));
		return ATTACH_E_REFUSED;
	}
	if (ret->status < 400)
		return 0;
	(void)buf_printf(error, "%.*s", (int)strcspn(ret->body, "\n"), ret->body);
	r = ret->status == 404 ? ATTACH_E_NO_INSTANCE : ATTACH_E_REFUSED;
	httpc_reply_finish(ret);
	return r;
}

/* Whether the instance is in force, and whether its cgroup says who it is. */
static int look_at_instance(const struct task *t, bool *ret_by_mount, struct buf *error)
{
	_cleanup_(httpc_reply_finish) struct httpc_reply reply = {0};
	json_auto_t *summary = NULL;
	int r = ask(t, "GET", "", NULL, &reply, error);

	if (r == ATTACH_E_NO_INSTANCE) {
		error->len = 0;
		(void)buf_printf(error,
				 "there is no record of it in force; make one: devlxdfs create %s",
				 t->instance);
	}
	if (r != 0)
		return r;
	summary = json_loadb(reply.body, reply.body_len, 0, NULL);
	*ret_by_mount = json_is_true(json_object_get(json_object_get(summary, "match"), "mount"));
	return 0;
}

static int bind_cgroup(const struct task *t, struct buf *error)
{
	_cleanup_(httpc_reply_finish) struct httpc_reply reply = {0};
	_cleanup_(freep) char *path = malloc(CGROUP_PATH_MAX), *body = NULL;
	json_auto_t *json = NULL;
	int r = path ? guestgroup_top(&t->guest, path) : -ENOMEM;

	if (r == 0) {
		json = json_pack("{s:i, s:s}", "pid", (int)t->guest.pid, "cgroup", path);
		body = json ? json_dumps(json, JSON_COMPACT) : NULL;
	}
	if (body)
		return ask(t, "POST", "/bind", body, &reply, error);
	(void)buf_printf(error, "cannot tell which cgroup is the guest's: %s",
			 strerror(r < 0 ? -r : ENOMEM));
	return ATTACH_E_REFUSED;
}

/* From now on its processes are the instance's. */
static int identify(const struct task *t, struct buf *error)
{
	bool is_by_mount = false;
	int r = look_at_instance(t, &is_by_mount, error), e;

	if (r != 0)
		return r;
	e = guestgroup_ensure(&t->guest, t->instance);
	if (e == -ENOENT && is_by_mount)
		return 0;
	if (e == -ENOENT)
		(void)buf_printf(
			error, "no cgroup2 hierarchy is mounted, so the guest cannot be told from "
			       "others; set match.mount: devlxdfs config edit");
	else if (e == -ESRCH)
		(void)buf_printf(error, "process %d has ended", (int)t->guest.pid);
	else if (e < 0)
		(void)buf_printf(error, "cannot give the guest a cgroup of its own: %s",
				 strerror(-e));
	return e < 0 ? ATTACH_E_REFUSED : bind_cgroup(t, error);
}

static int graft_all(const struct task *t, struct buf *error)
{
	char device[32];
	const struct graft g = {t->run_dir, device, t->instance};

	if (graft_find_tree(t->run_dir, device) < 0) {
		(void)buf_printf(error,
				 "no tree is mounted at %s/tree; start devlxdfsd without --no-fuse",
				 t->run_dir);
		return ATTACH_E_REFUSED;
	}
	for (size_t i = 0; i < t->entry.n_paths; i++) {
		int r = graft_mount(&t->guest, &g, t->entry.paths[i], error);

		if (r == -ENOENT && error->len == 0)
			(void)buf_printf(error, "it has no directory at %s/tree", t->run_dir);
		if (r < 0)
			return ATTACH_E_REFUSED;
	}
	return 0;
}

static int explain_guest(int r, pid_t pid, struct buf *error)
{
	if (r == -ESRCH)
		(void)buf_printf(error, "there is no process %d, or it has ended", (int)pid);
	else if (r == -EXDEV)
		(void)buf_printf(error,
				 "process %d is in the host's own mount namespace, not in a guest",
				 (int)pid);
	else
		(void)buf_printf(error, "cannot look into process %d: %s", (int)pid, strerror(-r));
	return ATTACH_E_REFUSED;
}

/* What is in the ledger, and whom the task's guest is. */
static int perform(struct task *t, struct buf *error)
{
	int r = identify(t, error), e;

	if (r == 0)
		r = graft_all(t, error);
	if (r != 0)
		return r;
	if (pidfd_has_ended(t->guest.pid_fd))
		return explain_guest(-ESRCH, t->guest.pid, error);
	t->entry.is_done = true;
	e = ledger_write(t->fd, &t->entry);
	if (e < 0)
		(void)buf_printf(error, "cannot write %s/attached: %s", t->run_dir, strerror(-e));
	return e < 0 ? ATTACH_E_REFUSED : 0;
}

/* Two guests that run cannot be one instance. */
static int check_other(struct task *t, struct buf *error)
{
	_cleanup_(ledger_entry_finish) struct ledger_entry old = {0};
	uint64_t ns;

	if (ledger_read(t->fd, &old) < 0 || !liveguest_lives(old.pid, old.start))
		return 0;
	if (liveguest_mount_ns(old.pid, &ns) == 0 && ns == t->guest.mount_ns)
		return 0;
	(void)buf_printf(
		error,
		"another guest that runs, process %d, is it; stop that, or: devlxdfs detach %s",
		(int)old.pid, t->instance);
	return ATTACH_E_REFUSED;
}

static bool wants_incus(const char *conf_dir)
{
	_cleanup_(settings_finish) struct settings s;

	conf_read(conf_dir, &s);
	return s.offer_dev_incus;
}

static bool is_path(const char *path)
{
	size_t n = strlen(path);

	return path[0] == '/' && n > 1 && n < PATH_MAX && path[n - 1] != '/';
}

static int fill_entry(struct task *t, const char *conf_dir, const struct attachment *a,
		      struct buf *error)
{
	static const char *const usual[] = {PATH, ALSO_PATH};
	const char *const *paths = a->n_paths ? a->paths : usual;
	size_t n = a->n_paths ? a->n_paths : wants_incus(conf_dir) ? 2 : 1;

	t->entry.pid = t->guest.pid;
	t->entry.start = t->guest.start;
	t->entry.paths = calloc(n, sizeof(char *));
	for (size_t i = 0; i < n && t->entry.paths; i++) {
		if (!is_path(paths[i])) {
			(void)buf_printf(error, "\"%s\" is not an absolute path of a directory",
					 paths[i]);
			return ATTACH_E_REFUSED;
		}
		t->entry.paths[i] = strdup(paths[i]);
		if (!t->entry.paths[i])
			break;
		t->entry.n_paths++;
	}
	if (t->entry.n_paths == n)
		return 0;
	(void)buf_printf(error, "out of memory");
	return ATTACH_E_REFUSED;
}

static int attach(struct task *t, const char *conf_dir, const struct attachment *a,
		  struct buf *error)
{
	int r = liveguest_open(a->pid, a->root, &t->guest);

	if (r < 0)
		return explain_guest(r, a->pid, error);
	r = fill_entry(t, conf_dir, a, error);
	if (r == 0)
		r = check_other(t, error);
	if (r != 0)
		return r;
	r = ledger_write(t->fd, &t->entry);
	if (r < 0) {
		(void)buf_printf(error, "cannot write %s/attached: %s", t->run_dir, strerror(-r));
		return ATTACH_E_REFUSED;
	}
	r = perform(t, error);
	if (r != 0 && !(a->may_wait && (r == ATTACH_E_NO_DAEMON || r == ATTACH_E_NO_INSTANCE)))
		ledger_remove(t->dir_fd, t->instance);
	return r;
}

/* One that could not be read, or whose file was only made, is nobody's. */
static void drop_if_empty(const struct task *t)
{
	_cleanup_(ledger_entry_finish) struct ledger_entry e = {0};

	if (ledger_read(t->fd, &e) < 0)
		ledger_remove(t->dir_fd, t->instance);
}

int attach_guest(const char *conf_dir, const char *run_dir, const struct attachment *a,
		 struct buf *error)
{
	_cleanup_(task_finish) struct task t = TASK_NONE;
	int r;

	if (!text_is_name(a->instance)) {
		(void)buf_printf(error, "that is not a name of an instance");
		return ATTACH_E_REFUSED;
	}
	r = task_begin(&t, run_dir, a->instance, true);
	if (r < 0) {
		(void)buf_printf(error, "cannot use %s/attached: %s%s", run_dir, strerror(-r),
				 r == -EACCES || r == -EPERM ? "; run it as root" : "");
		return ATTACH_E_REFUSED;
	}
	r = attach(&t, conf_dir, a, error);
	drop_if_empty(&t);
	return r;
}

static int take_away(struct task *t, struct buf *error)
{
	char device[32];
	bool has_tree = graft_find_tree(t->run_dir, device) == 0;
	const struct graft g = {t->run_dir, has_tree ? device : NULL, t->instance};
	int r = 0;

	if (!liveguest_lives(t->entry.pid, t->entry.start) ||
	    liveguest_open(t->entry.pid, NULL, &t->guest) < 0)
		return 0;
	for (size_t i = 0; i < t->entry.n_paths && r == 0; i++)
		r = graft_unmount(&t->guest, &g, t->entry.paths[i], error);
	return r < 0 ? ATTACH_E_REFUSED : 0;
}

/* Without a daemon the binding goes with its cgroup. */
static int unbind(const struct task *t, struct buf *error)
{
	_cleanup_(httpc_reply_finish) struct httpc_reply reply = {0};
	int r = ask(t, "DELETE", "/bind", NULL, &reply, error);

	return r == ATTACH_E_REFUSED ? r : 0;
}

static int undo(struct task *t, struct buf *error)
{
	int r = take_away(t, error);

	if (r == 0)
		r = unbind(t, error);
	if (r == 0)
		ledger_remove(t->dir_fd, t->instance);
	return r;
}

int attach_undo(const char *run_dir, const char *instance, struct buf *error)
{
	_cleanup_(task_finish) struct task t = TASK_NONE;
	int r = text_is_name(instance) ? task_begin(&t, run_dir, instance, false) : -ENOENT;

	if (r == 0)
		r = ledger_read(t.fd, &t.entry);
	if (r == -ENOENT || r == -ENODATA) {
		(void)buf_printf(error, "nothing is attached");
		return ATTACH_E_NO_INSTANCE;
	}
	if (r < 0) {
		(void)buf_printf(error, "cannot read %s/attached: %s", run_dir, strerror(-r));
		return ATTACH_E_REFUSED;
	}
	r = undo(&t, error);
	if (r == 0)
		guestgroup_sweep();
	return r;
}

void attach_ended(const char *run_dir, const char *instance)
{
	_cleanup_(task_finish) struct task t = TASK_NONE;
	_cleanup_(buf_finish) struct buf error = {0};

	if (!text_is_name(instance) || task_begin(&t, run_dir, instance, false) < 0 ||
	    ledger_read(t.fd, &t.entry) < 0 || liveguest_lives(t.entry.pid, t.entry.start))
		return;
	/* That of another daemon is not this one's to say. */
	(void)unbind(&t, &error);
	ledger_remove(t.dir_fd, instance);
	guestgroup_sweep();
}

/* One entry of the ledger. */
static void look_again(const char *run_dir, const char *instance, bool is_new_tree)
{
	_cleanup_(task_finish) struct task t = TASK_NONE;
	_cleanup_(buf_finish) struct buf error = {0};
	int r = task_begin(&t, run_dir, instance, false);

	if (r < 0)
		return;
	if (ledger_read(t.fd, &t.entry) < 0 || !liveguest_lives(t.entry.pid, t.entry.start)) {
		ledger_remove(t.dir_fd, instance);
		return;
	}
	if (t.entry.is_done && !is_new_tree)
		return;
	r = liveguest_open(t.entry.pid, NULL, &t.guest);
	/* Its manager has yet to give it its root; the hook that is at work attaches it then. */
	if (r == 0 && liveguest_has_our_root(&t.guest) && !t.entry.is_done)
		return;
	r = r < 0 ? explain_guest(r, t.entry.pid, &error) : perform(&t, &error);
	if (r != ATTACH_E_REFUSED)
		return;
	log_full(LOG_LEVEL_WARNING, LOG_EVENT_NONE, instance, "cannot attach it: %s",
		 error.len ? error.data : "?");
	ledger_remove(t.dir_fd, instance);
}

void attach_all(const char *run_dir, bool is_new_tree)
{
	_cleanup_(closep) int fd = ledger_open(run_dir);
	_cleanup_(file_closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir)
		return;
	fd = -1; /* dir's */
	while ((e = readdir(dir)))
		if (text_is_name(e->d_name))
			look_again(run_dir, e->d_name, is_new_tree);
	guestgroup_sweep();
}
