#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One record being looked at or changed by a command
 *
 * begin, change c->record in place, commit: written under the lock and then loaded by the daemon.
 * All of it says why and returns an exit status.
 */
#include <jansson.h>

#include "ctl/command.h"
#include "ctl/say.h"
#include "store/edit.h"

enum change_mode {
	CHANGE_LOOK,   /* no lock, nothing made, a record of CONF is fine */
	CHANGE_EDIT,   /* the record exists and stands in STATE */
	CHANGE_CREATE, /* there must be none; c->record begins empty */
};

struct change {
	const struct context *context;
	enum record_kind kind;
	const char *name;    /* borrowed */
	const char *subject; /* for messages: text[] */
	struct edit *edit;
	json_t *record;
	char *path; /* its file; NULL when it has none, as the profile "default" until it is written */
	bool is_new, in_conf;
	char text[SAY_SUBJECT_MAX];
};

/* Finish with change_finish() whatever it returned. */
int change_begin(struct change *c, const struct context *context, enum record_kind kind,
		 const char *name, enum change_mode mode);

/* Opens the store only: for commands about several records. */
int change_open(struct change *c, const struct context *context, bool to_write);

/* The record that messages are about from now on. Returns 0, or SAY_REFUSED when @name is none. */
int change_name(struct change *c, enum record_kind kind, const char *name);

/*
 * Loads the record @name with the store open, without judging its place. With @may_be_absent
 * c->record is NULL afterwards when there is none. Returns 0 or SAY_REFUSED.
 */
int change_load(struct change *c, enum record_kind kind, const char *name, bool may_be_absent);

/* Refuses a loaded record that stands in CONF. Returns 0 or SAY_REFUSED. */
int change_check_place(struct change *c);

/* Refuses unless each of @record's profiles exists or is a member of @also (may be NULL). */
int change_check_profiles(struct change *c, const json_t *record, const json_t *also);

/* Writes c->record, releases the lock and has the daemon load it. */
int change_commit(struct change *c);

/* Writes c->record only; *ret_changed is false when the file said the same. */
int change_store(struct change *c, bool *ret_changed);

/* Says why an edit_*() call failed: @r is its positive code or negative errno. Returns SAY_REFUSED. */
int change_say(struct change *c, int r, const struct buf *error);

/* Config or devices with the profiles' below, a new reference. NULL after saying why. */
json_t *change_expanded(struct change *c, const char *member);

/* Removes @key from @table (may be NULL), refusing when it is not there. Returns 0 or an exit status. */
int change_unset(struct change *c, json_t *table, const char *key);

/* Prints the text of a value (NULL: none, as lxc does) and a newline. Returns an exit status. */
int change_print(struct change *c, const json_t *value);

void change_finish(struct change *c); /* zeroed is fine; unlocks */
