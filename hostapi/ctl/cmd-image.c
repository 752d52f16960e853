/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image list, show, set, delete: the images that are there
 *
 * What the files of the store say, whether or not a daemon runs.
 */
#include "ctl/cmd.h"

#include <time.h>

#include "base/text.h"
#include "ctl/daemon.h"
#include "ctl/format.h"
#include "ctl/imagepick.h"
#include "ctl/pairs.h"
#include "images/image-staging.h"

enum {
	MAX_COLUMNS = 16,
	SHORT_FINGERPRINT = 12
};

static const struct format_column columns[] = {
	{'L', "ALIASES", "aliases", NULL},
	{'f', "FINGERPRINT", "short", NULL},
	{'F', "FINGERPRINT", "fingerprint", NULL},
	{'p', "PUBLIC", "public", NULL},
	{'c', "CACHED", "cached", NULL},
	{'d', "DESCRIPTION", "properties", "description"},
	{'a', "ARCHITECTURE", "architecture", NULL},
	{'t', "TYPE", "type", NULL},
	{'s', "SIZE", "size", NULL},
	{'u', "IMPORTED", "imported", NULL},
};

/* "2026-01-31 12:00 UTC", or a null. */
static json_t *date_of(const json_t *ns)
{
	time_t seconds = (time_t)(json_integer_value(ns) / 1000000000);
	struct tm tm;
	char text[32];

	if (!json_is_integer(ns) || !gmtime_r(&seconds, &tm))
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm);
	return json_string(text);
}

static json_int_t size_of(const json_t *image)
{
	const json_t *parts = json_object_get(image, "parts");
	json_int_t size = 0;
	size_t i;
	json_t *part;

	json_array_foreach (parts, i, part)
		size += json_integer_value(json_object_get(part, "size"));
	return size;
}

/* Adds what is for people. Returns 0 or -ENOMEM. */
static int complete(json_t *image)
{
	const char *fingerprint = imagepick_fingerprint(image);

	if (json_object_get(image, "error"))
		return json_object_set_new(image, "type", json_string("REJECTED")) ? -ENOMEM : 0;
	return json_object_set_new(image, "size", json_integer(size_of(image))) < 0 ||
			       json_object_set_new(image, "imported",
						   date_of(json_object_get(image, "imported_ns"))) <
				       0 ||
			       !fingerprint
		       ? -ENOMEM
		       : 0;
}

static int choose_columns(const struct call *c, const struct format_column **ret, size_t *ret_n)
{
	const char *letters = command_value(c, "columns");
	size_t n = 0;

	for (letters = letters ? letters : "Lfpcdats"; *letters; letters++) {
		size_t i = 0;

		if (*letters == ',')
			continue;
		while (i < ARRAY_SIZE(columns) && columns[i].letter != *letters)
			i++;
		if (i == ARRAY_SIZE(columns))
			return command_misused(c, "no column is called \"%c\"", *letters);
		if (n == MAX_COLUMNS)
			return command_misused(c, "too many columns");
		ret[n++] = &columns[i];
	}
	*ret_n = n;
	return n ? 0 : command_misused(c, "no columns");
}

/* Table and CSV have the fingerprint shorter, and a table sizes for people. Returns 0 or -ENOMEM. */
static int make_row(json_t *image, enum format format)
{
	_cleanup_(buf_finish) struct buf size = {0};
	int r = complete(image);

	if (r == 0 && format == FORMAT_TABLE && json_object_get(image, "size"))
		r = format_bytes(&size, (double)json_integer_value(json_object_get(image, "size")));
	if (r == 0 && size.len)
		r = json_object_set_new(image, "size", json_string(size.data));
	if (r == 0 && (format == FORMAT_TABLE || format == FORMAT_CSV))
		r = json_object_set_new(
			image, "short",
			json_stringn(imagepick_fingerprint(image), SHORT_FINGERPRINT));
	return r < 0 ? -ENOMEM : 0;
}

static int list(const struct call *c)
{
	_cleanup_(imagepick_finish) struct imagepick pick = {.lock_fd = -1};
	const struct format_column *chosen[MAX_COLUMNS];
	json_auto_t *images = NULL;
	enum format format;
	size_t n = 0, i;
	json_t *image;
	int r;

	if (format_parse(command_value(c, "format"), &format) < 0)
		return command_misused(c, "the format is none of table, json, yaml and csv");
	r = choose_columns(c, chosen, &n);
	if (r == 0)
		r = imagepick_begin(&pick, c->context, false);
	if (r != 0)
		return r;
	r = image_store_list(pick.store, &images);
	json_array_foreach (images, i, image)
		if (r == 0)
			r = make_row(image, format);
	if (r == 0)
		r = format_rows(stdout, format, images, chosen, n);
	return r < 0 ? say_errno(c->command->name, r, "cannot list them") : SAY_DONE;
}

static int show(const struct call *c)
{
	_cleanup_(imagepick_finish) struct imagepick pick = {.lock_fd = -1};
	_cleanup_(buf_finish) struct buf directory = {0};
	json_auto_t *image = NULL;
	int r = imagepick_begin(&pick, c->context, false);

	if (r == 0)
		r = imagepick_find(&pick, c->operands[0], &image);
	if (r != 0)
		return r;
	r = complete(image);
	if (r == 0)
		r = buf_printf(&directory, "%s/images/%s", c->context->state_dir,
			       imagepick_fingerprint(image));
	if (r == 0 && json_object_set_new(image, "directory", json_string(directory.data)) < 0)
		r = -ENOMEM;
	if (r == 0)
		r = format_yaml(stdout, image);
	return r < 0 ? say_errno(c->operands[0], r, "cannot print it") : SAY_DONE;
}

/* Returns 0 or an exit status, having said why. */
static int set_one(const struct call *c, json_t *image, const char *key, const char *value)
{
	int truth = text_to_bool(value);

	if (!streq(key, "public") && !streq(key, "cached"))
		return say(SAY_REFUSED, c->operands[0],
			   "an image has no \"%s\" that can be set; there are public and cached",
			   key);
	if (truth < 0)
		return say(SAY_REFUSED, c->operands[0], "%s: expected true or false", key);
	return json_object_set_new(image, key, json_boolean(truth)) < 0
		       ? say_errno(c->operands[0], -ENOMEM, "cannot change it")
		       : 0;
}

static int set(const struct call *c)
{
	_cleanup_(imagepick_finish) struct imagepick pick = {.lock_fd = -1};
	json_auto_t *image = NULL, *pairs = NULL;
	const char *key;
	json_t *value;
	int r = pairs_parse(c, c->operands + 1, c->n_operands - 1, &pairs);

	if (r == 0)
		r = imagepick_begin(&pick, c->context, true);
	if (r == 0)
		r = imagepick_find_good(&pick, c->operands[0], &image);
	json_object_foreach (pairs, key, value)
		if (r == 0)
			r = set_one(c, image, key, json_string_value(value));
	return r == 0 ? imagepick_commit(&pick, c->operands[0], image) : r;
}

/* All are looked at before the first one is removed. */
static int find_all(const struct call *c, struct imagepick *pick, json_t *found)
{
	for (size_t i = 0; i < c->n_operands; i++) {
		json_t *image = NULL;
		int r = imagepick_find(pick, c->operands[i], &image);

		if (r != 0)
			return r;
		/* By fingerprint: who names one twice means it once. */
		if (json_object_set_new(found, imagepick_fingerprint(image),
					json_string(c->operands[i])) < 0) {
			json_decref(image);
			return say_errno(c->operands[i], -ENOMEM, "cannot begin");
		}
		json_decref(image);
	}
	return 0;
}

static int delete (const struct call *c)
{
	_cleanup_(imagepick_finish) struct imagepick pick = {.lock_fd = -1};
	json_auto_t *found = json_object();
	const char *fingerprint;
	json_t *word;
	int r = imagepick_begin(&pick, c->context, true), loaded;
	bool is_changed = false;

	if (r == 0)
		r = find_all(c, &pick, found);
	json_object_foreach (found, fingerprint, word) {
		int e = r == 0 ? image_staging_remove(pick.store, fingerprint) : 0;

		if (e < 0)
			r = say_errno(json_string_value(word), e, "cannot remove it");
		is_changed = is_changed || r == 0;
	}
	imagepick_unlock(&pick);
	if (!is_changed)
		return r;
	loaded = daemon_load_images(c->context, c->operands[0], "removed");
	return r ? r : loaded;
}

static const struct command_option list_options[] = {
	{'f', "format", "FORMAT", "table, json, yaml or csv"},
	{'c', "columns", "COLUMNS",
	 "L aliases, f and F fingerprint, p public, c cached, d description, a architecture, t type, "
	 "s size, u imported; default Lfpcdats"},
};

static const struct command commands[] = {
	{COMMAND("image list", "", 0, 0, OPERANDS_OTHER, list, "List the images"), .alias = "ls",
	 COMMAND_OPTIONS(list_options)},
	{COMMAND("image show", "IMAGE", 1, 1, OPERANDS_IMAGES, show,
		 "Print what is known of an image as YAML"),
	 .alias = "info"},
	{COMMAND("image set", "IMAGE KEY=VALUE...", 2, COMMAND_MANY, OPERANDS_IMAGES, set,
		 "Say who may have an image: public and cached, true or false")},
	{COMMAND("image delete", "IMAGE...", 1, COMMAND_MANY, OPERANDS_IMAGES, delete,
		 "Remove images"),
	 .alias = "rm"},
};

struct command_group cmd_image_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
