/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See cgtree.h. The kernel's events are hints: whatever one says, the node is looked at (node_look()), and only what
 * is found there counts. A cgroup is known by its id, so that one that was removed and made again between
 * two looks is another. Watches are made before what they watch is looked at: nothing falls in between.
 *
 * The kernel says nothing to who watches a file of a cgroup that is removed. The directory above says it, and before
 * it can be removed it is empty, of which its own cgroup.events tells.
 *
 * Invariant: a node is attached (id not 0) only while its parent is, and has watches only while it is attached.
 */
#include "cgtree.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION     HASH_OAT
#include <uthash.h>

#include "base/file.h"
#include "base/log.h"
#include "core/cgroup.h"

#define EVENTS_FILE "cgroup.events"
#define DIR_MASK    (IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR)

struct watch {
	int wd; /* 0: none; the kernel's begin with 1 */
	struct cgtree_node *node;
	UT_hash_handle hh; /* cgtree::watches */
};

struct cgtree_node {
	struct cgtree_node *parent; /* NULL: the root */
	struct cgtree_node *children;
	size_t n_wants;
	uint64_t id; /* 0: not attached */
	bool is_populated;
	struct watch dir, events;
	void *data;
	UT_hash_handle hh; /* parent's children */
	char name[];
};

struct cgtree {
	int root_fd, inotify_fd;
	struct cgtree_node *root;
	struct watch *watches;
	cgtree_changed changed;
	void *ctx;
	bool has_warned; /* that the kernel gives no more watches */
	char path[CGROUP_PATH_MAX];
};

static struct cgtree_node *node_new(struct cgtree_node *parent, const char *name, size_t n)
{
	struct cgtree_node *node = calloc(1, sizeof(*node) + n + 1);

	if (!node)
		return NULL;
	memcpy(node->name, name, n);
	node->parent = parent;
	node->dir.node = node->events.node = node;
	if (!parent)
		return node;
	HASH_ADD_KEYPTR(hh, parent->children, node->name, n, node);
	if (!node->hh.tbl) {
		free(node);
		return NULL;
	}
	return node;
}

int cgtree_new(cgtree_changed changed, void *ctx, struct cgtree **ret)
{
	_cleanup_(cgtree_freep) struct cgtree *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->changed = changed;
	t->ctx = ctx;
	t->inotify_fd = -1;
	t->root_fd = cgroup_open_root(NULL);
	if (t->root_fd < 0)
		return t->root_fd;
	t->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (t->inotify_fd < 0)
		return -errno;
	t->root = node_new(NULL, "", 0);
	if (!t->root)
		return -ENOMEM;
	*ret = steal_ptr(&t);
	return 0;
}

int cgtree_fd(const struct cgtree *t)
{
	return t->inotify_fd;
}

bool cgtree_is_populated(const struct cgtree_node *node)
{
	return node->is_populated;
}

uint64_t cgtree_id(const struct cgtree_node *node)
{
	return node->id;
}

void **cgtree_data(struct cgtree_node *node)
{
	return &node->data;
}

/* Whether the kernel has no more for us, of which one warning is enough. */
static void complain(struct cgtree *t, int error)
{
	if (error != ENOSPC || t->has_warned)
		return;
	t->has_warned = true;
	log_warn(
		"the kernel gives no more inotify watches, so of some guests it is not noticed when "
		"they start and stop; raise fs.inotify.max_user_watches");
}

/* Watches @name in the directory; both are what the descriptor stands for, whatever has its path by now. */
static void watch_add(struct cgtree *t, struct watch *w, int dir_fd, const char *name,
		      uint32_t mask)
{
	char path[64];

	if (w->wd > 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir_fd, name);
	w->wd = inotify_add_watch(t->inotify_fd, path, mask);
	if (w->wd < 0) {
		complain(t, errno);
		w->wd = 0;
		return;
	}
	HASH_ADD_INT(t->watches, wd, w);
	if (!w->hh.tbl) {
		inotify_rm_watch(t->inotify_fd, w->wd);
		w->wd = 0;
	}
}

/* Its cgroup may be gone, and the watch with it. */
static void watch_remove(struct cgtree *t, struct watch *w)
{
	if (w->wd <= 0)
		return;
	inotify_rm_watch(t->inotify_fd, w->wd);
	HASH_DEL(t->watches, w); /* NOLINT(clang-analyzer-core.NullDereference): it is in there */
	w->wd = 0;
}

/* The node's path below the root's descriptor; NULL when it is too long for the kernel, so that it cannot exist. */
static const char *path_of(struct cgtree *t, const struct cgtree_node *node)
{
	size_t at = sizeof(t->path) - 1;

	t->path[at] = '\0';
	if (!node->parent)
		return ".";
	for (; node->parent; node = node->parent) {
		size_t n = strlen(node->name);

		if (n + 1 > at)
			return NULL;
		if (t->path[at])
			t->path[--at] = '/';
		at -= n;
		memcpy(t->path + at, node->name, n);
	}
	return t->path + at;
}

/* Opens the node's cgroup as it is now. Returns the descriptor or -errno. */
static int node_open(struct cgtree *t, const struct cgtree_node *node, uint64_t *ret_id)
{
	const char *path = path_of(t, node);
	_cleanup_(closep) int fd = -1;
	struct stat st;

	if (!path)
		return -ENAMETOOLONG;
	fd = openat(t->root_fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret_id = st.st_ino;
	return steal_fd(&fd);
}

/* What its cgroup.events says; a cgroup that is being removed has none, and the root never. */
static bool read_populated(int dir_fd)
{
	char text[256];

	return file_read_proc(dir_fd, EVENTS_FILE, text, sizeof(text)) > 0 &&
	       strstr(text, "populated 1");
}

static void set_populated(struct cgtree *t, struct cgtree_node *node, bool is_populated)
{
	if (node->is_populated == is_populated)
		return;
	node->is_populated = is_populated;
	t->changed(t->ctx, node);
}

/* The next node of a walk over all below @top, parents first; below @node only if @enter. NULL at the end. */
static struct cgtree_node *walk_next(const struct cgtree_node *top, struct cgtree_node *node,
				     bool enter)
{
	if (enter && node->children)
		return node->children;
	while (node != top) {
		if (node->hh.next)
			return node->hh.next;
		node = node->parent;
	}
	return NULL;
}

/* The cgroup is gone, and all below it. */
static void detach(struct cgtree *t, struct cgtree_node *top)
{
	for (struct cgtree_node *node = top; node; node = walk_next(top, node, node->id != 0)) {
		watch_remove(t, &node->dir);
		watch_remove(t, &node->events);
		set_populated(t, node, false);
	}
	/* Only now: the walk asks for ids. */
	for (struct cgtree_node *node = top, *next; node; node = next) {
		bool was_attached = node->id != 0;

		node->id = 0;
		next = walk_next(top, node, was_attached);
	}
}

/* Makes one node what its cgroup is now. Returns whether it is there. */
static bool look_at_one(struct cgtree *t, struct cgtree_node *node)
{
	uint64_t id = 0;
	_cleanup_(closep) int fd = node_open(t, node, &id);

	if (node->id && (fd < 0 || id != node->id))
		detach(t, node);
	if (fd < 0)
		return false;
	node->id = id;
	if (node->children)
		watch_add(t, &node->dir, fd, ".", DIR_MASK);
	if (node->n_wants == 0)
		return true;
	watch_add(t, &node->events, fd, EVENTS_FILE, IN_MODIFY);
	set_populated(t, node, read_populated(fd));
	return true;
}

/* The highest node from @node up that is another cgroup by now, else @node: of that the kernel has yet to tell us. */
static struct cgtree_node *highest_stale(struct cgtree *t, struct cgtree_node *node)
{
	struct cgtree_node *found = node;

	for (struct cgtree_node *n = node->parent; n; n = n->parent) {
		uint64_t id = 0;
		_cleanup_(closep) int fd = node_open(t, n, &id);

		if (n->id && (fd < 0 || id != n->id))
			found = n;
	}
	return found;
}

/* The same for the node and all below it; from further up, so that what is found below is not told twice. */
static void node_look(struct cgtree *t, struct cgtree_node *below)
{
	struct cgtree_node *top = highest_stale(t, below);

	for (struct cgtree_node *node = top; node;) {
		bool is_there = look_at_one(t, node);

		node = walk_next(top, node, is_there);
	}
}

/* The child of @parent that is called so, made if there is none. NULL = no memory. */
static struct cgtree_node *child_get(struct cgtree_node *parent, const char *name, size_t n)
{
	struct cgtree_node *child;

	HASH_FIND(hh, parent->children, name, n, child);
	return child ?: node_new(parent, name, n);
}

/* Forgets nodes that nobody wants, from @node up. */
static void sweep(struct cgtree *t, struct cgtree_node *node)
{
	while (node->parent && node->n_wants == 0 && !node->children) {
		struct cgtree_node *parent = node->parent;

		watch_remove(t, &node->dir);
		watch_remove(t, &node->events);
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it is in there */
		HASH_DEL(parent->children, node);
		free(node);
		node = parent;
	}
	if (!node->children)
		watch_remove(t, &node->dir);
}

/*
 * Looks at one node if the one above is attached; else that will be noticed first. Siblings need no look: what has happened to
 * them is told by a watch that was there before.
 */
static void look_at_new(struct cgtree *t, struct cgtree_node *node)
{
	if (!node->parent || node->parent->id)
		look_at_one(t, node);
}

struct cgtree_node *cgtree_want(struct cgtree *t, const char *path)
{
	struct cgtree_node *node = t->root;

	while (*(path += strspn(path, "/"))) {
		size_t n = strcspn(path, "/");
		struct cgtree_node *child = child_get(node, path, n);

		if (!child) {
			sweep(t, node);
			return NULL;
		}
		if (node->dir.wd == 0)
			look_at_new(t, node);
		node = child;
		path += n;
	}
	node->n_wants++;
	look_at_new(t, node);
	return node;
}

void cgtree_drop(struct cgtree *t, struct cgtree_node *node)
{
	if (--node->n_wants > 0)
		return;
	watch_remove(t, &node->events);
	node->is_populated = false;
	node->data = NULL;
	sweep(t, node);
}

static void handle(struct cgtree *t, const struct inotify_event *e)
{
	struct watch *w;
	struct cgtree_node *child;

	if (e->mask & IN_Q_OVERFLOW) {
		node_look(t, t->root);
		return;
	}
	HASH_FIND_INT(t->watches, &e->wd, w);
	if (!w)
		return; /* one that we gave up */
	if (w == &w->node->events) {
		look_at_one(t, w->node);
		return;
	}
	if (!e->len) {
		node_look(t, w->node);
		return;
	}
	HASH_FIND_STR(w->node->children, e->name, child);
	if (child)
		node_look(t, child);
}

void cgtree_dispatch(struct cgtree *t)
{
	_Alignas(struct inotify_event) char events[16 * 1024];
	ssize_t n = read(t->inotify_fd, events, sizeof(events));

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(events + at);

		handle(t, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
}

struct cgtree *cgtree_free(struct cgtree *t)
{
	struct cgtree_node *node;

	if (!t)
		return NULL;
	closep(&t->inotify_fd);
	closep(&t->root_fd);
	HASH_CLEAR(hh, t->watches);
	for (node = t->root; node;) {
		struct cgtree_node *parent = node->parent;

		if (node->children) {
			node = node->children;
			continue;
		}
		if (parent)
			HASH_DEL(parent->children, node);
		free(node);
		node = parent;
	}
	free(t);
	return NULL;
}
