/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what the files say to what is in force
 *
 * The rules of design section 5 are the function judge() and nothing else.
 */
#include "store/settle.h"

#include <assert.h>
#include <utlist.h>

#include "base/log.h"
#include "core/record.h"

enum verdict {
	VERDICT_WAIT, /* its file may yet return, or is being written */
	VERDICT_GONE,
	VERDICT_GOOD,
	VERDICT_BAD,
};

/* The profile as it stands, NULL when there is none to use. */
static struct record *profile_in_force(const struct book *b, const char *name)
{
	const struct entry *e = book_find(b, BOOK_PROFILES, name);

	if (e && (e->in_force || e->error))
		return e->in_force;
	return streq(name, "default") ? b->empty : NULL;
}

/* Whether all profiles of @r are there; if not, @why says which one is missing. Returns 1, 0 or -ENOMEM. */
static int has_profiles(const struct book *b, const struct record *r, struct buf *why)
{
	for (size_t i = 0; i < r->n_profiles; i++) {
		const char *name = r->profiles[i];
		const struct entry *e = book_find(b, BOOK_PROFILES, name);

		if (profile_in_force(b, name))
			continue;
		if (e && e->error)
			return buf_printf(
				why, "%s: profiles[%zu]: the profile \"%s\" is itself rejected",
				r->source, i, name);
		return buf_printf(why,
				  "%s: profiles[%zu]: there is no profile \"%s\"; make it with "
				  "devlxdfs profile create %s",
				  r->source, i, name, name);
	}
	return 1;
}

static int complain_twice(const struct book *b, const struct entry *e, const struct source *one,
			  const struct source *other, struct buf *why)
{
	if (one->directory > other->directory ||
	    (one->directory == other->directory && one->suffix > other->suffix)) {
		const struct source *swap = one;

		one = other;
		other = swap;
	}
	if (book_put_path(b, e, one, why) < 0 || buf_puts(why, ": the name also stands in ") < 0 ||
	    book_put_path(b, e, other, why) < 0)
		return -ENOMEM;
	return buf_puts(why, "; remove one of them");
}

/* What the files say. *ret_source is set for GOOD, @why for BAD. Returns a verdict or -ENOMEM. */
static int judge(const struct book *b, const struct entry *e, struct source **ret_source,
		 struct buf *why)
{
	struct source *s, *present = NULL;
	int r;

	LL_FOREACH (e->sources, s) {
		if (s->is_missing || s->is_unread)
			continue;
		if (present)
			return complain_twice(b, e, present, s, why) ?: VERDICT_BAD;
		present = s;
	}
	if (!present)
		return e->sources ? VERDICT_WAIT : VERDICT_GONE;
	if (!present->record)
		return buf_puts(why, present->error ?: "no memory") ?: VERDICT_BAD;
	*ret_source = present;
	if (e->table != BOOK_INSTANCES)
		return VERDICT_GOOD;
	r = has_profiles(b, present->record, why);
	if (r < 0)
		return r;
	return r > 0 ? VERDICT_GOOD : VERDICT_BAD;
}

static const char *subject(const struct entry *e)
{
	return e->table == BOOK_INSTANCES ? e->name : NULL;
}

/* Keeps the complaint, and logs it unless that was done for this version. */
static void reject(const struct publisher *p, struct entry *e, struct buf *why)
{
	bool is_news = e->is_reread || !e->error || !streq(e->error, why->data);
	const char *stays = e->in_force ? "; the last good state stays in force" : "";

	if (!e->error)
		e->error_since = time(NULL);
	if (!is_news)
		return;
	free(e->error);
	e->error = buf_steal(why, NULL);
	/* On trial for an upgrade: who serves has said so. */
	if (p->is_trial)
		return;
	log_full(e->table == BOOK_ODD ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR,
		 LOG_EVENT_RECORD_REJECTED, subject(e), "%s%s", e->error ?: "no memory", stays);
	publish_rejection(p, subject(e), e->error ?: "no memory");
}

/* Makes the instance's record and its profiles the published ones. */
static int publish(struct book *b, struct publisher *p, struct record *record,
		   size_t *ret_n_changes)
{
	_cleanup_(freep) struct record **profiles =
		calloc(record->n_profiles + 1, sizeof(*profiles));

	if (!profiles)
		return -ENOMEM;
	for (size_t i = 0; i < record->n_profiles; i++)
		profiles[i] = profile_in_force(b, record->profiles[i]);
	return publish_record(p, record, profiles, record->n_profiles, ret_n_changes);
}

/* Says what there is to say of a version, once: a file is read more often than it changes. */
static void log_warnings(const struct entry *e, struct source *s, bool is_news)
{
	_cleanup_(freep) char *warnings = steal_ptr(&s->warnings);
	char *rest = warnings;
	const char *line;

	while (is_news && (line = strsep(&rest, "\n")) && *line)
		log_full(LOG_LEVEL_WARNING, LOG_EVENT_NONE, subject(e), "%s", line);
}

static int put_in_force(struct book *b, struct publisher *p, struct entry *e, struct source *s,
			bool at_start)
{
	bool is_new = !e->in_force, was_bad = e->error;
	bool is_same = !is_new && streq(e->in_force->source, s->record->source) &&
		       record_equal(e->in_force, s->record);
	size_t n_changes = 0;
	int r = 0;

	free(steal_ptr(&e->error));
	if (is_same) { /* what is shared stays shared */
		record_unref(s->record);
		s->record = record_ref(e->in_force);
	}
	if (e->table == BOOK_INSTANCES && (!is_same || e->is_changed))
		r = publish(b, p, s->record, &n_changes);
	if (r < 0)
		return r;
	if (e->table == BOOK_PROFILES)
		e->is_changed = !is_same;
	log_warnings(e, s, !is_same);
	if (!is_same) {
		record_unref(e->in_force);
		e->in_force = record_ref(s->record);
		b->n_in_force[e->table] += is_new;
	}
	if ((!is_same || was_bad) && !at_start)
		log_full(LOG_LEVEL_INFO, LOG_EVENT_RECORD_LOADED, subject(e), "%s: in force%s",
			 s->record->source, was_bad ? " again" : "");
	else if (n_changes > 0)
		log_debug("%s: %zu changes through profiles", e->name, n_changes);
	return 0;
}

/* Returns 0, or -ENOMEM with everything as it was. */
static int withdraw(struct book *b, struct publisher *p, struct entry *e)
{
	int r = 0;

	e->is_changed = e->table == BOOK_PROFILES;
	if (!e->in_force)
		return 0;
	if (e->table == BOOK_INSTANCES)
		r = publish_withdraw(p, e->name);
	if (r < 0)
		return r;
	log_full(LOG_LEVEL_INFO, LOG_EVENT_RECORD_GONE, subject(e), "%s: gone",
		 e->in_force->source);
	e->in_force = record_unref(e->in_force);
	b->n_in_force[e->table]--;
	return 0;
}

static int settle_entry(struct book *b, struct publisher *p, struct entry *e, bool at_start)
{
	_cleanup_(buf_finish) struct buf why = {0};
	struct source *s = NULL;
	int r = judge(b, e, &s, &why);

	if (r == VERDICT_GOOD) {
		assert(s);
		r = put_in_force(b, p, e, s, at_start);
	} else if (r == VERDICT_BAD) {
		reject(p, e, &why);
		r = 0;
	} else if (r == VERDICT_GONE) {
		r = withdraw(b, p, e);
	} else if (r == VERDICT_WAIT) {
		r = 0;
	}
	e->is_reread = false;
	return r;
}

static bool uses_changed_profile(const struct book *b, const struct record *r)
{
	for (size_t i = 0; i < r->n_profiles; i++) {
		const struct entry *e = book_find(b, BOOK_PROFILES, r->profiles[i]);

		if (e && e->is_changed)
			return true;
	}
	return false;
}

/* Touches the instances that name a profile which has changed. */
static void spread(struct book *b)
{
	struct entry *e, *next;
	struct source *s;

	HASH_ITER (hh, b->entries[BOOK_INSTANCES], e, next) {
		LL_FOREACH (e->sources, s) {
			if (!s->record || !uses_changed_profile(b, s->record))
				continue;
			e->is_changed = true;
			book_touch(b, e);
		}
	}
}

/* Ends the pass over the profiles: none is changed any more, those without files are forgotten. */
static void end_profiles(struct book *b)
{
	struct entry *e, *next;

	HASH_ITER (hh, b->entries[BOOK_PROFILES], e, next) {
		e->is_changed = false;
		if (!e->sources && !e->touched && !e->in_force)
			book_forget(b, e);
	}
}

/* Judges all touched entries of the profiles, or all others. */
static int settle_tables(struct book *b, struct publisher *p, bool profiles, bool at_start,
			 bool *ret_changed)
{
	struct entry *later = NULL, *e;
	int r = 0;

	while (r == 0 && (e = book_next_touched(b))) {
		if (profiles != (e->table == BOOK_PROFILES)) {
			e->touched = later ?: e;
			later = e;
			continue;
		}
		r = settle_entry(b, p, e, at_start);
		if (r < 0) {
			book_touch(b, e); /* judged again with the next change */
			break;
		}
		*ret_changed = *ret_changed || e->is_changed;
		if (profiles)
			continue;
		e->is_changed = false;
		if (!e->sources)
			book_forget(b, e);
	}
	while ((e = later)) {
		later = e->touched == e ? NULL : e->touched;
		e->touched = NULL;
		book_touch(b, e);
	}
	return r;
}

int settle(struct book *b, struct publisher *p, bool at_start)
{
	bool changed = false;
	int r;

	if (!b->touched)
		return 0;
	r = settle_tables(b, p, true, at_start, &changed);
	if (changed) {
		spread(b);
		end_profiles(b);
	}
	return r < 0 ? r : settle_tables(b, p, false, at_start, &changed);
}
