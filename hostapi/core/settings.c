/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devlxdfsd.conf: limits, location, policy
 *
 * One JSON object; the members, their defaults and their bounds are the table
 * below and nothing else. Pure: text in, struct or one complaint out.
 */
#include "core/settings.h"

#include <jansson.h>

#include "base/json.h"
#include "base/text.h"

#define MEMBER(m) .name = #m, .offset = offsetof(struct settings, m)

static const struct member {
	const char *name;
	size_t offset;
	bool is_text;
	uint32_t min, max, initial;
	const char *help;
} members[] = {
	{MEMBER(location), .is_text = true, .min = 1, .max = 255,
	 .help = "what guests are told as their location; the host's name when absent"},
	{MEMBER(threads), .max = 64, .help = "HTTP threads; 0: one per processor, at most 4"},
	{MEMBER(max_connections), .min = 1, .max = 65536, .initial = 64,
	 .help = "connections an instance may have open"},
	{MEMBER(max_event_listeners), .min = 1, .max = 65536, .initial = 16,
	 .help = "event listeners an instance may have open over HTTP"},
	{MEMBER(max_event_readers), .min = 1, .max = 65536, .initial = 1024,
	 .help = "reads of the events file of an instance that may wait"},
	{MEMBER(event_window_bytes), .min = 16384, .max = 1 << 20, .initial = 65536,
	 .help = "bytes of events kept for an instance; a new value needs a new daemon"},
	{MEMBER(max_header_bytes), .min = 1024, .max = 1 << 20, .initial = 12288,
	 .help = "bytes of a request's line and header"},
	{MEMBER(max_body_bytes), .min = 1024, .max = 1 << 24, .initial = 65536,
	 .help = "bytes of a request's body"},
	{MEMBER(first_header_timeout_ms), .min = 100, .max = 600000, .initial = 3000,
	 .help = "milliseconds from accept to the end of the first header"},
	{MEMBER(idle_timeout_s), .min = 1, .max = 86400, .initial = 33,
	 .help = "seconds after which a silent connection is closed"},
	{MEMBER(max_requests_per_s), .max = 1000000,
	 .help = "requests per second of an instance; 0: no limit"},
	{MEMBER(max_refused), .min = 1, .max = 4096, .initial = 64,
	 .help = "refused connections kept open until their answer is read, all together"},
	{MEMBER(identity_cache), .min = 16, .max = 1 << 20, .initial = 4096,
	 .help = "callers' cgroups remembered"},
	{MEMBER(max_record_bytes), .min = 1024, .max = 1 << 30, .initial = 8 << 20,
	 .help = "bytes of a record file"},
	{MEMBER(max_value_bytes), .min = 1, .max = 1 << 28, .initial = 1 << 20,
	 .help = "bytes of a config or device value"},
	{MEMBER(offer_dev_incus), .max = 1,
	 .help = "1: what is attached at /dev/lxd is at /dev/incus, too"},
	{MEMBER(create_lxc_records), .max = 1,
	 .help = "1: an LXC container without a record gets one when it starts"},
};

static uint32_t *number_at(struct settings *s, const struct member *m)
{
	return (uint32_t *)((char *)s + m->offset);
}

static char **text_at(struct settings *s, const struct member *m)
{
	return (char **)((char *)s + m->offset);
}

bool settings_describe(size_t i, struct settings_member *ret)
{
	if (i >= ARRAY_SIZE(members))
		return false;
	*ret = (struct settings_member){
		.name = members[i].name,
		.is_text = members[i].is_text,
		.min = members[i].min,
		.max = members[i].max,
		.initial = members[i].initial,
		.help = members[i].help,
	};
	return true;
}

void settings_init(struct settings *s)
{
	*s = (struct settings){0};
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (!members[i].is_text)
			*number_at(s, &members[i]) = members[i].initial;
}

void settings_finish(struct settings *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (members[i].is_text)
			free(*text_at(s, &members[i]));
	*s = (struct settings){0};
}

static const struct member *find_member(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (streq(members[i].name, name))
			return &members[i];
	return NULL;
}

static bool is_printable(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return true;
}

static int complain_unknown(const char *name, struct buf *error)
{
	const char *names[ARRAY_SIZE(members)];
	const char *nearest;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		names[i] = members[i].name;
	nearest = text_nearest(name, names, ARRAY_SIZE(names));
	/* The complaint is one line, whatever the name is. */
	if (!is_printable(name, strlen(name)))
		return buf_puts(error, "unknown member");
	if (nearest)
		return buf_printf(error, "\"%s\": unknown member; did you mean \"%s\"?", name,
				  nearest);
	return buf_printf(error, "\"%s\": unknown member", name);
}

/* Returns 0, -EINVAL when the value is not what the member takes, or -ENOMEM. */
static int set_text(struct settings *s, const struct member *m, const json_t *value)
{
	size_t n = json_string_length(value);
	char *copy;

	if (!json_is_string(value) || n < m->min || n > m->max ||
	    !is_printable(json_string_value(value), n))
		return -EINVAL;
	copy = strdup(json_string_value(value));
	if (!copy)
		return -ENOMEM;
	free(*text_at(s, m));
	*text_at(s, m) = copy;
	return 0;
}

static int set_number(struct settings *s, const struct member *m, const json_t *value)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < m->min || number > m->max)
		return -EINVAL;
	*number_at(s, m) = number;
	return 0;
}

/* Sets one member; on -EINVAL @error has the complaint, without the place. */
static int set_member(struct settings *s, const char *name, const json_t *value, struct buf *error)
{
	const struct member *m = find_member(name);
	int r;

	if (!m)
		return complain_unknown(name, error) ?: -EINVAL;
	r = m->is_text ? set_text(s, m, value) : set_number(s, m, value);
	if (r != -EINVAL)
		return r;
	if (m->is_text)
		r = buf_printf(error, "\"%s\": expected a printable string of %u to %u bytes", name,
			       m->min, m->max);
	else
		r = buf_printf(error, "\"%s\": expected a whole number from %u to %u", name, m->min,
			       m->max);
	return r ?: -EINVAL;
}

static int set_all(struct settings *s, json_t *root, const char *text, size_t n, struct buf *error)
{
	const char *name;
	json_t *value;

	json_object_foreach (root, name, value) {
		_cleanup_(buf_finish) struct buf complaint = {0};
		struct json_place place = {0};
		int r = set_member(s, name, value, &complaint);

		if (r == -EINVAL) {
			json_locate(text, n, &name, 1, &place);
			r = buf_printf(error, "%u:%u: %s", place.line, place.column, complaint.data)
				    ?: -EINVAL;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* jansson says what stood near the place; that may hold line breaks. */
static int complain_syntax(json_error_t *e, struct buf *error)
{
	for (char *p = e->text; *p; p++)
		if (!is_printable(p, 1))
			*p = ' ';
	return buf_printf(error, "%d:%d: %s", e->line, e->column, e->text);
}

int settings_parse(struct settings *s, const char *text, size_t n, struct buf *error)
{
	_cleanup_(settings_finish) struct settings draft = *s;
	json_auto_t *root = NULL;
	json_error_t e;
	int r;

	draft.location = s->location ? strdup(s->location) : NULL;
	if (s->location && !draft.location)
		return -ENOMEM;
	root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
	if (!root && json_error_code(&e) == json_error_out_of_memory)
		return -ENOMEM;
	if (!root)
		return complain_syntax(&e, error) ?: -EINVAL;
	if (!json_is_object(root))
		return buf_puts(error, "1:1: expected an object") ?: -EINVAL;
	r = set_all(&draft, root, text, n, error);
	if (r < 0)
		return r;
	settings_finish(s);
	*s = draft;
	draft.location = NULL;
	return 0;
}
