/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See change.h. The lock is never held while the daemon is asked, so that it may read the store. */
#include "ctl/change.h"

#include "base/text.h"
#include "ctl/daemon.h"
#include "ctl/member.h"

void change_finish(struct change *c)
{
	edit_free(c->edit);
	json_decref(c->record);
	free(c->path);
	*c = (struct change){0};
}

int change_open(struct change *c, const struct context *context, bool to_write)
{
	int r;

	*c = (struct change){.context = context};
	if (to_write)
		r = edit_new(context->conf_dir, context->state_dir, &c->edit);
	else
		r = edit_new_reader(context->conf_dir, context->state_dir, &c->edit);
	return r < 0 ? say_errno(context->state_dir, r, "cannot open the store") : 0;
}

static int say_not_found(struct change *c)
{
	char **names = NULL;
	const char *nearest = NULL;
	size_t n = 0;

	if (edit_names(c->edit, c->kind, &names, &n) == 0)
		nearest = text_nearest(c->name, (const char *const *)names, n);
	if (nearest)
		say(SAY_REFUSED, c->subject, "no such record; did you mean \"%s\"?", nearest);
	else
		say(SAY_REFUSED, c->subject, "no such record; see devlxdfs %s",
		    c->kind == RECORD_PROFILE ? "profile list" : "list");
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return SAY_REFUSED;
}

int change_say(struct change *c, int r, const struct buf *error)
{
	switch (r) {
	case EDIT_E_NOT_FOUND:
		return say_not_found(c);
	case EDIT_E_EXISTS:
		return say(SAY_REFUSED, c->subject,
			   "it exists already; choose another name or delete it first");
	case EDIT_E_IN_CONF:
	case EDIT_E_INVALID:
		return say(SAY_REFUSED, c->subject, "%s", error->data ? error->data : "refused");
	default:
		return say_errno(c->subject, r, "cannot use its record");
	}
}

int change_name(struct change *c, enum record_kind kind, const char *name)
{
	json_decref(steal_ptr(&c->record));
	free(steal_ptr(&c->path));
	c->kind = kind;
	c->name = name;
	c->subject = say_subject(kind, name, c->text);
	c->in_conf = c->is_new = false;
	if (text_is_name(name))
		return 0;
	return say(SAY_REFUSED, c->subject,
		   "not a name; 1 to 63 of letters, digits, \"-\", \"_\" and \".\", not beginning "
		   "with \"-\" or \".\"");
}

int change_check_place(struct change *c)
{
	return !c->in_conf ? 0
			   : say(SAY_REFUSED, c->subject, "its record is the operator's; edit %s",
				 c->path);
}

int change_load(struct change *c, enum record_kind kind, const char *name, bool may_be_absent)
{
	_cleanup_(buf_finish) struct buf error = {0};
	int r = change_name(c, kind, name);

	if (r != 0)
		return r;
	r = edit_load(c->edit, kind, name, &c->record, &c->path, &c->in_conf, &error);
	if (r == EDIT_E_NOT_FOUND && may_be_absent)
		return 0;
	return r == 0 ? 0 : change_say(c, r, &error);
}

int change_begin(struct change *c, const struct context *context, enum record_kind kind,
		 const char *name, enum change_mode mode)
{
	int r = change_open(c, context, mode != CHANGE_LOOK);

	if (r == 0)
		r = change_load(c, kind, name, mode == CHANGE_CREATE);
	if (r != 0)
		return r;
	c->is_new = !c->path;
	if (mode == CHANGE_CREATE && c->record)
		return change_say(c, EDIT_E_EXISTS, NULL);
	if (mode == CHANGE_CREATE) {
		c->record = json_object();
		return c->record ? 0 : say_errno(c->subject, -ENOMEM, "cannot begin");
	}
	return mode == CHANGE_EDIT ? change_check_place(c) : 0;
}

int change_check_profiles(struct change *c, const json_t *record, const json_t *also)
{
	json_auto_t *profiles = member_profiles(record);
	size_t i;
	json_t *profile;

	json_array_foreach (profiles, i, profile) {
		_cleanup_(buf_finish) struct buf error = {0};
		const char *name = json_string_value(profile);
		json_auto_t *ignored = NULL;

		if (!name || json_object_get(also, name))
			continue;
		if (text_is_name(name) && edit_load(c->edit, RECORD_PROFILE, name, &ignored, NULL,
						    NULL, &error) != EDIT_E_NOT_FOUND)
			continue;
		return say(SAY_REFUSED, c->subject,
			   "there is no profile \"%s\"; make it: devlxdfs profile create %s", name,
			   name);
	}
	return 0;
}

int change_store(struct change *c, bool *ret_changed)
{
	_cleanup_(buf_finish) struct buf error = {0};
	int r = edit_store(c->edit, c->kind, c->name, c->record, c->is_new, ret_changed, NULL,
			   &error);

	return r == 0 ? 0 : change_say(c, r, &error);
}

int change_commit(struct change *c)
{
	int r = c->kind == RECORD_INSTANCE ? change_check_profiles(c, c->record, NULL) : 0;

	if (r == 0)
		r = change_store(c, NULL);
	if (r != 0)
		return r;
	c->edit = edit_free(c->edit);
	return daemon_load(c->context, c->kind, c->name, false);
}

json_t *change_expanded(struct change *c, const char *member)
{
	json_auto_t *profiles = NULL, *expanded = json_object();
	size_t i;
	json_t *profile;
	int r = expanded ? 0 : -ENOMEM;

	if (c->kind == RECORD_INSTANCE)
		profiles = member_profiles(c->record);
	json_array_foreach (profiles, i, profile) {
		_cleanup_(buf_finish) struct buf error = {0};
		json_auto_t *record = NULL;
		const char *name = json_string_value(profile);

		if (r != 0 || !name || !text_is_name(name))
			continue;
		r = edit_load(c->edit, RECORD_PROFILE, name, &record, NULL, NULL, &error);
		if (r == 0)
			r = member_overlay(expanded, json_object_get(record, member));
		else if (r == EDIT_E_NOT_FOUND)
			r = 0;
		else if (r > 0)
			say(SAY_REFUSED, c->subject, "%s", error.data);
	}
	if (r == 0)
		r = member_overlay(expanded, json_object_get(c->record, member));
	if (r < 0)
		say_errno(c->subject, r, "cannot expand it");
	return r == 0 ? steal_ptr(&expanded) : NULL;
}

int change_unset(struct change *c, json_t *table, const char *key)
{
	const char *keys[256], *nearest, *name;
	json_t *value;
	size_t n = 0;

	if (json_object_del(table, key) == 0)
		return 0;
	json_object_foreach (table, name, value) {
		if (n < ARRAY_SIZE(keys))
			keys[n++] = name;
	}
	nearest = text_nearest(key, keys, n);
	if (nearest)
		return say(SAY_REFUSED, c->subject, "\"%s\" is not set; did you mean \"%s\"?", key,
			   nearest);
	return say(SAY_REFUSED, c->subject, "\"%s\" is not set", key);
}

int change_print(struct change *c, const json_t *value)
{
	json_auto_t *text = value ? member_text(value) : json_string("");

	if (!text)
		return say(SAY_REFUSED, c->subject, "the value is not a text");
	fwrite(json_string_value(text), 1, json_string_length(text), stdout);
	putchar('\n');
	return SAY_DONE;
}
