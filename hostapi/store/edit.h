#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing the store: what `devlxdfs` does to STATE
 *
 * One editor at a time (flock on STATE/.lock), validated first, temporary name, fsync, rename, fsync of
 * the directory; CONF is read and never written. Works without a daemon. What it writes belongs to
 * the owner of STATE, so that a daemon without privileges can read what root wrote.
 *
 * The profile `default` exists, empty, until somebody writes it: edit_load() and edit_names() say so.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "store/parse.h"

struct edit;

enum {
	_EDIT_E_SUCCESS,
	EDIT_E_NOT_FOUND, /* no such record */
	EDIT_E_EXISTS,    /* there is one of that name already */
	EDIT_E_IN_CONF,   /* it stands in CONF: *error says which file to edit */
	EDIT_E_INVALID, /* *error says what is wrong: member and complaint, for a file with its place */
};

/*
 * Opens CONF and STATE (made if missing, 0750, with its instances/, profiles/ and volatile/) and takes the
 * lock, waiting for other editors. The limits are those of CONF/devlxdfsd.conf, if that can be read.
 * Returns 0 or -errno. Release with edit_free().
 */
int edit_new(const char *conf_dir, const char *state_dir, struct edit **ret);
/* The same without lock and without making anything: for commands that only read. Missing directories are empty ones. */
int edit_new_reader(const char *conf_dir, const char *state_dir, struct edit **ret);
struct edit *edit_free(struct edit *e); /* NULL-safe; unlocks; always NULL */
DEFINE_CLEANUP(struct edit *, edit_free);

/*
 * The record as JSON, all members kept. *ret_path (may be NULL, caller frees) is its file, NULL for the
 * unwritten profile `default`; *ret_in_conf (may be NULL) whether that is in CONF. Returns 0, EDIT_E_NOT_FOUND,
 * EDIT_E_INVALID with @error (also when the name stands in two files), or -errno.
 */
int edit_load(struct edit *e, enum record_kind kind, const char *name, json_t **ret,
	      char **ret_path, bool *ret_in_conf, struct buf *error);

/*
 * Validates and writes @record (borrowed) as STATE/<kind>/NAME.json, sorted keys, two-space
 * indent. With @must_be_new an existing one is EDIT_E_EXISTS. *ret_changed (may be NULL) is
 * false when the file already said the same, and then nothing is written. @warnings (may be
 * NULL) gets the parser's. Returns 0, an EDIT_E_* code with @error, or -errno (old file whole).
 */
int edit_store(struct edit *e, enum record_kind kind, const char *name, json_t *record,
	       bool must_be_new, bool *ret_changed, struct buf *warnings, struct buf *error);

/*
 * Removes the record from STATE, and for an instance its volatile file. Returns 0, EDIT_E_NOT_FOUND,
 * EDIT_E_IN_CONF when it stands there only, or -errno.
 */
int edit_delete(struct edit *e, enum record_kind kind, const char *name, struct buf *error);

/*
 * Renames: new file first, then the old one removed; a binding and instance-id do not follow.
 * Codes as above, plus EDIT_E_EXISTS.
 */
int edit_rename(struct edit *e, enum record_kind kind, const char *old_name, const char *new_name,
		struct buf *error);

/*
 * Names of all records of @kind in CONF and STATE, sorted, each once, NULL-terminated; caller frees each and
 * the array. Returns 0 or -errno.
 */
int edit_names(struct edit *e, enum record_kind kind, char ***ret, size_t *ret_n);
