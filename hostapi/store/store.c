/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store: record files -> snapshots in the registry
 *
 * The assembly: dir.c says where to look, load.c looks, settle.c decides and
 * publish.c puts into force. Here is the one lock that makes these one step
 * after the other, and what others ask of it.
 */
#include "store/store.h"

#include <pthread.h>
#include <utlist.h>

#include "base/log.h"
#include "base/text.h"
#include "core/lock.h"
#include "core/record.h"
#include "store/book.h"
#include "store/dir.h"
#include "store/load.h"
#include "store/names.h"
#include "store/publish.h"
#include "store/settle.h"

struct store {
	pthread_mutex_t lock;
	struct book book;
	struct publisher publisher;
	struct dir_watcher *watcher;
	bool was_lost[BOOK_N_DIRECTORIES]; /* said that the directory is gone */
};

/* Running out of memory is survived: what is touched stays so. */
static void settle_and_log(struct store *s, int r)
{
	if (r == 0)
		r = settle(&s->book, &s->publisher, false);
	if (r < 0)
		log_full(LOG_LEVEL_ERROR, LOG_EVENT_STORE_TROUBLE, NULL,
			 "cannot load changed records: %s; what was in force stays", strerror(-r));
}

static void on_changed(void *ctx, size_t tag, const char *name, bool is_open)
{
	struct store *s = ctx;
	LOCK_HOLD(&s->lock);
	int r;

	/* What a mounted ConfigMap turns around: every record is a link through it. */
	if (streq(name, "..data"))
		r = load_directory(&s->book, tag);
	else
		r = load_file(&s->book, tag, name, is_open ? LOAD_MADE : LOAD_HINTED);
	if (r < 0)
		settle_and_log(s, r);
}

static void on_rescan(void *ctx, size_t tag)
{
	struct store *s = ctx;
	LOCK_HOLD(&s->lock);

	if (s->was_lost[tag])
		log_full(LOG_LEVEL_INFO, LOG_EVENT_STORE_TROUBLE, NULL, "%s: is there again",
			 s->book.directories[tag].path);
	s->was_lost[tag] = false;
	settle_and_log(s, load_directory(&s->book, tag));
}

static size_t count_records(const struct book *b, size_t directory)
{
	struct entry *e, *next;
	size_t n = 0;

	HASH_ITER (hh, b->entries[b->directories[directory].kind], e, next) {
		const struct source *source;

		LL_FOREACH (e->sources, source)
			n += source->directory == directory && !source->is_missing;
	}
	return n;
}

static void on_lost(void *ctx, size_t tag, int error)
{
	struct store *s = ctx;
	struct directory *d = &s->book.directories[tag];
	LOCK_HOLD(&s->lock);
	size_t n = count_records(&s->book, tag);

	d->error = error;
	if (n == 0)
		return;
	s->was_lost[tag] = true;
	log_full(LOG_LEVEL_WARNING, LOG_EVENT_STORE_TROUBLE, NULL,
		 "%s: %s; its %zu records stay in force", d->path,
		 error == -ENOENT ? "is gone" : strerror(-error), n);
}

static int on_idle(void *ctx)
{
	struct store *s = ctx;
	LOCK_HOLD(&s->lock);

	settle_and_log(s, load_due(&s->book));
	return s->book.due ? 1 : -1;
}

static int watch(struct store *s)
{
	const struct dir_handler handler = {on_changed, on_rescan, on_lost, on_idle, s};
	const char *paths[BOOK_N_DIRECTORIES];

	for (size_t i = 0; i < BOOK_N_DIRECTORIES; i++)
		paths[i] = s->book.directories[i].path;
	return dir_watch(paths, BOOK_N_DIRECTORIES, &handler, &s->watcher);
}

static size_t count_rejected(const struct book *b)
{
	struct entry *e, *next;
	size_t n = 0;

	for (size_t t = 0; t < _BOOK_N_TABLES; t++)
		HASH_ITER (hh, b->entries[t], e, next)
			n += e->error != NULL;
	return n;
}

static int load_all(struct store *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < BOOK_N_DIRECTORIES; i++) {
		const struct directory *d = &s->book.directories[i];

		r = load_directory(&s->book, i);
		if (r < 0 || d->error != -EACCES)
			continue;
		log_full(LOG_LEVEL_ERROR, LOG_EVENT_STORE_TROUBLE, NULL,
			 "%s: %s; let the daemon read it, and enter those above it: chgrp %s %s && "
			 "chmod g+rx %s",
			 d->path, strerror(EACCES), s->book.group ?: "GROUP", d->path, d->path);
		return -EACCES;
	}
	if (r == 0)
		r = settle(&s->book, &s->publisher, true);
	if (r == 0)
		log_info("in force: instances %zu, profiles %zu; records rejected: %zu",
			 s->book.n_in_force[BOOK_INSTANCES], s->book.n_in_force[BOOK_PROFILES],
			 count_rejected(&s->book));
	return r;
}

int store_new(const struct store_options *options, struct store **ret)
{
	_cleanup_(store_freep) struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	r = publish_init(&s->publisher, options);
	if (r == 0)
		r = book_init(&s->book, options->conf_dir, options->state_dir, options->settings);
	s->book.group = options->group;
	if (r == 0)
		r = watch(s);
	if (r == 0)
		r = load_all(s);
	if (r == 0)
		*ret = steal_ptr(&s);
	return r;
}

static void *watch_thread(void *arg)
{
	struct store *s = arg;

	dir_run(s->watcher);
}

int store_start(struct store *s)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, watch_thread, s);

	if (r == 0)
		pthread_detach(thread);
	return -r;
}

struct store *store_free(struct store *s)
{
	if (!s)
		return NULL;
	dir_free(s->watcher);
	book_finish(&s->book);
	publish_finish(&s->publisher);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

/* Looks at every file that may be the record's, except in directories that are not there. */
static int look_everywhere(struct book *b, enum record_kind kind, const char *name)
{
	int r = 0;

	for (size_t i = 0; i < BOOK_N_DIRECTORIES; i++) {
		const struct directory *d = &b->directories[i];
		size_t n = d->in_state ? NAMES_N_SUFFIXES_STATE : NAMES_N_SUFFIXES;

		if (d->kind != kind || access(d->path, F_OK) < 0)
			continue;
		for (size_t k = 0; r == 0 && k < n; k++) {
			char file[NAMES_RECORD_MAX + 8];

			snprintf(file, sizeof(file), "%s%s", name, names_suffix(k));
			r = load_file(b, i, file, LOAD_NOW);
		}
	}
	return r;
}

/* Loads it with the lock held. */
static int load_now(struct store *s, enum record_kind kind, const char *name, struct buf *error)
{
	const struct entry *e;
	int r = look_everywhere(&s->book, kind, name);

	if (r == 0)
		r = settle(&s->book, &s->publisher, false);
	if (r < 0)
		return r;
	e = book_find(&s->book, kind, name);
	if (!e)
		return STORE_E_NOT_FOUND;
	return e->error ? buf_puts(error, e->error) ?: STORE_E_REJECTED : 0;
}

int store_load(struct store *s, enum record_kind kind, const char *name, json_t **ret_changes,
	       struct buf *error)
{
	json_auto_t *changes = json_array();
	LOCK_HOLD(&s->lock);
	int r;

	if (!changes)
		return -ENOMEM;
	s->publisher.changes = changes;
	r = text_is_name(name) ? load_now(s, kind, name, error) : STORE_E_NOT_FOUND;
	s->publisher.changes = NULL;
	if (r >= 0 && ret_changes)
		*ret_changes = steal_ptr(&changes);
	return r;
}

int store_set_ready(struct store *s, struct instance *i, const struct boot *boot, bool ready)
{
	return publish_ready(&s->publisher, i, boot, ready);
}

int store_bind(struct store *s, const char *name, pid_t pid, const char *top)
{
	return publish_bind(&s->publisher, name, pid, top);
}

int store_unbind(struct store *s, const char *name)
{
	return publish_unbind(&s->publisher, name);
}

static json_t *describe_rejected(const struct book *b, const struct entry *e)
{
	static const char *const kinds[] = {
		[BOOK_INSTANCES] = "instance", [BOOK_PROFILES] = "profile", [BOOK_ODD] = "file"};
	_cleanup_(buf_finish) struct buf file = {0};

	if (e->sources && book_put_path(b, e, e->sources, &file) < 0)
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:b}", "kind", kinds[e->table], "name", e->name,
			 "file", file.data ?: "", "error", e->error, "since",
			 (json_int_t)e->error_since, "in_force", e->in_force != NULL);
}

json_t *store_rejected(struct store *s)
{
	json_auto_t *list = json_array();
	LOCK_HOLD(&s->lock);
	struct entry *e, *next;

	for (size_t t = 0; t < _BOOK_N_TABLES; t++)
		HASH_ITER (hh, s->book.entries[t], e, next) {
			if (e->error &&
			    json_array_append_new(list, describe_rejected(&s->book, e)) < 0)
				return NULL;
		}
	return steal_ptr(&list);
}

json_t *store_status(struct store *s)
{
	json_auto_t *directories = json_array();
	LOCK_HOLD(&s->lock);

	for (size_t i = 0; i < BOOK_N_DIRECTORIES; i++) {
		const struct directory *d = &s->book.directories[i];

		if (json_array_append_new(directories,
					  json_pack("{s:s, s:s?}", "path", d->path, "error",
						    d->error ? strerror(-d->error) : NULL)) < 0)
			return NULL;
	}
	return json_pack("{s:o, s:I, s:I, s:I, s:I}", "directories", steal_ptr(&directories),
			 "instances", (json_int_t)s->book.n_in_force[BOOK_INSTANCES], "profiles",
			 (json_int_t)s->book.n_in_force[BOOK_PROFILES], "rejected",
			 (json_int_t)count_rejected(&s->book), "files_read",
			 (json_int_t)s->book.n_read);
}
