/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing the store: what `devlxdfs` does to STATE
 *
 * Knows the files and their names; what is in them is parse.c's business. A
 * record is looked for in all its possible files each time: the lock orders
 * editors, not the operator's hand.
 */
#include "store/edit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "core/settings.h"
#include "store/listing.h"
#include "store/names.h"
#include "store/ownership.h"

enum {
	CONF,
	STATE
};

struct edit {
	char *paths[2];
	int fds[2]; /* -1: there is no such directory */
	int lock_fd;
	struct settings limits;
};

/* One file of a record, found or to be written. */
struct place {
	unsigned where;
	size_t suffix;
	char file[sizeof("instances/.json") + NAMES_RECORD_MAX]; /* below the directory */
};

struct edit *edit_free(struct edit *e)
{
	if (!e)
		return NULL;
	for (unsigned where = CONF; where <= STATE; where++) {
		closep(&e->fds[where]);
		free(e->paths[where]);
	}
	closep(&e->lock_fd);
	settings_finish(&e->limits);
	free(e);
	return NULL;
}

/* *ret_fd is -1 when there is none. Returns 0 or -errno. */
static int open_directory(const char *path, int *ret_fd)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno != ENOENT)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* A bad devlxdfsd.conf is the daemon's to complain about. */
static void read_limits(struct edit *e)
{
	_cleanup_(buf_finish) struct buf error = {0};
	_cleanup_(freep) char *text = NULL;
	size_t n;

	settings_init(&e->limits);
	if (e->fds[CONF] >= 0 && file_read(e->fds[CONF], "devlxdfsd.conf", 1 << 20, &text, &n) == 0)
		(void)settings_parse(&e->limits, text, n, &error);
}

int edit_new_reader(const char *conf_dir, const char *state_dir, struct edit **ret)
{
	const char *paths[] = {[CONF] = conf_dir, [STATE] = state_dir};
	_cleanup_(edit_freep) struct edit *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->fds[CONF] = e->fds[STATE] = e->lock_fd = -1;
	for (unsigned where = CONF; where <= STATE; where++) {
		int r = open_directory(paths[where], &e->fds[where]);

		if (r < 0)
			return r;
		e->paths[where] = strdup(paths[where]);
		if (!e->paths[where])
			return -ENOMEM;
	}
	read_limits(e);
	*ret = steal_ptr(&e);
	return 0;
}

static int make_state(struct edit *e)
{
	static const char *const names[] = {"instances", "profiles", "volatile"};
	_cleanup_(ownership_return) struct ownership o = ownership_take(e->fds[STATE]);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (mkdirat(e->fds[STATE], names[i], 0750) < 0 && errno != EEXIST)
			return -errno;
	return 0;
}

int edit_new(const char *conf_dir, const char *state_dir, struct edit **ret)
{
	_cleanup_(edit_freep) struct edit *e = NULL;
	int r = file_mkdirs(state_dir, 0750);

	if (r < 0)
		return r;
	r = edit_new_reader(conf_dir, state_dir, &e);
	if (r < 0)
		return r;
	r = make_state(e);
	if (r < 0)
		return r;
	e->lock_fd = file_lock(e->fds[STATE], ".lock", true);
	if (e->lock_fd < 0)
		return e->lock_fd;
	*ret = steal_ptr(&e);
	return 0;
}

static void place_set(struct place *p, unsigned where, enum record_kind kind, const char *name,
		      size_t suffix)
{
	p->where = where;
	p->suffix = suffix;
	snprintf(p->file, sizeof(p->file), "%s/%.*s%s", names_directory(kind), NAMES_RECORD_MAX,
		 name, names_suffix(suffix));
}

/* The record's files: how many there are, at most two of them in @ret. */
static size_t find(const struct edit *e, enum record_kind kind, const char *name,
		   struct place ret[2])
{
	size_t n = 0;

	for (unsigned where = CONF; text_is_name(name) && where <= STATE; where++) {
		size_t n_suffixes = where == STATE ? NAMES_N_SUFFIXES_STATE : NAMES_N_SUFFIXES;

		for (size_t i = 0; i < n_suffixes && n < 2 && e->fds[where] >= 0; i++) {
			place_set(&ret[n], where, kind, name, i);
			if (faccessat(e->fds[where], ret[n].file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
				n++;
		}
	}
	return n;
}

static int complain_in_conf(const struct edit *e, const struct place *p, struct buf *error)
{
	return buf_printf(error, "it stands in %s/%s; edit that file", e->paths[p->where], p->file)
		       ?: EDIT_E_IN_CONF;
}

static int complain_twice(const struct edit *e, const struct place p[2], struct buf *error)
{
	return buf_printf(error, "it stands in both %s/%s and %s/%s; remove one of them",
			  e->paths[p[0].where], p[0].file, e->paths[p[1].where], p[1].file)
		       ?: EDIT_E_INVALID;
}

/* Reads the file. Returns 0, EDIT_E_INVALID with @error, or -errno. */
static int read_document(const struct edit *e, const struct place *p, json_t **ret,
			 struct buf *error)
{
	_cleanup_(parse_error_finish) struct parse_error complaint = {0};
	_cleanup_(buf_finish) struct buf path = {0};
	_cleanup_(freep) char *text = NULL;
	size_t n;
	int r;

	r = file_read(e->fds[p->where], p->file, e->limits.max_record_bytes, &text, &n);
	if (buf_printf(&path, "%s/%s", e->paths[p->where], p->file) < 0)
		return -ENOMEM;
	if (r == -EFBIG)
		return buf_printf(error, "%s: larger than %u bytes", path.data,
				  e->limits.max_record_bytes)
			       ?: EDIT_E_INVALID;
	if (r == -EINVAL)
		return buf_printf(error, "%s: not a regular file", path.data) ?: EDIT_E_INVALID;
	if (r < 0)
		return r;
	r = parse_document(names_format(p->suffix), text, n, ret, &complaint);
	if (r == -EINVAL)
		r = parse_error_format(&complaint, path.data, error) ?: EDIT_E_INVALID;
	return r;
}

static int load_unwritten(enum record_kind kind, const char *name, json_t **ret)
{
	if (kind != RECORD_PROFILE || !streq(name, "default"))
		return EDIT_E_NOT_FOUND;
	*ret = json_pack("{s:{}, s:{}}", "config", "devices");
	return *ret ? 0 : -ENOMEM;
}

int edit_load(struct edit *e, enum record_kind kind, const char *name, json_t **ret,
	      char **ret_path, bool *ret_in_conf, struct buf *error)
{
	_cleanup_(freep) char *path = NULL;
	json_auto_t *root = NULL;
	struct place p[2] = {0};
	size_t n = find(e, kind, name, p);
	int r;

	if (n > 1)
		return complain_twice(e, p, error);
	r = n == 0 ? load_unwritten(kind, name, &root) : read_document(e, &p[0], &root, error);
	if (r != 0)
		return r;
	if (n == 1 && ret_path && asprintf(&path, "%s/%s", e->paths[p[0].where], p[0].file) < 0)
		return -ENOMEM;
	if (ret_path)
		*ret_path = steal_ptr(&path);
	if (ret_in_conf)
		*ret_in_conf = n == 1 && p[0].where == CONF;
	*ret = steal_ptr(&root);
	return 0;
}

/* The text of @record as a file has it, when it is one. Returns 0, EDIT_E_INVALID with @error, or -ENOMEM. */
static int make_text(const struct edit *e, enum record_kind kind, const char *name,
		     const json_t *record, char **ret_text, struct buf *warnings, struct buf *error)
{
	_cleanup_(parse_error_finish) struct parse_error complaint = {0};
	_cleanup_(record_unrefp) struct record *checked = NULL;
	_cleanup_(freep) char *text = json_dumps(record, JSON_SORT_KEYS | JSON_INDENT(2));
	_cleanup_(freep) char *file = NULL;
	int r;

	if (!text || asprintf(&file, "%s\n", text) < 0)
		return -ENOMEM;
	r = parse_record(kind, RECORD_JSON, name, name, file, strlen(file), &e->limits, &checked,
			 warnings, &complaint);
	/* The place would be one in a text that nobody has seen. */
	if (r == -EINVAL)
		return buf_puts(error, complaint.text) ?: EDIT_E_INVALID;
	if (r == 0)
		*ret_text = steal_ptr(&file);
	return r;
}

/* Whether the file already means @text. */
static bool says_already(const struct edit *e, const struct place *p, const char *text)
{
	_cleanup_(parse_error_finish) struct parse_error complaint = {0};
	_cleanup_(buf_finish) struct buf error = {0};
	json_auto_t *old = NULL, *new = NULL;

	return read_document(e, p, &old, &error) == 0 &&
	       parse_document(RECORD_JSON, text, strlen(text), &new, &complaint) == 0 &&
	       json_equal(old, new);
}

int edit_store(struct edit *e, enum record_kind kind, const char *name, json_t *record,
	       bool must_be_new, bool *ret_changed, struct buf *warnings, struct buf *error)
{
	_cleanup_(freep) char *text = NULL;
	struct place p[2];
	size_t n = find(e, kind, name, p);
	bool changed;
	int r;

	if (n > 0 && must_be_new)
		return buf_printf(error, "it exists already: %s/%s", e->paths[p[0].where],
				  p[0].file)
			       ?: EDIT_E_EXISTS;
	if (n > 1)
		return complain_twice(e, p, error);
	if (n == 1 && p[0].where == CONF)
		return complain_in_conf(e, &p[0], error);
	r = make_text(e, kind, name, record, &text, warnings, error);
	if (r != 0)
		return r;
	changed = n == 0 || !says_already(e, &p[0], text);
	if (changed) {
		_cleanup_(ownership_return) struct ownership o = ownership_take(e->fds[STATE]);

		place_set(&p[0], STATE, kind, name, 0);
		r = file_write(e->fds[STATE], p[0].file, 0640, text, strlen(text), FILE_SYNC_FULL);
	}
	if (r == 0 && ret_changed)
		*ret_changed = changed;
	return r;
}

static int remove_volatile(const struct edit *e, const char *name)
{
	char file[sizeof("volatile/.json") + NAMES_RECORD_MAX];
	int r;

	snprintf(file, sizeof(file), "volatile/%.*s.json", NAMES_RECORD_MAX, name);
	r = file_remove(e->fds[STATE], file);
	return r == -ENOENT ? 0 : r;
}

int edit_delete(struct edit *e, enum record_kind kind, const char *name, struct buf *error)
{
	struct place p[2];
	size_t n = find(e, kind, name, p);
	int r;

	if (n == 0)
		return EDIT_E_NOT_FOUND;
	/* A name in both has its STATE file last; removing that one is the way out. */
	if (p[n - 1].where == CONF)
		return complain_in_conf(e, &p[0], error);
	r = file_remove(e->fds[STATE], p[n - 1].file);
	/* What is left in CONF is the same instance still. */
	if (r == 0 && kind == RECORD_INSTANCE && n == 1)
		r = remove_volatile(e, name);
	return r;
}

int edit_rename(struct edit *e, enum record_kind kind, const char *old_name, const char *new_name,
		struct buf *error)
{
	_cleanup_(freep) char *path = NULL;
	json_auto_t *record = NULL;
	bool in_conf = false;
	int r;

	r = edit_load(e, kind, old_name, &record, &path, &in_conf, error);
	if (r != 0)
		return r;
	if (!path)
		return EDIT_E_NOT_FOUND;
	if (in_conf)
		return buf_printf(error, "it stands in %s; rename that file", path)
			       ?: EDIT_E_IN_CONF;
	if (json_object_get(record, "name") &&
	    json_object_set_new(record, "name", json_string(new_name)) < 0)
		return -ENOMEM;
	r = edit_store(e, kind, new_name, record, true, NULL, NULL, error);
	return r == 0 ? edit_delete(e, kind, old_name, error) : r;
}

int edit_names(struct edit *e, enum record_kind kind, char ***ret, size_t *ret_n)
{
	_cleanup_(listing_finish) struct listing names = {0};
	int r = 0;

	for (unsigned where = CONF; r == 0 && where <= STATE; where++)
		if (e->fds[where] >= 0)
			r = listing_read(&names, e->fds[where], kind, where == STATE);
	if (r == 0 && kind == RECORD_PROFILE)
		r = listing_add(&names, "default");
	return r < 0 ? r : listing_steal(&names, ret, ret_n);
}
