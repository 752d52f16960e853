/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image alias ...: other names of images; each stands for one image of all. */
#include "ctl/cmd.h"

#include "ctl/format.h"
#include "ctl/imagepick.h"

static int create(const struct call *c)
{
	_cleanup_(imagepick_finish) struct imagepick pick = {.lock_fd = -1};
	json_auto_t *image = NULL, *images = NULL;
	const char *alias = c->operands[0];
	int r = imagepick_check_alias(alias);

	if (r == 0)
		r = imagepick_begin(&pick, c->context, true);
	if (r == 0)
		r = imagepick_find_good(&pick, c->operands[1], &image);
	if (r != 0)
		return r;
	r = image_store_list(pick.store, &images);
	if (r < 0)
		return say_errno(alias, r, "cannot read the images");
	if (image_store_alias_holder(images, alias))
		return say(SAY_REFUSED, alias, "there is such an alias already; delete it first");
	if (json_array_append_new(json_object_get(image, "aliases"), json_string(alias)) < 0)
		return say_errno(alias, -ENOMEM, "cannot make it");
	return imagepick_commit(&pick, alias, image);
}

static int take(const struct call *c)
{
	_cleanup_(imagepick_finish) struct imagepick pick = {.lock_fd = -1};
	json_auto_t *image = NULL, *images = NULL;
	const char *alias = c->operands[0], *holder;
	json_t *aliases, *one;
	size_t i;
	int r = imagepick_begin(&pick, c->context, true);

	if (r != 0)
		return r;
	r = image_store_list(pick.store, &images);
	if (r < 0)
		return say_errno(alias, r, "cannot read the images");
	holder = image_store_alias_holder(images, alias);
	if (!holder)
		return say(SAY_REFUSED, alias, "no such alias; see devlxdfs image alias list");
	r = imagepick_find_good(&pick, holder, &image);
	if (r != 0)
		return r;
	aliases = json_object_get(image, "aliases");
	for (i = json_array_size(aliases); i-- > 0;) {
		one = json_array_get(aliases, i);
		if (streq(json_string_value(one), alias))
			json_array_remove(aliases, i);
	}
	return imagepick_commit(&pick, alias, image);
}

/* The rows of one image. Returns 0 or -ENOMEM. */
static int add_rows(json_t *rows, const json_t *image)
{
	const json_t *aliases = json_object_get(image, "aliases");
	size_t i;
	json_t *alias;

	json_array_foreach (aliases, i, alias)
		if (json_array_append_new(
			    rows, json_pack("{s:O, s:O, s:O}", "alias", alias, "fingerprint",
					    json_object_get(image, "fingerprint"), "type",
					    json_object_get(image, "type"))) < 0)
			return -ENOMEM;
	return 0;
}

static int list(const struct call *c)
{
	static const struct format_column alias = {0, "ALIAS", "alias", NULL},
					  fingerprint = {0, "FINGERPRINT", "fingerprint", NULL},
					  type = {0, "TYPE", "type", NULL};
	static const struct format_column *const columns[] = {&alias, &fingerprint, &type};
	_cleanup_(imagepick_finish) struct imagepick pick = {.lock_fd = -1};
	json_auto_t *images = NULL, *rows = json_array();
	enum format format;
	json_t *image;
	size_t i;
	int r;

	if (format_parse(command_value(c, "format"), &format) < 0)
		return command_misused(c, "the format is none of table, json, yaml and csv");
	r = imagepick_begin(&pick, c->context, false);
	if (r != 0)
		return r;
	r = image_store_list(pick.store, &images);
	json_array_foreach (images, i, image)
		if (r == 0)
			r = add_rows(rows, image);
	if (r == 0)
		r = format_rows(stdout, format, rows, columns, ARRAY_SIZE(columns));
	return r < 0 ? say_errno(c->command->name, r, "cannot list them") : SAY_DONE;
}

static const struct command_option list_options[] = {
	{'f', "format", "FORMAT", "table, json, yaml or csv"},
};

static const struct command commands[] = {
	{COMMAND("image alias create", "ALIAS IMAGE", 2, 2, OPERANDS_OTHER, create,
		 "Give an image another name")},
	{COMMAND("image alias delete", "ALIAS", 1, 1, OPERANDS_IMAGES, take,
		 "Take a name away; the image stays"),
	 .alias = "rm"},
	{COMMAND("image alias list", "", 0, 0, OPERANDS_OTHER, list,
		 "List the names of all images"),
	 .alias = "ls", COMMAND_OPTIONS(list_options)},
};

struct command_group cmd_image_alias_group(void)
{
	return (struct command_group){commands, ARRAY_SIZE(commands)};
}
