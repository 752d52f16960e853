/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tree: the const table of everything there is under an instance's directory
 */
#include "tree.h"

#include <string.h>

static int list_keys(const struct tree_shown *s, const char *const *params, source_each each,
		     void *arg)
{
	return s->source->ops->each_key(s->view, each, arg);
}

static int list_devices(const struct tree_shown *s, const char *const *params, source_each each,
			void *arg)
{
	return s->source->ops->each_device(s->view, each, arg);
}

static int list_device_keys(const struct tree_shown *s, const char *const *params, source_each each,
			    void *arg)
{
	return s->source->ops->each_device_key(s->view, params[0], each, arg);
}

static int list_images(const struct tree_shown *s, const char *const *params, source_each each,
		       void *arg)
{
	return s->source->ops->each_image(s->images, each, arg);
}

static int list_image_files(const struct tree_shown *s, const char *const *params, source_each each,
			    void *arg)
{
	return s->source->ops->each_image_file(s->images, params[0], each, arg);
}

static int read_key(const struct tree_shown *s, const char *const *params, struct source_bytes *ret)
{
	return s->source->ops->key(s->view, params[0], ret);
}

static int read_device_key(const struct tree_shown *s, const char *const *params,
			   struct source_bytes *ret)
{
	return s->source->ops->device_key(s->view, params[0], params[1], ret);
}

#define READ_TEXT(NAME, WHICH)                                                                     \
	static int NAME(const struct tree_shown *s, const char *const *params,                     \
			struct source_bytes *ret)                                                  \
	{                                                                                          \
		return s->source->ops->text(s->source->ctx, s->view, WHICH, ret);                  \
	}
READ_TEXT(read_devices, SOURCE_DEVICES)
READ_TEXT(read_location, SOURCE_LOCATION)
READ_TEXT(read_meta_data, SOURCE_META_DATA)
READ_TEXT(read_name, SOURCE_NAME)
READ_TEXT(read_type, SOURCE_TYPE)

static const struct tree_node rows[_TREE_N_ROWS] = {
	[TREE_TOP] = {.path = "",
		      .kind = TREE_DIRECTORY,
		      .mode = 0555,
		      .help = "the instance's directory"},
	[TREE_CONFIG] = {.path = "config",
			 .kind = TREE_DIRECTORY,
			 .mode = 0555,
			 .list = list_keys,
			 .help = "the keys that the guest may read"},
	[TREE_CONFIG_KEY] = {.path = "config/{key}",
			     .parent = TREE_CONFIG,
			     .kind = TREE_CONTENT,
			     .mode = 0400,
			     .by_rules = true,
			     .read = read_key,
			     .help = "the value, byte for byte"},
	[TREE_DEVICES] = {.path = "devices",
			  .kind = TREE_DIRECTORY,
			  .mode = 0555,
			  .list = list_devices,
			  .help = "the devices"},
	[TREE_DEVICE] = {.path = "devices/{device}",
			 .parent = TREE_DEVICES,
			 .kind = TREE_DIRECTORY,
			 .mode = 0555,
			 .list = list_device_keys,
			 .help = "the keys of one device"},
	[TREE_DEVICE_KEY] = {.path = "devices/{device}/{key}",
			     .parent = TREE_DEVICE,
			     .kind = TREE_CONTENT,
			     .mode = 0400,
			     .by_rules = true,
			     .read = read_device_key,
			     .help = "the value, byte for byte"},
	[TREE_DEVICES_JSON] = {.path = "devices.json",
			       .kind = TREE_CONTENT,
			       .mode = 0400,
			       .by_rules = true,
			       .read = read_devices,
			       .help = "all devices as one JSON object"},
	[TREE_EVENTS] = {.path = "events",
			 .kind = TREE_LOG,
			 .mode = 0400,
			 .by_rules = true,
			 .help = "changes as they happen, a JSON object a line"},
	[TREE_IMAGES] = {.path = "images",
			 .kind = TREE_DIRECTORY,
			 .mode = 0555,
			 .is_of_images = true,
			 .list = list_images,
			 .help = "the images that guests may have"},
	[TREE_IMAGE] = {.path = "images/{image}",
			.parent = TREE_IMAGES,
			.kind = TREE_DIRECTORY,
			.mode = 0555,
			.list = list_image_files,
			.help = "one image, by its fingerprint or an alias"},
	[TREE_IMAGE_FILE] = {.path = "images/{image}/{file}",
			     .parent = TREE_IMAGE,
			     .kind = TREE_FILE,
			     .mode = 0444,
			     .help = "a file of it, as it was imported"},
	[TREE_LOCATION] = {.path = "location",
			   .kind = TREE_CONTENT,
			   .mode = 0444,
			   .read = read_location,
			   .help = "the host's name, a line"},
	[TREE_META_DATA] = {.path = "meta-data",
			    .kind = TREE_CONTENT,
			    .mode = 0400,
			    .by_rules = true,
			    .read = read_meta_data,
			    .help = "instance-id, hostname and user.meta-data as YAML"},
	[TREE_NAME] = {.path = "name",
		       .kind = TREE_CONTENT,
		       .mode = 0444,
		       .read = read_name,
		       .help = "the instance's name, a line"},
	[TREE_SOCK] = {.path = "sock",
		       .kind = TREE_SOCKET,
		       .mode = 0666,
		       .help = "the HTTP socket"},
	[TREE_STATE] = {.path = "state",
			.kind = TREE_STREAM,
			.mode = 0600,
			.by_rules = true,
			.is_writable = true,
			.help = "Started or Ready, a line; writing either word says so"},
	[TREE_TYPE] = {.path = "type",
		       .kind = TREE_CONTENT,
		       .mode = 0444,
		       .read = read_type,
		       .help = "container or virtual-machine, a line"},
};

const struct tree_node *tree_row(enum tree_row row)
{
	return &rows[row];
}

const char *tree_row_name(const struct tree_node *n)
{
	const char *slash = strrchr(n->path, '/');

	return slash ? slash + 1 : n->path;
}

bool tree_row_is_parameter(const struct tree_node *n)
{
	return *tree_row_name(n) == '{';
}
