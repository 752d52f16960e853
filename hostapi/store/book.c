/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The book: what the store knows about every record file
 *
 * Bookkeeping only: which files are looked at and what follows from them is
 * decided in load.c and settle.c.
 */
#include "store/book.h"

#include <assert.h>
#include <utlist.h>

#include "core/record.h"
#include "store/names.h"

static int make_empty(struct record **ret)
{
	struct record *r = record_new();

	*ret = r;
	if (!r)
		return -ENOMEM;
	r->name = strdup("default");
	r->source = strdup("built in");
	return r->name && r->source ? 0 : -ENOMEM;
}

int book_init(struct book *b, const char *conf_dir, const char *state_dir,
	      const struct settings *settings)
{
	*b = (struct book){.settings = settings};
	for (size_t i = 0; i < BOOK_N_DIRECTORIES; i++) {
		struct directory *d = &b->directories[i];

		d->kind = i < 2 ? RECORD_PROFILE : RECORD_INSTANCE;
		d->in_state = i % 2;
		if (asprintf(&d->path, "%s/%s", d->in_state ? state_dir : conf_dir,
			     names_directory(d->kind)) < 0) {
			d->path = NULL;
			return -ENOMEM;
		}
	}
	return make_empty(&b->empty);
}

static void source_free(struct source *s)
{
	record_unref(s->record);
	free(s->error);
	free(s->warnings);
	free(s);
}

void book_forget(struct book *b, struct entry *e)
{
	struct source *s, *next;

	assert(!e->touched);
	HASH_DEL(b->entries[e->table], e);
	LL_FOREACH_SAFE (e->sources, s, next) {
		book_set_due(b, s, 0);
		source_free(s);
	}
	record_unref(e->in_force);
	free(e->error);
	free(e);
}

void book_finish(struct book *b)
{
	struct entry *e, *next;

	while (book_next_touched(b))
		;
	for (size_t t = 0; t < _BOOK_N_TABLES; t++)
		HASH_ITER (hh, b->entries[t], e, next)
			book_forget(b, e);
	for (size_t i = 0; i < BOOK_N_DIRECTORIES; i++)
		free(b->directories[i].path);
	record_unref(b->empty);
	*b = (struct book){0};
}

struct entry *book_find(const struct book *b, unsigned table, const char *name)
{
	struct entry *e;

	HASH_FIND_STR(b->entries[table], name, e);
	return e;
}

struct entry *book_get(struct book *b, unsigned table, const char *name)
{
	struct entry *e = book_find(b, table, name);

	if (e)
		return e;
	e = calloc(1, sizeof(*e) + strlen(name) + 1);
	if (!e)
		return NULL;
	e->table = table;
	memcpy(e->name, name, strlen(name) + 1);
	HASH_ADD_STR(b->entries[table], name, e);
	if (!e->hh.tbl) {
		free(e);
		return NULL;
	}
	return e;
}

void book_touch(struct book *b, struct entry *e)
{
	if (e->touched)
		return;
	e->touched = b->touched ?: e;
	b->touched = e;
}

struct entry *book_next_touched(struct book *b)
{
	struct entry *e = b->touched;

	if (!e)
		return NULL;
	b->touched = e->touched == e ? NULL : e->touched;
	e->touched = NULL;
	return e;
}

struct source *book_source(const struct entry *e, size_t directory, size_t suffix)
{
	struct source *s;

	LL_FOREACH (e->sources, s)
		if (s->directory == directory && s->suffix == suffix)
			break;
	return s;
}

struct source *book_get_source(struct entry *e, size_t directory, size_t suffix)
{
	struct source *s = book_source(e, directory, suffix);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->entry = e;
	s->directory = directory;
	s->suffix = suffix;
	s->is_unread = true;
	LL_PREPEND(e->sources, s);
	return s;
}

/* The last one that is due no later than @due_us, NULL: none. Mostly that is the last of all. */
static struct source *last_due_by(const struct book *b, uint64_t due_us)
{
	struct source *s = b->due ? b->due->due_prev : NULL;

	while (s && s->due_us > due_us)
		s = s == b->due ? NULL : s->due_prev;
	return s;
}

void book_set_due(struct book *b, struct source *s, uint64_t due_us)
{
	struct source *before;

	if (s->due_us)
		DL_DELETE2(b->due, s, due_prev, due_next);
	s->due_us = due_us;
	if (!due_us)
		return;
	before = last_due_by(b, due_us);
	DL_APPEND_ELEM2(b->due, before, s, due_prev, due_next);
}

void book_drop_source(struct book *b, struct entry *e, struct source *s)
{
	book_set_due(b, s, 0);
	LL_DELETE(e->sources, s);
	source_free(s);
	book_touch(b, e);
}

int book_put_file(const struct entry *e, const struct source *s, struct buf *name)
{
	if (e->table == BOOK_ODD)
		return buf_puts(name, strrchr(e->name, '/') + 1);
	return buf_printf(name, "%s%s", e->name, names_suffix(s->suffix));
}

int book_put_path(const struct book *b, const struct entry *e, const struct source *s,
		  struct buf *path)
{
	if (buf_printf(path, "%s/", b->directories[s->directory].path) < 0)
		return -ENOMEM;
	return book_put_file(e, s, path);
}
