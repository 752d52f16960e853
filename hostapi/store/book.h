#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The book: what the store knows about every record file
 *
 * An entry is a name, of an instance or of a profile; its sources are the files
 * that claim to be it, usually one. What is in force may be older than what
 * the files say. Files whose names are none of a record have entries too, under
 * their path, so that they are reported once and gone when they are gone.
 *
 * A book has no lock: it belongs to whoever holds the store's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <sys/types.h>
/* Running out of memory leaves the element out, which its hh.tbl == NULL tells. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/buf.h"
#include "store/parse.h"

struct settings;

enum {
	BOOK_INSTANCES = RECORD_INSTANCE,
	BOOK_PROFILES = RECORD_PROFILE,
	BOOK_ODD,
	_BOOK_N_TABLES
};

#define BOOK_N_DIRECTORIES 4

struct directory {
	char *path;
	enum record_kind kind;
	bool in_state;
	int error; /* why it cannot be read; 0: it can */
};

/* A file's version: whatever changes in it, changes its ctime. Zero: none was seen. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec ctime;
};

struct source {
	struct source *next;                /* entry::sources */
	struct entry *entry;                /* whose it is */
	struct source *due_prev, *due_next; /* book::due, while due_us */
	struct record *record;              /* NULL: it does not parse */
	char *error;                        /* why not, with place */
	char *warnings;                     /* lines, until they are logged */
	struct stamp stamp;
	uint64_t due_us; /* when to look again; 0: when hinted */
	uint8_t directory, suffix;
	bool is_missing; /* its file is not there, which is not believed yet */
	bool is_unread;  /* its file may still be being written */
	bool is_fresh;   /* the stamp is too young to tell the next version from this one */
	bool is_seen;    /* by the scan going on */
};

struct entry {
	UT_hash_handle hh;     /* book::entries */
	struct entry *touched; /* book::touched; itself at the end of that list */
	struct source *sources;
	struct record *in_force;
	char *error;        /* why what the files say is not in force */
	time_t error_since; /* by the wall clock */
	uint8_t table;
	bool is_reread;  /* another version of a file was read since it was last judged */
	bool is_changed; /* a profile: instances that use it are to be made anew */
	char name[];
};

struct book {
	const struct settings *settings; /* borrowed */
	const char *group;               /* borrowed; of this process, for remedies; may be NULL */
	struct directory directories[BOOK_N_DIRECTORIES];
	struct entry *entries[_BOOK_N_TABLES];
	struct entry *touched; /* to be judged, newest first */
	struct record *empty;  /* the profile `default` while nobody has written one */
	struct source *due;    /* those with due_us, the next one first */
	size_t n_in_force[_BOOK_N_TABLES];
	uint64_t n_read; /* files parsed */
};

/* Returns 0 or -ENOMEM; book_finish() it in both cases. */
int book_init(struct book *b, const char *conf_dir, const char *state_dir,
	      const struct settings *settings);
void book_finish(struct book *b); /* frees all; a zeroed book is fine */

/* NULL when there is none. */
struct entry *book_find(const struct book *b, unsigned table, const char *name);
/* Finds or makes it; NULL = no memory. */
struct entry *book_get(struct book *b, unsigned table, const char *name);
/* Removes an entry that is not touched. */
void book_forget(struct book *b, struct entry *e);

/* Has the entry judged when the book is settled. */
void book_touch(struct book *b, struct entry *e);
/* The next one to be judged, which is then touched no more; NULL when there is none. */
struct entry *book_next_touched(struct book *b);

/* The entry's source in @directory with the suffix number @suffix; NULL when there is none. */
struct source *book_source(const struct entry *e, size_t directory, size_t suffix);
/* Finds or makes it, unread; NULL = no memory. */
struct source *book_get_source(struct entry *e, size_t directory, size_t suffix);
/* Removes it and touches the entry. */
void book_drop_source(struct book *b, struct entry *e, struct source *s);
/* Sets when to look at the source again; 0: when hinted. */
void book_set_due(struct book *b, struct source *s, uint64_t due_us);

/* Appends the name of the source's file. Returns 0 or -ENOMEM. */
int book_put_file(const struct entry *e, const struct source *s, struct buf *name);
/* Appends the whole path of it. Returns 0 or -ENOMEM. */
int book_put_path(const struct book *b, const struct entry *e, const struct source *s,
		  struct buf *path);
