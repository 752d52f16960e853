/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watching directories
 *
 * What is watched follows from the paths alone: plan() walks each one and says
 * which directories matter and for which events; apply() makes the kernel's
 * watches so. Both run again whenever something happened to a directory rather
 * than in it, until nothing changes, so that no order of events needs care.
 *
 * A spot is one inode watched, however many paths lead to it: the kernel keeps
 * one watch per inode and would merge them silently.
 *
 * libinotifytools 3.22, as far as it shows here:
 * - It never forgets a watch that the kernel dropped (IN_IGNORED), and would
 *   answer wd_from_filename() with it for ever. retire() gives it another name,
 *   one that sorts where the old one did because its tables are sorted by name.
 *   A few bytes per vanished directory stay behind.
 * - Removing a watch that the kernel dropped prints a line on standard error;
 *   apply() therefore runs when all queued events have been read.
 * - next_event(0) waits for ever; next_events(0, 1) polls, and a larger number
 *   of events makes it spin.
 */
#include "store/dir.h"

#include <fcntl.h>
#include <inotifytools/inotify.h>
#include <inotifytools/inotifytools.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/log.h"

/* In a directory of records. */
#define EVENTS_RECORDS                                                                             \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB)
/* In one where the next component of a path is missing or may be replaced. */
#define EVENTS_NAMES (IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_ATTRIB)
/* To any directory on the way. */
#define EVENTS_SELF (IN_MOVE_SELF | IN_DELETE_SELF)

/* Events read before looking at what they mean: a flood must not keep idle() waiting. */
#define BATCH_MAX 4096
/* A path that changes faster than it can be walked is left alone until the next event. */
#define ROUNDS_MAX 16

struct spot {
	dev_t dev;
	ino_t ino;
	int wd; /* -1: not watched yet, or no longer */
	uint32_t mask, wanted;
	bool is_named;     /* the plan still reaches it by its path */
	char *path;        /* ends in '/', as the library has it */
	char *new_path;    /* another way to it */
	struct spot *next; /* dir_watcher::spots */
};

struct target {
	char *path;
	bool is_there, was_there;
	bool is_new; /* its watch was set since the last report */
	int error;   /* why it is not there */
	dev_t dev;
	ino_t ino;
};

struct dir_watcher {
	struct dir_handler handler;
	struct target *targets;
	size_t n_targets;
	struct spot *spots;
	bool is_dirty; /* something happened to a directory */
	bool overflowed;
};

int dir_init(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	/* The library does not tell its descriptor: it is the lowest free one, as this was. */
	if (fd < 0)
		return -errno;
	close(fd);
	if (fd >= FD_SETSIZE)
		return -EMFILE;
	if (!inotifytools_initialize())
		return -(inotifytools_error() ?: EIO);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static void spot_free(struct spot *s)
{
	free(s->path);
	free(s->new_path);
	free(s);
}

struct dir_watcher *dir_free(struct dir_watcher *w)
{
	struct spot *s, *next;

	if (!w)
		return NULL;
	inotifytools_cleanup();
	LL_FOREACH_SAFE (w->spots, s, next)
		spot_free(s);
	for (size_t i = 0; i < w->n_targets; i++)
		free(w->targets[i].path);
	free(w->targets);
	free(w);
	return NULL;
}

/* The library's entry for a watch that the kernel has dropped makes room for a new one of that path. */
static void retire(struct spot *s)
{
	_cleanup_(freep) char *name = NULL;

	if (asprintf(&name, "%s\001", s->path) >= 0)
		inotifytools_set_filename_by_wd(s->wd, name);
	s->wd = -1;
}

/* Notes that the directory @path (ending in '/') is to be watched for @events. Returns 0 or -ENOMEM. */
static int want(struct dir_watcher *w, const char *path, const struct stat *st, uint32_t events)
{
	struct spot *s;

	LL_FOREACH (w->spots, s)
		if (s->dev == st->st_dev && s->ino == st->st_ino)
			break;
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		s->dev = st->st_dev;
		s->ino = st->st_ino;
		s->wd = -1;
		LL_PREPEND(w->spots, s);
	}
	s->wanted |= events | EVENTS_SELF;
	if (s->path && streq(s->path, path)) {
		s->is_named = true;
		return 0;
	}
	free(s->new_path);
	s->new_path = strdup(path);
	return s->new_path ? 0 : -ENOMEM;
}

/* stat(2) of a directory; -errno, also for anything else. */
static int stat_directory(const char *path, struct stat *ret)
{
	if (stat(path, ret) < 0)
		return -errno;
	if (!S_ISDIR(ret->st_mode))
		return -ENOTDIR;
	return 0;
}

/* Walks from the root to the target, noting what to watch on the way. Returns 0 or -ENOMEM. */
static int plan(struct dir_watcher *w, struct target *t)
{
	_cleanup_(buf_finish) struct buf path = {0}, parent = {0};
	struct stat st, parent_st;
	const char *rest = t->path;
	int r = 0;

	t->is_there = false;
	t->error = -ENOENT;
	if (stat_directory("/", &parent_st) < 0 || buf_puts(&path, "/") < 0)
		return -ENOMEM;
	for (rest += strspn(rest, "/"); r == 0 && *rest; rest += strspn(rest, "/")) {
		size_t n = strcspn(rest, "/");
		bool is_last = !rest[n + strspn(rest + n, "/")], is_link;

		parent.len = 0;
		if (buf_puts(&parent, path.data) < 0 || buf_append(&path, rest, n) < 0)
			return -ENOMEM;
		is_link = lstat(path.data, &st) == 0 && S_ISLNK(st.st_mode);
		if (buf_putc(&path, '/') < 0)
			return -ENOMEM;
		rest += n;
		r = stat_directory(path.data, &st);
		if (r == 0 && is_last && access(path.data, R_OK | X_OK) < 0)
			r = -errno;
		if ((r < 0 || is_link) && want(w, parent.data, &parent_st, EVENTS_NAMES) < 0)
			return -ENOMEM;
		if (r < 0) {
			t->error = r == -ENOTDIR ? -ENOENT : r;
			return 0;
		}
		r = want(w, path.data, &st, is_last ? EVENTS_RECORDS : 0);
		parent_st = st;
	}
	if (r < 0)
		return r;
	t->is_there = true;
	t->dev = parent_st.st_dev;
	t->ino = parent_st.st_ino;
	return 0;
}

/* Ends watches that are not wanted so, and forgets spots nobody wants. Returns how many. */
static size_t apply_removals(struct dir_watcher *w)
{
	struct spot *s, *next;
	size_t n = 0;

	LL_FOREACH_SAFE (w->spots, s, next) {
		if (s->wd >= 0 && (s->mask != s->wanted || !s->is_named)) {
			n++;
			if (!inotifytools_remove_watch_by_wd(s->wd))
				retire(s);
			s->wd = -1;
		}
		if (!s->wanted) {
			LL_DELETE(w->spots, s);
			spot_free(s);
		} else if (!s->is_named) {
			free(s->path);
			s->path = steal_ptr(&s->new_path);
		}
	}
	return n;
}

/* What became of the spot @s, for the targets it is. */
static void note(struct dir_watcher *w, const struct spot *s, int error)
{
	for (size_t i = 0; i < w->n_targets; i++) {
		struct target *t = &w->targets[i];

		if (!t->is_there || t->dev != s->dev || t->ino != s->ino)
			continue;
		t->is_new = error == 0;
		t->is_there = error == 0;
		t->error = error;
	}
}

/* Sets the watches that are missing; *n_set grows by those that could be. Returns 0 or the last -errno. */
static int apply_additions(struct dir_watcher *w, size_t *n_set)
{
	struct spot *s;
	int r = 0;

	LL_FOREACH (w->spots, s) {
		int error;

		if (s->wd >= 0)
			continue;
		/* IN_MASK_CREATE: should the path lead to another inode by now, no watch of ours is changed. */
		if (inotifytools_watch_file(s->path, s->wanted | IN_ONLYDIR | IN_MASK_CREATE)) {
			s->wd = inotifytools_wd_from_filename(s->path);
			s->mask = s->wanted;
			(*n_set)++;
			note(w, s, 0);
			continue;
		}
		error = -(inotifytools_error() ?: EIO);
		note(w, s, error);
		/* An ancestor that may be passed but not read is not watched; it seldom moves. */
		if (error != -EACCES)
			r = error;
	}
	return r;
}

static int plan_all(struct dir_watcher *w)
{
	struct spot *s;

	LL_FOREACH (w->spots, s) {
		s->wanted = 0;
		s->is_named = false;
	}
	for (size_t i = 0; i < w->n_targets; i++)
		if (plan(w, &w->targets[i]) < 0)
			return -ENOMEM;
	return 0;
}

/* Brings the watches in line with the paths. Returns 0 or -errno of a watch that could not be set. */
static int reconcile(struct dir_watcher *w)
{
	size_t n_changes = 1;
	int r = 0;

	w->is_dirty = false;
	for (size_t round = 0; n_changes > 0 && round < ROUNDS_MAX; round++) {
		if (plan_all(w) < 0)
			return -ENOMEM;
		n_changes = apply_removals(w);
		r = apply_additions(w, &n_changes);
	}
	return r;
}

/* Tells the handler what reconcile() found. */
static void report(struct dir_watcher *w)
{
	for (size_t i = 0; i < w->n_targets; i++) {
		struct target *t = &w->targets[i];

		if (t->is_there && (t->is_new || !t->was_there || w->overflowed))
			w->handler.rescan(w->handler.ctx, i);
		else if (!t->is_there && t->was_there)
			w->handler.lost(w->handler.ctx, i, t->error);
		t->was_there = t->is_there;
		t->is_new = false;
	}
	w->overflowed = false;
}

static void report_name(struct dir_watcher *w, const struct spot *s,
			const struct inotify_event *event)
{
	for (size_t i = 0; i < w->n_targets; i++) {
		const struct target *t = &w->targets[i];

		if (!t->is_there || t->dev != s->dev || t->ino != s->ino)
			continue;
		if (event->len > 0)
			w->handler.changed(w->handler.ctx, i, event->name, event->mask & IN_CREATE);
	}
}

static void handle(struct dir_watcher *w, const struct inotify_event *event)
{
	struct spot *s;

	if (event->mask & IN_Q_OVERFLOW) {
		w->is_dirty = w->overflowed = true;
		/* That a watch was dropped may be among what is lost: all are set anew. */
		LL_FOREACH (w->spots, s)
			s->mask = 0;
		return;
	}
	LL_FOREACH (w->spots, s)
		if (s->wd == event->wd)
			break;
	if (!s || s->wd < 0)
		return;
	if (event->mask & IN_IGNORED)
		retire(s);
	if (event->mask & (EVENTS_SELF | IN_IGNORED | IN_UNMOUNT) || event->len == 0 ||
	    !(s->wanted & IN_CLOSE_WRITE))
		w->is_dirty = true;
	report_name(w, s, event);
}

/* Absolute, for whoever changes the working directory. */
static char *make_absolute(const char *path)
{
	_cleanup_(freep) char *here = *path == '/' ? strdup("") : getcwd(NULL, 0);
	char *absolute;

	return here && asprintf(&absolute, "%s/%s", here, path) >= 0 ? absolute : NULL;
}

int dir_watch(const char *const *paths, size_t n, const struct dir_handler *handler,
	      struct dir_watcher **ret)
{
	_cleanup_(dir_freep) struct dir_watcher *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->handler = *handler;
	w->targets = calloc(n, sizeof(*w->targets));
	if (!w->targets)
		return -ENOMEM;
	for (; w->n_targets < n; w->n_targets++) {
		w->targets[w->n_targets].path = make_absolute(paths[w->n_targets]);
		if (!w->targets[w->n_targets].path)
			return -ENOMEM;
	}
	r = reconcile(w);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		w->targets[i].was_there = w->targets[i].is_there;
		w->targets[i].is_new = false;
	}
	*ret = steal_ptr(&w);
	return 0;
}

/* Waits for events, at most @timeout_s (-1: for ever), and handles those that are there. */
static void wait_and_handle(struct dir_watcher *w, int timeout_s)
{
	struct inotify_event *event = inotifytools_next_events(timeout_s, 1);

	if (!event && inotifytools_error() != 0 && inotifytools_error() != EINTR) {
		/* Without hints the store would be wrong for ever; another worker may do better. */
		log_error("cannot wait for changes of the store: %s",
			  strerror(inotifytools_error()));
		abort();
	}
	for (size_t n = 0; event && n < BATCH_MAX; n++) {
		handle(w, event);
		event = n + 1 < BATCH_MAX ? inotifytools_next_events(0, 1) : NULL;
	}
	if (w->is_dirty) {
		int r = reconcile(w);

		if (r < 0)
			log_debug("cannot watch every directory of the store: %s", strerror(-r));
		report(w);
	}
}

void dir_run(struct dir_watcher *w)
{
	for (;;)
		wait_and_handle(w, w->handler.idle(w->handler.ctx));
}
