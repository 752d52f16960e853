/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking at record files
 *
 * A missing file is one of three things: about to be written again (editors,
 * git), deleted, or out of sight with its whole directory. The first two are
 * told apart by a second of grace; the third is not believed at all, so only
 * what happened to a file itself, or a scan of its directory, makes it missing.
 */
#include "store/load.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <utlist.h>

#include "base/file.h"
#include "base/sock.h"
#include "core/record.h"
#include "core/settings.h"
#include "store/names.h"

/*
 * A file changed twice within one tick of the kernel's clock has one stamp; with some file systems
 * a tick is long. A stamp younger than this tells nothing.
 */
#define STAMP_TICK_NS 100000000

static struct stamp stamp_of(const struct stat *st)
{
	return (struct stamp){st->st_dev, st->st_ino, st->st_size, st->st_ctim};
}

static bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static bool stamp_is_young(const struct stamp *s)
{
	struct timespec now;
	int64_t age_s;

	clock_gettime(CLOCK_REALTIME, &now);
	age_s = now.tv_sec - s->ctime.tv_sec;
	return age_s < 2 && age_s * 1000000000 + now.tv_nsec - s->ctime.tv_nsec < STAMP_TICK_NS;
}

/* Sets the source's error to "PATH: what". Returns 0 or -ENOMEM. */
static int set_error(const struct book *b, const struct entry *e, struct source *s,
		     const char *what)
{
	_cleanup_(buf_finish) struct buf text = {0};

	if (book_put_path(b, e, s, &text) < 0 || buf_printf(&text, ": %s", what) < 0)
		return -ENOMEM;
	s->error = buf_steal(&text, NULL);
	return 0;
}

static int parse(struct book *b, struct entry *e, struct source *s, const char *text, size_t n)
{
	_cleanup_(parse_error_finish) struct parse_error complaint = {0};
	_cleanup_(buf_finish) struct buf path = {0}, warnings = {0}, error = {0};
	int r = book_put_path(b, e, s, &path);

	if (r == 0)
		r = parse_record(e->table, names_format(s->suffix), e->name, path.data, text, n,
				 b->settings, &s->record, &warnings, &complaint);
	if (r == 0 && warnings.len > 0)
		s->warnings = buf_steal(&warnings, NULL);
	if (r != -EINVAL)
		return r;
	r = parse_error_format(&complaint, path.data, &error);
	if (r == 0)
		s->error = buf_steal(&error, NULL);
	return r;
}

/* Sets the source's error: the daemon's group has no right to the file. Returns 0 or -ENOMEM. */
static int set_error_denied(const struct book *b, const struct entry *e, struct source *s)
{
	_cleanup_(buf_finish) struct buf path = {0}, what = {0};

	if (book_put_path(b, e, s, &path) < 0 ||
	    buf_printf(&what, "cannot be read: %s; let the daemon: chgrp %s %s && chmod g+r %s",
		       strerror(EACCES), b->group, path.data, path.data) < 0)
		return -ENOMEM;
	return set_error(b, e, s, what.data);
}

/* Reads the file into the source, which becomes a record or an error. Returns 0 or -ENOMEM. */
static int read_source(struct book *b, struct entry *e, struct source *s, int fd, const char *file)
{
	_cleanup_(freep) char *text = NULL;
	char what[128];
	size_t n;
	int r;

	s->record = record_unref(s->record);
	free(steal_ptr(&s->error));
	free(steal_ptr(&s->warnings));
	s->is_unread = false;
	b->n_read++;
	book_touch(b, e);
	if (e->table == BOOK_ODD)
		return set_error(
			b, e, s,
			b->directories[s->directory].in_state
				? "not the name of a record; expected NAME.json"
				: "not the name of a record; expected NAME.yaml or NAME.json");
	r = file_read(fd, file, b->settings->max_record_bytes, &text, &n);
	if (r == 0)
		return parse(b, e, s, text, n);
	if (r == -EACCES && b->group)
		return set_error_denied(b, e, s);
	if (r == -EFBIG)
		snprintf(what, sizeof(what), "larger than %u bytes", b->settings->max_record_bytes);
	else
		snprintf(what, sizeof(what), "cannot be read: %s",
			 r == -EINVAL ? "not a regular file" : strerror(-r));
	/* Want of descriptors or memory passes without a hint. */
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		book_set_due(b, s, now_us() + LOAD_GRACE_US);
	return set_error(b, e, s, what);
}

static void note_missing(struct book *b, struct entry *e, struct source *s, enum load_how how)
{
	if (how == LOAD_NOW || s->is_unread) {
		book_drop_source(b, e, s);
	} else if (!s->is_missing) {
		s->is_missing = true;
		book_set_due(b, s, now_us() + LOAD_GRACE_US);
		book_touch(b, e);
	}
}

/* Looks at a source's file in the directory @fd (-1: which is gone). Returns 0 or -ENOMEM. */
static int look(struct book *b, struct entry *e, struct source *s, int fd, enum load_how how)
{
	_cleanup_(buf_finish) struct buf file = {0};
	struct stat st = {0}; /* stays so when the file cannot be reached */
	struct stamp stamp;
	int r;

	if (book_put_file(e, s, &file) < 0)
		return -ENOMEM;
	if (fd < 0 || (fstatat(fd, file.data, &st, 0) < 0 && errno == ENOENT)) {
		note_missing(b, e, s, how);
		return 0;
	}
	stamp = stamp_of(&st);
	book_set_due(b, s, 0);
	if (s->is_missing)
		book_touch(b, e);
	s->is_missing = false;
	if (!s->is_unread && !s->is_fresh && stamp_equal(&s->stamp, &stamp))
		return 0;
	e->is_reread = e->is_reread || !stamp_equal(&s->stamp, &stamp);
	s->stamp = stamp;
	s->is_fresh = stamp_is_young(&stamp);
	r = read_source(b, e, s, fd, file.data);
	if (r == 0 && s->record)
		s->record->written = st.st_mtim;
	return r;
}

/* The entry and source that stand for @file, made if missing. Returns 1, 0 when it stands for nothing, or -ENOMEM. */
static int get_source(struct book *b, size_t directory, const char *file, struct entry **ret_entry,
		      struct source **ret_source)
{
	const struct directory *d = &b->directories[directory];
	_cleanup_(buf_finish) struct buf path = {0};
	char name[NAMES_RECORD_MAX + 1];
	size_t suffix = 0;
	int r = names_split(file, d->in_state, name, &suffix);

	if (r == NAMES_E_LEFTOVER)
		return 0;
	if (r == NAMES_E_ODD && buf_printf(&path, "%s/%s", d->path, file) < 0)
		return -ENOMEM;
	*ret_entry = r == 0 ? book_get(b, d->kind, name) : book_get(b, BOOK_ODD, path.data);
	if (!*ret_entry)
		return -ENOMEM;
	*ret_source = book_get_source(*ret_entry, directory, suffix);
	if (*ret_source)
		return 1;
	book_touch(b, *ret_entry); /* an entry without sources is forgotten then */
	return -ENOMEM;
}

/* O_PATH keeps atime and a missing right to read out of it. */
static int open_directory(const struct book *b, size_t directory)
{
	return open(b->directories[directory].path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool is_link(int fd, const char *file)
{
	struct stat st;

	return fstatat(fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

int load_file(struct book *b, size_t directory, const char *file, enum load_how how)
{
	_cleanup_(closep) int fd = open_directory(b, directory);
	struct entry *e;
	struct source *s;
	int r = get_source(b, directory, file, &e, &s);

	if (r <= 0)
		return r;
	/* Nobody writes a symbolic link. An odd name is often gone the next moment. */
	if ((how == LOAD_MADE && !is_link(fd, file)) || (how != LOAD_NOW && e->table == BOOK_ODD)) {
		if (!s->due_us)
			book_set_due(b, s, now_us() + LOAD_GRACE_US);
		return 0;
	}
	return look(b, e, s, fd, how);
}

/* Notes as missing what the scan has not seen. */
static void note_unseen(struct book *b, size_t directory, unsigned table)
{
	struct entry *e, *next;

	HASH_ITER (hh, b->entries[table], e, next) {
		struct source *s, *next_source;

		LL_FOREACH_SAFE (e->sources, s, next_source) {
			if (s->directory != directory)
				continue;
			if (!s->is_seen)
				note_missing(b, e, s, LOAD_HINTED);
			else
				s->is_seen = false;
		}
	}
}

int load_directory(struct book *b, size_t directory)
{
	struct directory *d = &b->directories[directory];
	_cleanup_(file_closedirp) DIR *dir = opendir(d->path);
	struct dirent *found;

	d->error = dir ? 0 : -errno;
	while (dir && (found = readdir(dir))) {
		struct entry *e;
		struct source *s;
		int r = get_source(b, directory, found->d_name, &e, &s);

		if (r > 0) {
			s->is_seen = true;
			r = look(b, e, s, dirfd(dir), LOAD_HINTED);
		}
		if (r < 0)
			return r;
	}
	if (dir) {
		note_unseen(b, directory, d->kind);
		note_unseen(b, directory, BOOK_ODD);
	}
	return 0;
}

int load_due(struct book *b)
{
	uint64_t now = now_us();
	struct source *s;

	/* Each that is looked at is due no more, or not yet again. */
	while ((s = b->due) && s->due_us <= now) {
		_cleanup_(closep) int fd = open_directory(b, s->directory);

		if (look(b, s->entry, s, fd, LOAD_NOW) < 0)
			return -ENOMEM;
	}
	return 0;
}
