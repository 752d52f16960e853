#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal of published states, in memory that outlives the process
 *
 * What was last published of each instance, and which lines of events that are: entries (pubstate.h) one behind the other, of which the
 * last with a name counts. An entry is there from the moment in which the end of the journal is moved behind it, so a process that dies leaves
 * what was before or what is after. When most of it is out of date what counts is written again at the end, and the beginning is moved there.
 *
 * Not thread-safe.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "core/pubstate.h"

struct published;
struct published_view;
struct snapshot;

/*
 * Opens the one in @fd (borrowed), a file that is as large as it needs, from @offset, whole pages, on. One of another version
 * is emptied. Returns 0 or -errno.
 */
int published_new(int fd, size_t offset, struct published **ret);
struct published *published_free(struct published *j); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct published *, published_free);

/* Adds that @s (NULL: there is no record) is what was published of @name. Returns 0 or -errno, and is as it was then. */
int published_save(struct published *j, const char *name, struct snapshot *s,
		   const struct pubstate_step *step);

/* Writes again what counts, if that is due. All lines must have reached their logs. Returns 0 or -errno, and says the same as before then. */
int published_tidy(struct published *j);

/* Forgets everything. */
void published_clear(struct published *j);

/* One instance of a view; both live as long as that. */
struct published_name {
	const char *name;
	bool is_gone;
	struct pubstate_step step;
};

/* All that is in it now. Returns 0, -EINVAL when it is none that published_save() wrote, or -errno. */
int published_view(struct published *j, struct published_view **ret);
struct published_view *published_view_free(struct published_view *v); /* NULL-safe; always NULL */
DEFINE_CLEANUP(struct published_view *, published_view_free);

/* The next instance behind @n (NULL: the first), in no order; NULL at the end. */
const struct published_name *published_view_next(const struct published_view *v,
						 const struct published_name *n);
/* The one with that name, or NULL. */
const struct published_name *published_view_find(const struct published_view *v, const char *name);

/* 1: @s is what was last published of it, as far as events go; 0: it is not, or there was no record; or -ENOMEM. */
int published_view_is(struct published_view *v, const struct published_name *n, struct snapshot *s);

/*
 * What was last published, or, @is_before, what was before that: configuration that events are made of, and devices. *ret is NULL when there was
 * no record, or it is not known. Returns 0, -EINVAL when it is none that published_save() wrote, or -ENOMEM.
 */
int published_view_state(struct published_view *v, const struct published_name *n, bool is_before,
			 struct snapshot **ret);
