/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's API: the one table of what a guest may ask
 *
 * Nothing that is not in it can be reached by a guest. Sorted by path, then
 * method.
 */
#include "api/guest.h"

#include "api/resources.h"

static const struct route routes[] = {
	{
		.method = METHOD_GET,
		.path = "/",
		.handler = root_get,
		.help = "the API's versions",
	},
	{
		.method = METHOD_GET,
		.path = "/1.0",
		.handler = state_get,
		.help = "state, type and location of the guest",
	},
	{
		.method = METHOD_PATCH,
		.path = "/1.0",
		.handler = state_patch,
		.help = "tell the host Ready or Started",
	},
	{
		.method = METHOD_GET,
		.path = "/1.0/config",
		.handler = config_list,
		.help = "the paths of all readable keys",
	},
	{
		.method = METHOD_GET,
		.path = "/1.0/config/{key}",
		.handler = config_get,
		.help = "the value of a key, byte for byte",
	},
	{
		.method = METHOD_GET,
		.path = "/1.0/devices",
		.handler = devices_get,
		.help = "all devices with all their keys",
	},
	{
		.method = METHOD_GET,
		.path = "/1.0/events",
		.handler = events_get,
		.help = "events as they happen, as a websocket or as lines",
	},
	{
		.method = METHOD_GET,
		.path = "/1.0/images/{fingerprint}/export",
		.handler = images_export,
		.flags = ROUTE_ALWAYS, /* its refusals have a form of their own */
		.help = "an image's files",
	},
	{
		.method = METHOD_GET,
		.path = "/1.0/meta-data",
		.handler = metadata_get,
		.help = "instance-id, hostname and user.meta-data as YAML",
	},
	{
		.method = METHOD_GET,
		.path = "/1.0/ubuntu-pro",
		.handler = pro_get,
		.help = "whether to attach to Ubuntu Pro: off",
	},
	{
		.method = METHOD_POST,
		.path = "/1.0/ubuntu-pro/token",
		.handler = pro_token,
		.help = "a token for Ubuntu Pro: refused",
	},
};

static const struct route_table table = {
	.routes = routes,
	.n_routes = ARRAY_SIZE(routes),
};

const struct route_table *guest_routes(void)
{
	return &table;
}
