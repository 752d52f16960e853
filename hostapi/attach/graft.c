/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See graft.h. What is mounted at a place is told by mountinfo, by the mount's id, so that no file system is asked.
 */
#include "attach/graft.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/apart.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/mountinfo.h"
#include "base/text.h"

#define FUSE_TYPE  "fuse.devlxdfs"
#define LAYERS_MAX 16 /* dead directories on top of each other */

/* What could not be done. */
enum stage {
	STAGE_TREE,
	STAGE_RIGHTS,
	STAGE_PARENT,
	STAGE_MAKE,
	STAGE_PLACE,
	STAGE_LOOK,
	STAGE_OCCUPIED,
	STAGE_ENTER,
	STAGE_UNMOUNT,
	STAGE_MOUNT,
};

struct answer {
	enum stage stage;
	int error;     /* 0: done */
	char what[64]; /* of OCCUPIED: whose directory, or the type of file system */
	bool is_ours;  /* of OCCUPIED: an instance's directory of the tree */
};

struct job {
	const struct liveguest *guest;
	const struct graft *graft;
	const char *path;
	bool is_mount;
};

/* The guest's side of the path. */
struct place {
	int parent_fd;
	int fd;        /* -1: there is nothing */
	int fdinfo_fd; /* the child's /proc/self/fdinfo: once it is in the guest, /proc is the guest's */
	const char *name;
};

enum found {
	FOUND_NOTHING, /* no mount */
	FOUND_OURS,
	FOUND_DEAD,
	FOUND_OTHER,
};

static int fail(struct answer *a, enum stage stage, int error)
{
	a->stage = stage;
	a->error = error;
	return error;
}

static int capset_to(uint32_t mask)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {
		{.effective = mask, .permitted = mask}};

	return syscall(SYS_capset, &head, caps) < 0 ? -errno : 0;
}

/* On files those of the guest's root; else what setns(2) and mounts take. */
static int take_rights(const struct liveguest *t)
{
	if (setgroups(0, NULL) < 0)
		return -errno;
	setfsgid(t->gid);
	setfsuid(t->uid);
	if ((uid_t)setfsuid((uid_t)-1) != t->uid || (gid_t)setfsgid((gid_t)-1) != t->gid)
		return -EPERM;
	return capset_to(CAP_TO_MASK(CAP_SYS_ADMIN) | CAP_TO_MASK(CAP_SYS_CHROOT));
}

/* A mount of its own that is in no namespace yet; what is mounted below it later stays where it is made. */
static int open_tree_of(const struct graft *g)
{
	struct mount_attr private = {.propagation = MS_PRIVATE};
	_cleanup_(buf_finish) struct buf path = {0};
	_cleanup_(closep) int fd = -1;

	if (buf_printf(&path, "%s/tree/%s", g->run_dir, g->instance) < 0)
		return -ENOMEM;
	fd = open_tree(AT_FDCWD, path.data,
		       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &private, sizeof(private)) < 0)
		return -errno;
	return steal_fd(&fd);
}

static int open_parent(const struct liveguest *t, const char *path, struct place *p,
		       struct answer *ret)
{
	_cleanup_(freep) char *copy = strdup(path);
	char *slash = copy ? strrchr(copy, '/') : NULL;

	if (!slash)
		return fail(ret, STAGE_PARENT, -ENOMEM);
	*slash = '\0';
	p->name = path + (slash - copy) + 1;
	p->parent_fd = file_open_at(t->root_fd, slash == copy ? "." : copy + 1,
				    O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	return p->parent_fd < 0 ? fail(ret, STAGE_PARENT, p->parent_fd) : 0;
}

static int open_place(struct place *p)
{
	closep(&p->fd);
	p->fd = file_open_at(p->parent_fd, p->name, O_PATH | O_DIRECTORY,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	return p->fd;
}

/* The number behind "mnt_id:" of a descriptor, which the kernel tells without asking the file system. */
static int mount_id_of(int fdinfo_fd, int fd, uint64_t *ret)
{
	char name[16], text[512], *line;

	snprintf(name, sizeof(name), "%d", fd);
	if (file_read_proc(fdinfo_fd, name, text, sizeof(text)) < 0)
		return -EIO;
	line = strstr(text, "mnt_id:");
	if (!line)
		return -EIO;
	line += strlen("mnt_id:");
	line += strspn(line, " \t");
	line[strcspn(line, "\n")] = '\0';
	return text_to_u64(line, 0, UINT64_MAX, ret);
}

static enum found judge(const struct graft *g, const struct mountinfo *m, struct answer *ret)
{
	if (!streq(m->type, FUSE_TYPE)) {
		snprintf(ret->what, sizeof(ret->what), "%s", m->type);
		return FOUND_OTHER;
	}
	if (!g->device || !streq(m->device, g->device))
		return FOUND_DEAD;
	if (streq(m->root + strspn(m->root, "/"), g->instance))
		return FOUND_OURS;
	ret->is_ours = true;
	snprintf(ret->what, sizeof(ret->what), "%s", m->root + strspn(m->root, "/"));
	return FOUND_OTHER;
}

/* What is mounted at the place. Returns an enum found or -errno. */
static int look_at(const struct job *job, const struct place *p, struct answer *ret)
{
	/* The child's own: what is read here is read on by nobody. */
	_cleanup_(fclosep) FILE *mounts = NULL;
	_cleanup_(freep) char *line = NULL;
	_cleanup_(closep) int fd = fcntl(job->guest->mounts_fd, F_DUPFD_CLOEXEC, 0);
	uint64_t id, parent_id;
	size_t size = 0;

	if (mount_id_of(p->fdinfo_fd, p->fd, &id) < 0 ||
	    mount_id_of(p->fdinfo_fd, p->parent_fd, &parent_id) < 0)
		return -EIO;
	if (id == parent_id)
		return FOUND_NOTHING;
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0 || !(mounts = fdopen(fd, "re")))
		return -errno;
	fd = -1; /* mounts' */
	while (getline(&line, &size, mounts) > 0) {
		struct mountinfo m;

		if (mountinfo_parse(line, &m) == 0 && m.id == id)
			return judge(job->graft, &m, ret);
	}
	/* It may not see the mount: of another root, or gone. */
	return -EIO;
}

static int enter(const struct liveguest *t, const struct place *p)
{
	if (setns(t->ns_fd, CLONE_NEWNS) < 0 || fchdir(p->parent_fd) < 0)
		return -errno;
	return 0;
}

/* Until nothing dead is on top, nor what is to go. */
static int clear_place(const struct job *job, struct place *p, struct answer *ret)
{
	for (int i = 0; i < LAYERS_MAX; i++) {
		int found = look_at(job, p, ret);

		if (found < 0)
			return fail(ret, STAGE_LOOK, found);
		if (found == FOUND_NOTHING)
			return 0;
		if (found == FOUND_OURS && job->is_mount)
			return FOUND_OURS;
		if (found == FOUND_OTHER)
			return job->is_mount ? fail(ret, STAGE_OCCUPIED, -EBUSY) : 0;
		if (umount2(p->name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return fail(ret, STAGE_UNMOUNT, -errno);
		if (open_place(p) < 0)
			return fail(ret, STAGE_PLACE, p->fd);
	}
	return fail(ret, STAGE_OCCUPIED, -EBUSY);
}

static int find_place(const struct job *job, struct place *p, struct answer *ret)
{
	int r = open_parent(job->guest, job->path, p, ret);

	if (r < 0)
		return r;
	r = open_place(p);
	if (r == -ENOENT && job->is_mount) {
		if (mkdirat(p->parent_fd, p->name, 0755) < 0 && errno != EEXIST)
			return fail(ret, STAGE_MAKE, -errno);
		r = open_place(p);
	}
	return r < 0 ? fail(ret, STAGE_PLACE, r) : 0;
}

static void work(const struct job *job, int tree_fd, struct place *p, struct answer *ret)
{
	int r = find_place(job, p, ret);

	if (r < 0)
		return;
	r = enter(job->guest, p);
	if (r < 0) {
		fail(ret, STAGE_ENTER, r);
		return;
	}
	r = clear_place(job, p, ret);
	if (r == 0 && job->is_mount &&
	    move_mount(tree_fd, "", p->fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
		    0)
		fail(ret, STAGE_MOUNT, -errno);
}

/* In the child. */
static void act(const void *ctx, void *answer)
{
	const struct job *job = ctx;
	struct answer *ret = answer;
	_cleanup_(closep) int tree_fd = -1;
	struct place place = {.parent_fd = -1, .fd = -1, .fdinfo_fd = -1};
	int r;

	place.fdinfo_fd = open("/proc/self/fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (job->is_mount) {
		tree_fd = open_tree_of(job->graft);
		if (tree_fd < 0) {
			fail(ret, STAGE_TREE, tree_fd);
			return;
		}
	}
	r = take_rights(job->guest);
	if (r < 0) {
		fail(ret, STAGE_RIGHTS, r);
		return;
	}
	work(job, tree_fd, &place, ret);
	closep(&place.fd);
	closep(&place.parent_fd);
	closep(&place.fdinfo_fd);
}

static void explain_place(const struct answer *a, const char *path, struct buf *error)
{
	const char *which = a->stage == STAGE_PARENT ? "the directory above " : "";

	if (a->error == -ELOOP)
		(void)buf_printf(
			error,
			"%s%s is a symbolic link in the guest, or leads through one, and none is "
			"followed; name another place with --path",
			which, path);
	else if (a->error == -ENOTDIR)
		(void)buf_printf(
			error,
			"%s%s is no directory in the guest; remove it there, or name another "
			"place with --path",
			which, path);
	else if (a->error == -ENOENT)
		(void)buf_printf(error, "%s%s does not exist in the guest", which, path);
	else
		(void)buf_printf(error, "cannot open %s%s in the guest: %s", which, path,
				 strerror(-a->error));
}

static void explain(const struct answer *a, const struct graft *g, const char *path,
		    struct buf *error)
{
	switch (a->stage) {
	case STAGE_TREE:
		if (a->error != -ENOENT)
			(void)buf_printf(error, "cannot open its directory of the tree: %s",
					 strerror(-a->error));
		break;
	case STAGE_PARENT:
	case STAGE_PLACE:
		explain_place(a, path, error);
		break;
	case STAGE_MAKE:
		(void)buf_printf(
			error,
			"%s does not exist in the guest and cannot be made: %s; make it in its "
			"image, or name another place with --path",
			path, strerror(-a->error));
		break;
	case STAGE_OCCUPIED:
		if (a->is_ours)
			(void)buf_printf(
				error,
				"the directory of %s is at %s in the guest; take that away "
				"first: devlxdfs detach",
				*a->what ? a->what : "all instances", path);
		else
			(void)buf_printf(
				error,
				"something else is mounted at %s in the guest (%s); name another "
				"place with --path",
				path, a->what);
		break;
	case STAGE_RIGHTS:
	case STAGE_LOOK:
	case STAGE_ENTER:
		(void)buf_printf(error, "cannot look at %s in the guest: %s", path,
				 strerror(-a->error));
		break;
	case STAGE_UNMOUNT:
		(void)buf_printf(error, "cannot unmount what is at %s in the guest: %s", path,
				 strerror(-a->error));
		break;
	case STAGE_MOUNT:
		(void)buf_printf(error, "cannot mount at %s in the guest: %s", path,
				 strerror(-a->error));
		break;
	}
}

static int run(const struct job *job, struct buf *error)
{
	struct answer answer = {0};
	int r = apart_call(act, job, &answer, sizeof(answer));

	if (r == -ETIMEDOUT)
		(void)buf_printf(error, "the guest holds up what is at %s there", job->path);
	else if (r < 0)
		(void)buf_printf(error, "cannot enter the guest: %s", strerror(-r));
	if (r < 0)
		return r;
	if (answer.error < 0)
		explain(&answer, job->graft, job->path, error);
	return answer.error;
}

int graft_mount(const struct liveguest *t, const struct graft *g, const char *path,
		struct buf *error)
{
	const struct job job = {t, g, path, true};

	return run(&job, error);
}

int graft_unmount(const struct liveguest *t, const struct graft *g, const char *path,
		  struct buf *error)
{
	const struct job job = {t, g, path, false};
	int r = run(&job, error);

	/* Nothing is there any more. */
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP) {
		error->len = 0;
		r = 0;
	}
	return r;
}

int graft_find_tree(const char *run_dir, char ret_device[32])
{
	_cleanup_(fclosep) FILE *mounts = fopen("/proc/self/mountinfo", "re");
	_cleanup_(freep) char *line = NULL, *real = realpath(run_dir, NULL), *path = NULL;
	size_t size = 0;
	bool is_found = false;

	if (!real || !mounts)
		return -errno;
	if (asprintf(&path, "%s/tree", real) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	while (getline(&line, &size, mounts) > 0) {
		struct mountinfo m;

		if (mountinfo_parse(line, &m) < 0 || !streq(m.point, path))
			continue;
		is_found = streq(m.type, FUSE_TYPE) && strlen(m.device) < 32;
		if (is_found)
			memcpy(ret_device, m.device, strlen(m.device) + 1);
	}
	return is_found ? 0 : -ENOENT;
}
